"""Experiments: studies with a table, a picture and an answer of their own; each is the public function of a file here.

An experiment is a function `name(bench, *, ...) -> Answer`. It asks its bench to train ordinary studies, so that it can
be interrupted, resumed and extended as they can; its parameters all have defaults, which `--set` overrides.
"""
