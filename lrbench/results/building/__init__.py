"""From the parts of a results folder to its tables, block by block, so that memory does not grow with the number of runs.

The tables themselves are defined in `lrbench/tables/`, a file each; this folder makes them. Start with `build`: it goes through the parts, then
through blocks of runs, then from table to table, as the parameters of each table require. `batches` reads parts and streams the curves,
`blocks` keeps what was measured of each run in a file until the block of its line is read, `totals` is what depends on all blocks, such as ℓ* of a
problem, and `pace` how losses fall along the runs of lines. `lines` are the runs before there are tables, from which a study chooses its next stage. `table_writer` writes one table as Parquet and CSV, piece by piece, and `csv_text` keeps a spreadsheet from running a text as a formula.
"""
