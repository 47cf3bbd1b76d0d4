"""How runs are trained: the runs of a pack together, as lanes of one compiled program. JAX, and no pandas.

Read in this order: `lane` is one run, a pure function; `batch` compiles lanes, chunks and devices into a program; `made` makes what a study names,
`programs` compiles ahead and measures, with `capacity`, `devices` and `products`; `pack` trains a pack segment by segment, with `race`,
`schedule_table`, `seeds`, `checkpoint` and `watch` beside it. `probing` evaluates probes, `surface` a landscape, and
`decompositions` keeps batched ones from waiting for ever.

Axis names: `device` a device of the mesh; `chunk` the chunks of a pack on one device; `lane` the lanes of a chunk, all of
one seed; `step` the optimizer steps; `evaluation` the evaluations of a run; `row` the rows of the schedule table.
"""
