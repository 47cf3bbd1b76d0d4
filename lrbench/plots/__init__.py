"""Plots: tables in, a matplotlib figure out; one file each, whose function of the plot's name draws it.

`base` has what they share: style, colours and axes. A plot that has nothing to show returns a figure without axes, which is not written. The contract tests draw each from one row
and from runs that all diverged, and inspect its artists. The plot's name is that of `results.plot(NAME)` and of the file in `plots/` of a results folder;
the report has pictures of its own.
"""
