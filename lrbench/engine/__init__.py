"""How runs are trained: the runs of a pack together, as lanes of one compiled program. JAX, and no pandas.

It imports `problems`, `probes` and `schedules` for their records, `study`, and `results.trained`, the record that it fills; entries of
the catalogue are loaded by name. `execution` and `cli` import it.

Read it from the bottom of the ladder to the top. Each file uses those before it:

1. The machine: `devices`, `device_memory`, `known_devices` (those that are not here), `decompositions`.
2. One run: `probing` (probes and their cost, by `flops`), `first_hits` (when its loss met the rungs of a ladder), `lane` (a run as pure functions), `seeds` (what a seed
   determines), `schedule_table`, and many in one program: `layout` (which run is in which lane, chunk and device), `xla_functions` (what
   is traced: training, evaluation, probes of the step), `xla_options` (what they are compiled with), `xla_program` (the same, compiled),
   `lane_batch` (the runs on the devices).
3. The programs of a study: `instances` (what the study names, instantiated), `tuning_cache`, `lanes_per_chunk` (the rule), `tuner` (how a
   program is compiled for speed), `watchdog`, `timing`, `programs` (compiles ahead, in a size that fits into memory).
4. A pack: `race` (which runs are stopped early), `snapshot`, `pieces` (the runs that fit into memory at once),
   `segments` (the training loop), `pack` (from runs to their curves).
5. `surface` (the loss of an objective over a plane) and `engine`: what all packs of a study share, and the only file that
   most callers need.

Beside it: `matmul` (the peak of a device) and `plain_jax` (the same training without lrbench, to compare with).

Axis names, in shapes such as `Float[Array, "lane step"]`:

- `device`: the devices of the mesh;
- `chunk`: the chunks of a pack, on one device inside a program, on all of them outside;
- `lane`: the lanes of a chunk, all of one seed;
- `run`: the runs of a pack, in its order;
- `seed`: the seeds of a pack;
- `step`: the optimizer steps;
- `evaluation`: the evaluations of a run, the first at step 0;
- `row`: the rows of the schedule table, one a schedule of the study;
- `example`: the examples of a minibatch;
- `word`: the two words of a random key's data.

Models have axes of their own: `feature`, `channel`, `row` and `column` (of an image), `position` (in a sequence), `token` and
`label`.
"""
