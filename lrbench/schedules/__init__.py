"""Schedules: the *shape* of the learning rate over a run, with peak 1.

Every public function in a file of this folder is an entry: it takes the number of steps and returns an optax schedule
(step → factor). The engine evaluates it once into a row of a table `shape[row, step]`; the rate of step t is
`learning_rate × shape[t]`, so that all schedules share a program. Lengths are shares of the run, so that studies with
different `steps` have the same shapes. The engine imports entries by name, through `study.catalog`, and from `plateau` the
record of the one rule that depends on the losses. Read `decay`, `warmup` and `cycles`, then `joined`; `plateau` last.
"""
