"""Exporters: the results for another tool, such as TensorBoard, Weights & Biases or a spreadsheet.

Each is one file with one public function of the exporter's name, `(results, folder) -> str`: it writes into an empty folder, and returns a line that says
how to open what it wrote. A library that few people have is imported when it is used, with an error that says how to get it. The name is that of
`lrbench export --to NAME`.
"""
