"""Data sets that problems share, as NumPy arrays: examples, their split into training and validation, and their scaling.

Read `data` first: the record and the split. `bundled` reads the sets that are shipped with lrbench, `mnist1d` and `deepobs` generate one, `texts` splits a text into
pieces; `files` reads the user's files (CSV, Parquet, NPZ) and data frames as Arrow columns, `numerals` the texts in them that are numbers; `columns` makes NumPy of a
column, `targets` classes or numbers to predict, and `validation` chooses rows. `user_tables` and `user_images` make inputs and targets of them, with one-line
errors. `problems` imports this folder; it imports no model, and downloads nothing.
"""
