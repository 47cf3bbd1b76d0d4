"""The claims of the experiment `claims`: sentences about learning rates, each judged by what the experiment's studies measured.

A claim is a file here with two functions: `measure(evidence)`, whose docstring is the claim and which returns findings, and
`picture(evidence)`. `judging` lists the claims and turns their findings into verdicts, a table and pictures; read it first, then `evidence`, which
gives the runs of a study as arrays, and `limits`, the bounds that were set before anything was measured. `studies` says what is trained,
`event_files` reads TensorBoard files back, `one_step` and `equal_loss` are what S1 and S8 compute, `drawing` is what pictures share, and `page` writes the HTML page. Only `lrbench.experiments.claims` imports it.
"""
