"""What the experiment `edge_of_stability` consists of: the edges of three optimizers, and where a hundred rates of each end.

`kinds` has the optimizers, where theory has their edge, and the probe that sees it. `outcomes` decides from the curves of a run whether it reached
the edge and stayed there, and says what was found. `pictures` draws both. Read in this order; only `lrbench.experiments.edge_of_stability` imports it.
"""
