"""Where studies and results meet: a study is planned, trained by the engine, written as parts, and turned into tables and plots.

Read `execute` first: it takes a study to a results folder. `training` trains its stages one after another, and `stages` chooses each from what is trained. `output_folder` decides whether that folder may be used, and `rebuild` builds
tables, plots and report from its parts; `manifest_contents` composes what the manifest records. A `listener` receives the progress and may stop
the work; `notebook` is one that draws a bar in a notebook, `trace` one that profiles the first moments. `work` trains one pack, in this process or another, for the launchers, which map it
over packs; `checkpoints` save unfinished packs. `sweep` is a study in one call, and `find` runs learning-rate finders.
`trainable_results` are the results that a person holds, and `train_best` trains one of their runs again for its weights. `plan` estimates a study, as the record of `plan_schema` (a `json_record`, as that of `status` is), from the measured `costs` of its programs, and `status` reports its progress. Only `cli` and
`experiments` import this folder.
"""
