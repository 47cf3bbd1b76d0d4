"""Optimizers: each takes the learning rate of a step and returns an optax `GradientTransformation`.

Every public function in a file of this folder is an entry of the catalogue. The engine builds the optimizer inside the
traced step from the rate of that step, so that all rates, schedules and numeric hyper-parameters share one compiled
program. A `float` parameter is a lane (an axis of the grid costs no new program); any other type is structure (each value
compiles a program of its own). The engine imports entries by name, through `study.catalog`; an entry imports optax, and
from this package only `_wrap` (what optimizers that wrap another one share) and what it requires of its run, declared by
`study.requires`. `_options` has the options of every optimizer, one of which finds parameters by path (`nets.parameters`). Read `descent` first, then `adam`; `informed` last.

In formulas, w are the parameters, g the gradient, η the learning rate of the step, λ the weight decay and t the step,
counted from 1; a hat denotes bias correction, division of a running mean by 1 − βᵗ. Parameters of optax that are not
listed here have optax's defaults.
"""
