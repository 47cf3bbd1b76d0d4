"""What introductions to the learning rate claim, measured claim by claim."""

from __future__ import annotations

from lrbench.experiments._claims import judging, zones
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.page import page
from lrbench.experiments._claims.studies import studies
from lrbench.experiments.bench import Answer, Bench


def claims(
    bench: Bench,
    *,
    steps: int = 300,
    seeds: int | None = None,
    lengths: tuple[int, ...] = (3_000, 30_000),
    family_problems: tuple[str, ...] = (
        "house_prices",
        "digits_softmax",
        "digits_mlp",
        "digits_cnn",
        "char_transformer",
    ),
    schedule_problems: tuple[str, ...] = ("digits_mlp", "mnist1d_mlp"),
) -> Answer:
    """What introductions to the learning rate claim, measured claim by claim: a verdict, numbers and a picture for each.

    A claim consists of findings, each a number with a rule that was set before the numbers were seen. It holds if all rules are met, holds in part if
    some are, and does not hold if none is. Below are the number of claims with each verdict, the number of rules met for each claim, and the most
    important findings. `claims.csv` has all findings, and docs/claims.md has the rules and when they were set.

    The studies are `step` (one step on one sale), `wells` (400 starts in a local optimum), `scale` (raw and standardised data), `families`
    (models from a line to a transformer, four optimizers, 300 steps) and, with Adam alone, `families_3000` and `families_30000`, `equal_loss` (two networks
    whose accuracy is compared where rates have the same training loss) and `schedules` (nine schedules, three optimizers). Good, stable and best
    rates are those of docs/definitions.md.

    Args:
        steps: of every run, except those of `step`, which take one, of `equal_loss`, which take four times as many, and of `lengths`.
        seeds: of every study but `step`; left out, 400 for `wells`, 5 for `scale`, 3 for `families` and 1 for its longer runs, 8 for `equal_loss` and `schedules`.
        lengths: steps of longer runs of the families, which show whether the usual rates become good.
        family_problems: problems of `families`; a claim that requires one that is missing is not measured.
        schedule_problems: problems of `schedules` and `equal_loss`.

    Pictures:
        S1: The length of a step against the rate times the length of the gradient.
        S1b: The price that is predicted after one step, with the stated gradient and with that of the squared error.
        S2: Loss against step at a rate that is too small, one that is good and one that is too large; and which rates leave a local optimum.
        S3: Loss against rate for standardised and for raw prices.
        S4: Good rates of five problems by optimizer and by length of the runs, beside the ranges that are usually advised.
        S5: The rate over the run under every schedule, as a share of its peak, as recorded.
        S6: Loss against rate for every optimizer, a panel per problem.
        S7: How far every optimizer with every schedule, at its best rate, ends from the best loss.
        S8: Steps to most of the way, share of runs that fail, and accuracy at equal training loss, each against the rate.
        S9: The curve of every rate, and the step at which the lowest is chosen.
        S10: What each decay gains over a constant rate, both tuned on other seeds, with intervals.
        T1: How many decades of larger rates warmup adds, with intervals.
        T2: How many decades of rates are good, by problem and optimizer.

    Tables:
        claims: A row per finding; `claim`, `text` and `verdict` are of the claim, `value`, `low`, `high` and `unit` of the finding, `rule` is what the
            claim requires of it, and `met` whether it is so.
        escapes: A row per rate of gradient descent on the two wells; `share` is how many of the `runs` that start in the shallower well end in
            the deeper one, `low` and `high` are Wilson's 95 % interval.

    Source: sentences that introductions to the learning rate repeat; docs/claims.md has the rules and when they were set.
    """
    tables = studies(steps, seeds, lengths, family_problems, schedule_problems)
    results = {study.name: bench.train(study) for study in [bench.check(table) for table in tables]}
    evidence = Evidence(results)
    judgements = judging.judge(evidence)
    written = [
        *bench.write_table("claims", judging.table(judgements)),
        *bench.write_table("escapes", zones.escapes(evidence["wells"])),
    ]
    drawn = {name: bench.write_picture(name, figure) for name, figure in judging.pictures(judgements).items()}
    pictures = {name: png.read_bytes() for name, (png, *_) in drawn.items()}
    runs = {name: len(found.runs) for name, found in results.items()}
    written += [path for paths in drawn.values() for path in paths]
    written += [bench.write_text("report.html", page(judgements, pictures, runs))]
    found = bench.write_findings(judging.findings(judgements))
    return Answer(tuple(each.line for each in judgements), (*written, *found))
