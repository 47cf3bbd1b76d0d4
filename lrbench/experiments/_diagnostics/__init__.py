"""The parts of the experiment `diagnostics`: which optimizers solve problems that each make one thing hard.

`studies` says what is trained, and what its problems and optimizers are called; `judge` decides from the curves which runs solve their
problem, chooses the rate of each line on some seeds and judges it on others; `theory` compares what came out with what theory says;
`drawing` draws it. Only `lrbench.experiments.diagnostics` imports them; read `studies` first, then `judge`.
"""
