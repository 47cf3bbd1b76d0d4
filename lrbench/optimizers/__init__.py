"""Optimizers: each takes the learning rate of a step and returns an optax `GradientTransformation`.

Every public function of a file here is one. The engine builds the optimizer inside the traced step from that step's
rate, so that every rate, schedule and numeric hyper-parameter shares one compiled program. A `float` parameter is a
lane (an axis of the grid costs no new program); any other type is structure (each value is a program of its own).

In formulas w are the parameters, g the gradient, η the rate of the step, λ the weight decay, t the step from 1 on, and
a hat divides a running mean by 1 − βᵗ, which corrects its bias towards zero. Parameters of optax that are not here
have optax's defaults.
"""
