"""Do the published models of MNIST-1D reach the published accuracies, and is the best rate where it was found?"""

from __future__ import annotations

import pandas as pd

from lrbench.errors import StudyError
from lrbench.experiments._choices import require_known
from lrbench.experiments._mnist1d import accuracies, drawing, optimum
from lrbench.experiments._mnist1d.published import MODELS
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN


def mnist1d(
    bench: Bench,
    *,
    models: tuple[str, ...] = ("mnist1d_softmax", "mnist1d_mlp", "mnist1d_cnn", "mnist1d_gru"),
    rates: tuple[float, ...] = (0.003, 0.01, 0.03),
    steps: int = 6000,
    seeds: int = 5,
    gru_seeds: int = 3,
    optimum_seeds: int = 24,
    per_decade: int = 24,
) -> Answer:
    """The published models of MNIST-1D: their accuracies, and the best rate of gradient descent that its authors found by metalearning.

    Logistic regression, a residual MLP, a CNN and a bidirectional GRU are trained with Adam at the published rate of 0.01 and at others, with
    batches of 100 for 6,000 steps, on the published 4,000 curves, and evaluated on the published 1,000 others. Data, models, initial
    distributions, optimizer and batch size are those of the repository's notebooks. One thing differs: the notebooks take the minibatches in the same order in
    each epoch, lrbench in a new order, which may matter most early in training. A notebook's accuracy is that of one seed. Two notebooks print it: `quickstart`, and `benchmark`, which is
    `mnist1d-classification`. The README's table, in whole percent, names neither the seed nor the step.

    The best rate is that of SGD on a tanh MLP 40-50-10 with batches of 50, in 200 steps: the rate with the least minibatch loss, as a mean over
    all steps. The notebook `metalearn-learn-rate` finds it for one seed by gradient descent on the rate itself, through the
    whole training. Here it is the lowest point of a parabola in log rate, fitted for each seed through the rate of a fine grid that is best on average and
    two rates on each side of it. Rates are averaged as logarithms.

    Intervals are Student's t over seeds. A printed number is of one seed, so it should lie in the range in which one further seed falls with 95 %: s √(1 + 1/n)
    instead of s / √n. Both printed accuracies must lie in that range, and the README's too, within its rounding. With few seeds the range is wide and says little; the GRU
    has the fewest. The best rate of a grid is chosen by the accuracy that is
    reported for it, which favours it a little.

    Args:
        models: the problems of the models that are trained with Adam.
        rates: of Adam, beside the published one.
        steps: of the four models.
        seeds: a count, of all models but the GRU.
        gru_seeds: of the GRU, which takes most of the time.
        optimum_seeds: of the tanh MLP.
        per_decade: its rates per decade, from 0.2 to 2.

    Pictures:
        accuracies: Test accuracy of each model while it is trained at Adam's rate 0.01: mean over seeds, where one further seed falls, and what
            two notebooks print.
        rates: Test accuracy at the end against Adam's rate, a line per model, beside the README's.
        optimum: Mean training loss of the tanh MLP against the rate of SGD, with the best rate and the one that the notebook found.

    Tables:
        accuracy: A row per model, Adam's rate and step: `accuracy` in percent, mean over so many `seeds`, with its 95 % interval, `low` to `high`, and
            the range in which one further seed falls with 95 %, `one_low` to `one_high`.
        printed: A row per model, notebook and step: the `accuracy` in percent that the notebook prints.
        mean_loss: A row per rate of SGD: `mean_loss` of the minibatches, mean over steps and seeds, with its 95 % interval, `low` to `high`.

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439; github.com/greydanus/mnist1d, notebooks quickstart,
        mnist1d-classification and metalearn-learn-rate.
    """
    if per_decade < optimum.FEWEST:
        raise StudyError(f"per_decade = {per_decade}: must be {optimum.FEWEST} or more, for a parabola")
    known = {model.problem: model for model in MODELS}
    require_known("models", models, known)
    asked = [
        accuracies.study(known[name], rates, steps, gru_seeds if name == "mnist1d_gru" else seeds)
        for name in models
    ]
    studies = [bench.check(each) for each in asked]
    losses = optimum.losses(bench.train(bench.check(optimum.study(per_decade, optimum_seeds))))
    results = {known[study.name].name: bench.train(study) for study in studies}
    tables = {name: accuracies.table(name, found) for name, found in results.items()}
    accuracy, printed = pd.concat(tables.values(), ignore_index=True), accuracies.printed()
    best, mean_loss = optimum.optimum(losses), optimum.table(losses)
    parameters = {name: int(found.runs["parameters"].iloc[0]) for name, found in results.items()}
    findings = [
        *accuracies.main_findings(tables, steps),
        *optimum.findings(best),
        *accuracies.more_findings(tables, steps),
        *accuracies.of_parameters(parameters),
    ]
    return Answer(
        tuple(finding.line for finding in findings[:MAIN]),
        (
            *bench.write_table("accuracy", accuracy),
            *bench.write_table("printed", printed),
            *bench.write_table("mean_loss", mean_loss),
            *bench.write_picture(
                "accuracies", drawing.accuracies(accuracy, printed, accuracies.agreement(tables))
            ),
            *bench.write_picture("rates", drawing.rates(accuracy)),
            *bench.write_picture("optimum", drawing.optimum(mean_loss, best)),
            *bench.write_findings(findings),
        ),
    )
