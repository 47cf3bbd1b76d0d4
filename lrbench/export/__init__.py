"""Exporters: one file each, `(results, folder) -> str`: writes into an empty folder, and returns a line that says how to open it."""
