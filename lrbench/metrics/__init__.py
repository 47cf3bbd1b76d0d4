"""Metrics: (predictions, batch) → scalar, evaluated on the validation data of problems that have predictions.

Every public function in a file of this folder is an entry, which the contract tests run; the decorator `metric` of `study.metric`
declares which of its values are better, how far they go, and whether it is a mean over examples. A problem that uses it gives it its
name in tables, `valid_<name>`, by its key in `Problem.metrics`: that of the function. Problems of the catalogue and of users import it.
"""
