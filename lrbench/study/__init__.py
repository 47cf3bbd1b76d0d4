"""What is asked: a study as plain data, from TOML or Python to the grid of runs and their identities.

Nothing here imports JAX or pandas, and everything else may import it. Read in this order: `spec` holds a study
and checks it key by key, with `toml` before it and `learning_rates` and `choice` (a problem, optimizer or schedule and its
axes) within it; `catalog` knows every name by reading source; `grid` turns a study into runs, programs and packs, `run_id`
names them, and `fingerprint` hashes code of the user's. `requires` is what an optimizer may ask of its run, and `built_in`
holds the studies that come with lrbench.
"""
