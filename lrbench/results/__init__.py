"""What came out: a results folder on disk, its parts, its tables, and what is read from them. No JAX, so that results open on any laptop.

`folder` is the results folder: it writes parts, tables, pictures and the manifest. What is read and written in a results folder goes through three modules: `safe_files`
opens files and follows no link, `atomic` writes them whole or not at all, `lock` lets one process write at a time. `trained` is the record of what
training gave, which the engine fills; `part_file` encodes it as one Parquet file, `inventory` finds the parts and which runs of a grid they hold,
by `run_lookup`; `places` are a folder and a URL alike, `remote_folder` is a results folder at a URL, and `local_copy` what it is worked on in. `manifest_schema` is what manifest.json may hold, `checksums` find a table that has changed.
`building` makes the tables from parts, as `lrbench/tables/` defines them. `results` opens a folder for reading, and of its longest table only `some_curves`; `pictures` writes plots and the report, `one_problem` is what a plot of a single problem is drawn from, and `drawing` shares that among processes; `helpers` are such processes; `query` asks it in SQL, `compare` puts two side by side, `shown` is how they look in a notebook, and `text_table` aligns text.
"""
