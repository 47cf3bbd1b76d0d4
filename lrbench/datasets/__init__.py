"""Data sets that problems share, as NumPy arrays: examples, their split into training and validation, and their scaling.

Read `data` first: the record and the split. `bundled` reads the sets that are shipped with lrbench, `mnist1d` generates one, `texts` splits a text into
pieces; `files` reads the user's files (CSV, Parquet, NPZ), and `user_tables` turns them into inputs and targets, with one-line errors. `problems` imports
this folder; it imports no model, and downloads nothing.
"""
