"""What the experiment `mnist1d` consists of.

`published` holds what the repository of MNIST-1D prints, `accuracies` the studies of its models and their findings, `optimum` those of its
notebook on metalearning a learning rate, and `drawing` the pictures. Only `lrbench.experiments.mnist1d` imports it.
"""
