"""What introductions to the learning rate claim, measured claim by claim."""

from __future__ import annotations

from lrbench.experiments._claims import judging
from lrbench.experiments._claims.page import page
from lrbench.experiments._claims.studies import studies
from lrbench.experiments.bench import Answer, Bench


def claims(
    bench: Bench,
    *,
    steps: int = 300,
    seeds: int | None = None,
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

    Five studies are trained: `step` (one step on one sale), `wells` (a local optimum), `scale` (raw and standardised data),
    `families` (models from a line to a transformer, four optimizers) and `schedules` (nine schedules, three optimizers). A
    claim consists of findings, each a number with a rule; it holds if all rules are met, and in part if some are.

    Args:
        steps: of every run, except those of `step`.
        seeds: of every study but `step`; left out, 40 for `wells`, 5 for `scale`, 3 for `families`, 4 for `schedules`.
        family_problems: problems of `families`; a claim that requires one that is missing is not measured.
        schedule_problems: problems of `schedules`.

    Source: sentences that introductions to the learning rate repeat; docs/claims.md has the rules and when they were set.
    """
    tables = studies(steps, seeds, family_problems, schedule_problems)
    results = {study.name: bench.train(study) for study in [bench.check(table) for table in tables]}
    judgements = judging.judge(results)
    table = bench.write_table("claims", judging.table(judgements))
    drawn = {
        name: bench.write_picture(f"plots/{name}", figure)[0]
        for name, figure in judging.pictures(judgements).items()
    }
    pictures = {name: png.read_bytes() for name, png in drawn.items()}
    runs = {name: len(found.runs) for name, found in results.items()}
    report = bench.write_text("report.html", page(judgements, pictures, runs))
    plots = {png.parent for png in drawn.values()}
    return Answer(tuple(each.line for each in judgements), (*table, *plots, report))
