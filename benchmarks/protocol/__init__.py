"""The protocol of `benchmarks.answers`: how right an answer is on seeds that it has not seen.

`studies` says which runs are trained; `recorded` reads them, and draws studies from them, each a frame of runs as a study of few seeds would have it.
`methods` is what is recommended from such a frame: by lrbench's own tables, and by what they are compared with (`tpe` is Optuna's, `rules` are others for the
rate to use). `truth` judges a recommendation on all other seeds, `pace` the bands by pace, `intervals` how often intervals cover and comparisons err. `judging`
does all of it, `measures` sums it up, `targets` compares it with what was wanted, and `picture` draws it.
"""
