"""From the parts of a results folder to its tables, block by block, so that memory does not grow with the number of runs.

What each table holds is said in `lrbench/tables/`, a file each; here is how they are made. `build` comes first: it goes through the parts, then
through blocks of runs, then from table to table, as the parameters of each table require. `batches` reads parts and streams the curves,
`blocks` keeps what was measured of each run in a file until the block of its line is read, `totals` is what all blocks say together, such as ℓ* of a
problem. `table_writer` writes one table as Parquet and CSV, piece by piece, and `csv_text` keeps a spreadsheet from running a text as a formula.
"""
