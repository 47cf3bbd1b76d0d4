"""What the experiment `transfer` consists of: how the best rate changes as a network grows in width or in depth.

`grids` has the studies, one for each optimizer and each way to grow. `best_rates` fits the best rate of every network between those of the grid, and
the slope of its logarithm against that of the size, and says what was found. `pictures` draws both. Read in this order; only
`lrbench.experiments.transfer` imports it.
"""
