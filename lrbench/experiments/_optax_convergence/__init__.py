"""What the experiment `optax_convergence` consists of: optax's pairs of optimizer and rate, how runs are judged, and the picture.

Read `pairs` first, then `judging`, which turns the curves of the two studies into tables, then `answers` and `drawing`. Only
`lrbench.experiments.optax_convergence` imports it.
"""
