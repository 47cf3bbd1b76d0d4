"""From the parts of a results folder to its tables, block by block, so that memory does not grow with the number of runs.

The tables themselves are defined in `lrbench/tables/`, a file each; this folder makes them. Start with `build`: it goes through the parts, then
through blocks of runs, then from table to table, as the parameters of each table require. `batches` reads parts and encodes the curves,
`blocks` keeps what was measured of each run in a file until the block of its line is read, `totals` is what depends on all blocks, such as ℓ* of a
problem, `objective_curves` reads the curves of the objective again, and `pace` is how losses fall along the runs of lines. `of_group` makes the rows of the tables of runs, a group of blocks at a time.
`lines` are the runs before there are tables, from which a study chooses its next stage. `table_writer` writes one table as Parquet and CSV, piece by piece; `parquet_pieces` joins pieces that are encoded, and `csv_text` keeps a spreadsheet from running a text as a formula.

Each of these steps is a list of tasks: a batch, a group, some lines. Where there are many runs, `workers` says how many processes share them (`results/helpers.py`). Helpers
only read; they return bytes, which this process writes in the order of the tasks. So tables are the same bytes however many there are.
"""
