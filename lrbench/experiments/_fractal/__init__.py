"""The boundary of trainability as `fractal` draws it: a picture whose pixels are runs.

`conditions` says which networks and optimizers are trained, and over which two axes. `scored` is the problem with a score of every loss of a
run, `rescaled` the optimizer whose second axis is the scale of the initial weights. `views` trains a picture and chooses where to look closer,
`boxes` counts boxes, `in_numpy` trains the same runs independently, and `pictures` draws. Only `lrbench.experiments.fractal` imports it.
"""
