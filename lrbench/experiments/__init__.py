"""Experiments: studies that answer a question, with tables and pictures.

An experiment is the public function of a file here, `name(bench, *, ...) -> Answer`, and `bench` is what it works with. The bench trains
ordinary studies, so that an experiment can be interrupted, resumed and extended as they can; all parameters have defaults, which
`--set` overrides. Files and folders whose names begin with an underscore are not experiments: `_claims` is what
the experiment `claims` consists of. Experiments may import anything but the command line.
"""
