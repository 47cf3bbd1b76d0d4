"""The tables of a results folder: made from its parts, block by block, so that memory does not grow with the curves.

`build` makes them all in two levels: what each line says by itself, then what lines say of each other. `blocks` cuts the grid into
whole lines that fit into memory, `sheet` writes one table as Parquet and CSV piece by piece, and `spreadsheet` keeps a text from being
run as a formula. Adding a table is a function in `lrbench/analysis/` and a line in `build`.
"""
