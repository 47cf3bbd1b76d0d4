"""Launchers: each maps the work over packs; none knows what the work is."""
