"""Exporters: results in the format of another tool, such as TensorBoard, Weights & Biases or a spreadsheet.

Each is one file with one public function of the same name, `(results, folder) -> str`: it writes into an empty folder, and returns a line that
says how to open the output. That name is the one of `lrbench export --to NAME`. An optional library is imported where it is used, with an
error that says how to install it. `_runs` holds what the exporters of single runs share.
"""
