"""Tables: one file each, whose function of the table's name makes it; a kind of the catalogue, as plots and optimizers are.

The function of a table documents all of it: the first sentence of its docstring says what a row is, `Columns:` explains each column, with its
unit, and its parameters name what it is made from:

- `runs`: the judged runs, whole lines at a time. Such a table is written block by block, so that it need not fit into memory.
- the name of another table: that table, as a whole; `sensitivity`, for example.
- `thresholds` and `objectives`: where the verdicts begin, and the loss that each problem is judged by.
- what `lrbench.results.building` has besides, for one table each: `measured`, `evaluations` and `names` (the
  steps and the names of the curves), `hits`, `line_runs`, `range_tests` and `range_test_curves`; and what `lrbench.execution` hands over: `grid`, `landscapes`, `failed`.

From these it returns a DataFrame (or, for curves, an Arrow table). The folder's builder makes and removes its files, `results.NAME` and SQL read it,
`lrbench run` names it, `lrbench list table NAME` and `docs/results.md` explain it: all of them find it in the catalogue, and adding a table is adding a file.
It builds on `lrbench.analysis` and knows nothing of files; every folder above it may import it. `base` is not a table: it reads the columns.
"""
