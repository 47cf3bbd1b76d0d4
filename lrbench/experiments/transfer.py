"""Does the best learning rate of a small network suit a large one?"""

from __future__ import annotations

import pandas as pd

from lrbench.experiments._choices import require_known
from lrbench.experiments._transfer import best_rates, pictures
from lrbench.experiments._transfer.grids import GROWS, LOWEST, study
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN


def transfer(
    bench: Bench,
    *,
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
    depths: tuple[int, ...] = (2, 3, 5, 8),
    depth_width: int = 128,
    optimizers: tuple[str, ...] = ("adam", "sgd"),
    rates: int = 9,
    steps: int = 100,
    seeds: int = 6,
) -> Answer:
    """Best learning rate against width and against depth, with standard parametrisation and with muP, on the digits.

    Networks with two hidden layers grow in width; networks of fixed width grow in depth. Each is trained at rates that double from one to the next, with
    common seeds. The best rate is the lowest point of a least squares parabola in log rate, fitted to the logarithm of the mean training loss at the
    end, over two rates on either side of the lowest. Its interval is Student's t over seeds, by the jackknife. If the lowest loss is at the first
    or last rate, there is no best rate. The slope is that of the straight line through log best rate against log size. Its interval includes the errors of the
    seeds, of the parabola, and of the best rates around the line.

    For a width n, theory expects the best rate of Adam to fall as 1/n with standard parametrisation, and to stay constant with muP. It makes no prediction for
    depth: this form of muP does not scale with depth.

    Args:
        widths: of both hidden layers; the first is the one that the others are compared with.
        depths: numbers of hidden layers; likewise.
        depth_width: of all hidden layers where depth grows.
        optimizers: adam, sgd, or both.
        rates: how many, from 2⁻¹¹ on for adam and from 2⁻⁶ on for sgd.
        steps: optimizer steps of every run.
        seeds: a count.

    Pictures:
        slopes: The best rate against the width and against the number of hidden layers, with intervals
        by_width: Final training loss against learning rate, a line per width
        by_depth: Final training loss against learning rate, a line per number of hidden layers

    Tables:
        transfer: A row per network and rate; `grows` says which size its study varies, `train_loss` is the mean over seeds of the loss at the end,
            each capped at its start.
        best: A row per network; `best_learning_rate` is the fitted one, with its interval, `train_loss` the lowest loss of its grid, `shift` the
            grid steps of a factor of 2 from the best rate of the first size, `best_at_edge` whether the lowest loss is at an edge of the grid,
            `transferred_loss` the loss at the best rate of the first size, interpolated.
        by_size: A row per optimizer, parametrisation and what grows; `slope` is that of log best rate against log size, `sizes_fitted` how many
            sizes have a best rate.

    Source: Yang et al., Tensor Programs V: Tuning large neural networks via zero-shot hyperparameter transfer,
        arXiv:2203.03466.
    """
    require_known("optimizers", optimizers, LOWEST)
    networks = {
        GROWS[0]: [[width, width] for width in widths],
        GROWS[1]: [[depth_width] * depth for depth in depths],
    }
    checked = [
        (name, grows, bench.check(study(name, grows, hidden, rates, steps, seeds)))
        for grows, hidden in networks.items()
        for name in optimizers
    ]
    found = [best_rates.measured(bench.train(each), name, grows) for name, grows, each in checked]
    table, best, by_size = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    findings = best_rates.findings(best, by_size)
    return Answer(
        tuple(finding.line for finding in findings[:MAIN]),
        (
            *bench.write_table("transfer", table),
            *bench.write_table("best", best),
            *bench.write_table("by_size", by_size),
            *bench.write_picture("slopes", pictures.slopes(best, by_size)),
            *(
                path
                for grows in GROWS
                for path in bench.write_picture(f"by_{grows}", pictures.losses(table, best, grows))
            ),
            *bench.write_findings(findings),
        ),
    )
