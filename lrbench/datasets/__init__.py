"""Data sets that problems share, as NumPy arrays: examples, how they are parted into training and validation, and how they are scaled.

`data` holds the record and the split. `bundled` are sets that come with a package, `mnist1d` generates one, `texts` cuts a text into pieces; `files` reads what
a person hands over (CSV, Parquet, NPZ), and `tables` makes inputs and targets of it, with every refusal in one line. No model is known here, and
nothing is downloaded.
"""
