"""What lrbench is compared with: one module a peer, each run in a process of its own.

PyTorch's and JAX's thread pools disturb each other, and JAX fixes its device count when its backend starts.
So a benchmark starts a peer as `python -m benchmarks.peers.<name> --json` (see `benchmarks.table.run_peer`).

The peers of W1 (`digits_mlp`: 64-64-10 ReLU, batch 64, Adam, constant rate) start from the same weights, see
the same minibatches and, for the same number of models, the same rates: their final losses agree, which is
how a benchmark knows that each of them did the work. None of them evaluates inside the timed part, which
favours the peers.

Run them on a quiet machine: PyTorch's threads wait for each other at every operation, so that with two
threads and somebody else on the cores it falls to a tenth of its speed or less. The JSON line has the load
average (the peer itself included) and every timed call beside the median, so that a disturbed figure shows.
"""
