"""The parts of the experiment `atlas`: which optimizer, at which rate, with which schedule?

`studies` says what is trained and `evidence` gives it as arrays in units of each problem; read these first. `measures` has what is asked of a line,
`tables` and `schedules` the tables, `closer` how far the answers hold, `answers` the findings, `pictures` and `page` what is shown.
Only `lrbench.experiments.atlas` imports it.
"""
