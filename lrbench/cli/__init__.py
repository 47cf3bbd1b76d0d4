"""The command line: thin commands over the rest of lrbench, and what a terminal shows while they run.

`commands` puts the commands together and turns a user's mistake into one line and an exit code. A file holds a group of commands: those
that train in `train_commands`, those that read a results folder in `result_commands`, and those that look ahead or at the machine in
`info_commands`; they share `arguments` and `output`. A command imports what it needs when it runs, so that `lrbench --help` is
quick. `interrupt` takes Ctrl-C and SIGTERM, and `leave` ends the process; they are imported before anything else. `progress` shows training, `listing` the
catalogue, `doctor` the machine, and `speed` measures it; `json_schema` is what these print as JSON. `completion` is what a shell is offered.
"""
