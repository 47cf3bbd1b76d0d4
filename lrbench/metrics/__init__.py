"""Metrics: (predictions, batch) → scalar, evaluated on the validation data of problems that have predictions.

Every public function in a file of this folder is an entry, which the contract tests run. A problem that uses it gives it its name in tables,
`valid_<name>`, by its key in `Problem.metrics`: that of the function. Problems of the catalogue and of users import it; a metric imports nothing of lrbench.
"""
