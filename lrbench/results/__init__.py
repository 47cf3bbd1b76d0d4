"""What came out: a results folder on disk, its parts, its tables, and what is read from them.

Nothing here imports JAX, so that results open on any laptop. `folder` is the one place that writes to a results folder, and `inside`
the one way to a file of it, which follows no link; `lock` has one process write at a time. A pack's runs are a `part`, found by
`part_index` and `places`, or at a URL in an `object_store`. `tables` are made from parts, `record` is the schema of the manifest, and
`sums` tell a damaged table. `results` opens all that, `query` asks it in SQL, `compare` puts two side by side, `tabulate` aligns text.
"""
