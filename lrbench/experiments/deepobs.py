"""Does lrbench meet the losses that DeepOBS published, and what do they depend on?"""

from __future__ import annotations

from lrbench.errors import StudyError
from lrbench.experiments._deepobs import definitions, pictures, rows
from lrbench.experiments._deepobs.expected import Noisy
from lrbench.experiments._deepobs.findings import MeasuredRows, findings
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN


def deepobs(bench: Bench, *, epochs: int = 100, seeds: int = 10, thin: int = 1) -> Answer:
    """The 108 runs that DeepOBS published on its noisy quadratic, compared with ours: in their order of batches, in other fixed orders, and reshuffled.

    Three optimizers (gradient descent, momentum 0.99, Adam) at 36 learning rates each minimise ½ (w − x)ᵀ H (w − x) in 100 dimensions over 1,000 examples x,
    with seven batches of 128 in an epoch. The test losses after the last epoch are compared.

    The published runs saw their batches in the same order in every epoch. In every epoch they restarted TensorFlow's shuffle from the same two
    seeds: 42, that of the run, and 2, the number of the operation in the graph. The second seed is not published; it is the only one
    from 0 to 399 whose order gives the published losses. lrbench draws that order with TensorFlow's generator (`order = "given"`), and trains in float32 as
    they did. A row is met if the two losses differ by at most 10⁻⁵ of their size, or if neither is finite.

    Two further orders show how much the published results depend on theirs: `fixed` is shuffled once by each seed and then the same in each epoch, and `reshuffled` is shuffled in each epoch.
    All runs start at w = (1, …, 1), so seeds differ only in the order. For gradient descent and momentum, w is linear in the examples, so the
    expected loss over all orders has a closed form in both cases. With a fixed order, the responses to the same batch in all epochs add up before they are squared.

    A fixed order drives w with a period of seven steps. With momentum, each direction of the curvature oscillates with its own period. If one of them oscillates once per epoch, a
    fixed order drives it in resonance, and the loss depends on the order more than on anything else. At small rates the seven pushes of an epoch nearly cancel. So a fixed order has less
    noise than reshuffled examples, and larger rates stay good.

    At its largest rates, Adam jumps over the minimum in each step. Because it divides gradients by their size, differences in the last digit grow from step to step. Runs in
    float64, otherwise the same, show where this happens.

    The best rate, the rate to use, the good band and its length, the collapse and the sensitivity follow lrbench's definitions. For the published rows they are computed as if these
    were runs of lrbench. In the table of cliffs, a rate is stable if all its runs, and those of every smaller rate, stay finite.

    Args:
        epochs: of every run; the published ones have 100.
        seeds: a count, of the orders that are not theirs.
        thin: train only every `thin`-th of the published rates.

    Pictures:
        losses: Test loss above its minimum against the learning rate for gradient descent, momentum and Adam: the published points, and our lines for their
            order of the examples, for other fixed orders, and for examples that are reshuffled in each epoch.
        differences: Relative difference between our losses and the published ones, by rate, in their order and in others.

    Tables:
        rows: A row per published run; `given_loss` is ours in their order, `float64_loss` the same in float64, `relative_difference` that between `given_loss` and
            `published_loss`; `<order>_low`, `_median`, `_high` are over seeds, `_expected` over all orders. Missing: not finite, or not known.
        cliffs: A row per source and optimizer; `threshold` is 2(1 + β)/λ, `between` whether it lies between the last stable rate and the first unstable one.
        definitions: A row per source and optimizer; the columns are those of the table `sensitivity` of a study.

    Source: Schneider, Balles & Hennig, DeepOBS: A deep learning optimizer benchmark suite, ICLR 2019, arXiv:1903.05499; the losses are those of
        github.com/fsschneider/DeepOBS_Baselines.
    """
    if thin < 1:
        raise StudyError(f"thin = {thin}: must be 1 or more")
    checked = {name: bench.check(study) for name, study in rows.studies(epochs, seeds, thin).items()}
    runs = {name: rows.named(bench.train(study).runs) for name, study in checked.items()}
    theirs, noisy = rows.published(thin), Noisy()
    table = rows.rows(theirs, runs, noisy, epochs)
    by_source = definitions.sources(theirs, runs)
    found = MeasuredRows(
        table,
        definitions.cliffs(by_source, noisy),
        definitions.definitions(by_source),
        theirs,
        runs["several"],
        noisy,
    )
    said = findings(found)
    paths = (
        *bench.write_table("rows", found.rows),
        *bench.write_table("cliffs", found.cliffs),
        *bench.write_table("definitions", found.definitions),
        *bench.write_picture(
            "losses", pictures.losses(table, noisy.least, pictures.thresholds(noisy.largest))
        ),
        *bench.write_picture("differences", pictures.differences(table)),
        *bench.write_findings(said),
    )
    return Answer(tuple(each.line for each in said[:MAIN]), paths)
