"""Networks that problems share: layers and losses as plain functions of parameter pytrees, written for many lanes at once.

Weights are [output, input] and activations [feature, example], so that the products of many lanes stack to one. Read `layers` first; `convolutions` are written
out as slices, since XLA's own are slow for many lanes on a CPU, and `cnn` puts them together; `attention`, `recurrent` and
`normalisation` are the other layers, and `mup` scales initial weights and rates with the width. No data, no optimizer and no engine is known here.
"""
