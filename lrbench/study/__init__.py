"""What is requested: a study as plain data, from TOML or Python to the grid of runs and their identities.

Nothing here imports JAX or pandas, and every other folder may import it. Read in this order: `study_file` finds
a study by the name that a person gives it; `spec` is a study, checked key by key; `safe_toml` parses its file, `overrides` change it, `learning_rates` are its rates, and a `choice` is one of its problems, optimizers or
schedules with the values of its parameters. `catalog` finds every name in source text, `signature` reads the parameters of a
function, and `own_code` imports the user's own. `sample` draws the points of a study that samples its rates and parameters, `epochs` gives runs of different batch sizes equal epochs. `grid` turns a study into `variant`s, runs, programs and packs, `run_id` hashes their
identities, and `fingerprint` hashes the user's own code. `stages` are the parts of a grid that are chosen from what earlier parts found.
`ladder` is the losses whose first hits a run may keep. `requires` is what an optimizer may require of its run, `metric` what a metric declares, and `built_in` holds the studies that come with lrbench.
"""
