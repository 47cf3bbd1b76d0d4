"""Metrics of the catalogue: (predictions, batch) → scalar, evaluated on the validation data of problems that predict something.

A public function in a file of this folder is an entry: its name is its name in tables, as `valid_<name>`, on the command line and in the
documentation, and the contract tests find it by themselves. Problems of the catalogue and of the user's own may use it.
"""
