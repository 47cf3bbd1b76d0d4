"""What the experiment `finder_truth` consists of: what learning-rate finders suggest, and what following them costs.

`suggested` collects what every rule suggests: ours, fastai's own, and two that look at no range test. `judged` has what is lost by following each,
with intervals over problems, and says what was found. `pictures` draws it. Read in this order; only `lrbench.experiments.finder_truth` imports it.
"""
