"""Schedules: the *shape* of the learning rate over a run, with peak 1.

Each takes the number of steps and returns an optax schedule (step → factor). The engine evaluates it once into a row
of a table `shape[row, step]`; the rate of step t is `learning_rate × shape[t]`, so that all schedules share a program.
Lengths are shares of the run, so that a study of other `steps` has the same shapes.
"""
