"""Networks that problems share: layers and losses as plain functions of parameter pytrees, written to be fast under `vmap`.

Weights are [output, input] and activations [feature, example], so that the products of many lanes become one. Read `layers` first; `convolutions`
implements convolutions as matrix products over slices, because XLA's own are slow for many lanes on a CPU, and `cnn` builds networks of them;
`attention`, `recurrent` and `normalisation` are the other layers, and `mup` scales initial weights and learning rates with the width. `parameters` gives
the parameters of any network names, which patterns match. `problems` imports this folder, and for `parameters` `optimizers` and `engine` do; it imports no
data, optimizer or engine.
"""
