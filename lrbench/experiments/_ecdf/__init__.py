"""What the experiment `ecdf` makes of first hits, which only it imports.

`tuning` adds up the runs of every optimizer and makes the table of them, `findings` is what is said of it, and `pictures` what is drawn.
Every number with an interval is a function of seeds, which are resampled.
"""
