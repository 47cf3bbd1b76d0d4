"""The command line: thin commands over the rest of lrbench, and what a terminal shows while they run.

`commands` holds every command and turns a user's mistake into one line and an exit code; it imports what a command needs when it runs, so
that `lrbench --help` is quick. `interrupt` takes Ctrl-C and SIGTERM and is imported before anything else. `progress` shows training,
`listing` the catalogue, `doctor` the machine, and `speed` measures it.
"""
