"""Where studies and results meet: a study is planned, trained by the engine, written as parts, and made into tables and pictures.

`execute` is the way from a study to a results folder, which `reuse` says may be used, and `rebuild` makes tables, plots and report of its parts; `sweep`
is a study in one call, and a `listener` is told how it goes on. `work` trains one pack in this process or another one, for the launchers, which
map it over packs; `checkpoints` save a long pack while it is trained. `manifest_contents` fills the manifest, `plan` says what a study would
cost, with the measured `costs`, `status` how far it is, `find` sweeps rates as learning-rate finders do, and `trace` profiles
the first moments.
"""
