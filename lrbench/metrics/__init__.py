"""Metrics: (predictions, batch) → scalar, evaluated on the validation data of problems that have predictions.

Every public function in a file of this folder is an entry: its name is its name in tables, as `valid_<name>`, on the command line and in the
documentation, and the contract tests run it. Problems of the catalogue and of users import it; a metric imports nothing of lrbench.
"""
