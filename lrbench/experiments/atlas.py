"""Which optimizer, at which rate, with which schedule?"""

from __future__ import annotations

from pathlib import Path

from lrbench.experiments._atlas import answers, closer, page, pictures, studies, tables
from lrbench.experiments._atlas.evidence import evidence_of
from lrbench.experiments._atlas.measures import measures
from lrbench.experiments._atlas.schedules import by_schedule
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN


def atlas(
    bench: Bench,
    *,
    problems: tuple[str, ...] = (
        "diabetes_linear",
        "breast_cancer_logistic",
        "digits_softmax",
        "matrix_factorization",
        "spirals_mlp",
        "mnist1d_mlp",
        "digits_mlp",
        "quadratic_deep",
    ),
    optimizers: tuple[str, ...] = ("all",),
    schedules: tuple[str, ...] = ("constant", "cosine", "warmup_cosine", "wsd"),
    rates: int = 13,
    steps: int = 200,
    seeds: int = 3,
    confirm: int = 10,
    closer_problems: tuple[str, ...] = ("breast_cancer_logistic", "mnist1d_mlp"),
    closer_optimizers: tuple[str, ...] = (
        "sgd",
        "adam",
        "adamw",
        "nadam",
        "rmsprop",
        "adagrad",
        "lion",
        "muon",
        "lamb",
        "schedule_free_adamw",
        "prodigy",
        "dowg",
    ),
    times: int = 10,
    many: int = 40,
) -> Answer:
    """Every optimizer of the catalogue with four schedules on eight small problems, tuned and untuned.

    Which optimizer is the safest if you do not tune its rate, and which is the best if you do? How wide are the good bands of methods that estimate their own
    rate? What does a schedule gain? A line is an optimizer with a schedule on a problem. Each line is trained at the same rates, two a decade from 1e-4 on, with the seeds
    of the grid. Its best rates are then trained again on fresh seeds, and these give its answer. Gradient descent is included without and with momentum. Everything else
    has the catalogue's defaults. `index.html` beside this page shows every line; you can sort and filter them.

    The gap is (ℓ − ℓ*) / (ℓ₀ − ℓ*) of a problem: 0 for the best line of all, 1 where training begins. ℓ is the validation loss if
    there is one. *Tuned* is the gap at the rate to use, on fresh seeds. *Untuned* is the gap at the rate that a method comes with, or else at the rate with the
    least mean gap on the other problems, so that no problem influences its own rate. A method comes with a rate of 1 if it estimates its own rate; momo, momo_adam,
    polyak_sgd, schedule_free_sgd and schedule_free_adamw come with optax's default, as the nearest rate of the grid. The band of
    good rates is the unbroken stretch around the best one with a loss within 5 % of the line's own best. cocob, which ignores the scale of
    gradients, has hardly a rate at all.

    Means over problems have Student's t intervals with problems as replicates. Eight problems are few and not drawn at random, so an interval says how far
    these problems agree, and little about others. Optimizers are compared with the one of least mean rank by joint sign flips of whole problems, step-down and
    adjusted for all pairs that might have been the best. Schedules are compared with the constant one, tuned against tuned: over problems, and on each
    problem by the fresh seeds. Both comparisons are paired, and adjusted by Holm's method over all optimizers and schedules.

    Two further questions are asked for some optimizers on two problems. Does the ranking hold in longer runs? The answer is Kendall's τ of both rankings, with percentile
    intervals over resamples of the fresh seeds; for comparison, the mean τ of the rankings by two halves of the seeds shows what chance alone does. Do conclusions
    from a few seeds hold? Many seeds are cut into disjoint parts. Each part tunes and compares the optimizers by itself, and the remaining seeds judge it.

    Args:
        problems: what is trained; those of the default have small sizes here.
        optimizers: their names, or all.
        schedules: the first is what the others are compared with.
        rates: how many, half a decade apart, from 1e-4 on.
        steps: of every run.
        seeds: of the grid.
        confirm: fresh seeds of the best rates.
        closer_problems: where it is asked how far the answers hold.
        closer_optimizers: of which.
        times: how many times as long the longer runs are.
        many: seeds at every rate, of which a few draw conclusions.

    Pictures:
        untuned: Mean gap and mean rank of every optimizer, untuned and tuned, with intervals over problems
        map: Gap of every optimizer on every problem, tuned and untuned, as two heat maps
        flatness: The width of the band of good rates of every optimizer; rate-free methods are marked
        gain: What each optimizer gains from each schedule over a constant rate, both tuned, with intervals
        holds: Ranks of optimizers in runs of two lengths, and the share of conclusions from few seeds that other seeds confirm

    Tables:
        by_line: A row per problem, optimizer and schedule; columns as in `sensitivity`, and `tuned_gap`, `untuned_gap`, `common_gap` (at the rate that is best for the
            other problems), `default_gap`, the rates of both, and `own_decades`, the width of the band.
        by_optimizer: A row per optimizer and schedule; `tuned_`, `untuned_` and `common_` `gap` and `rank`, means over problems with intervals, `worst`, and `p`
            against the one of least mean rank; `trains`, on how many problems it trains.
        by_schedule: A row per optimizer and schedule but the first; `gain` is its mean lower gap, `p` that it is none, `better` and `worse` the problems where fresh seeds tell.
        by_problem: A row per problem; its best line, and `alike`, the lines that fresh seeds do not tell apart from it; `within_5_percent` counts lines.
        cost: A row per problem and optimizer; the time of compiling and training, on cores shared with other work, and `times_sgd`, a run's time divided by that of sgd.
        longer_lines: A row per problem, schedule and optimizer; rank, loss and best rate in runs of both lengths, `shift` in decades.
        longer_runs: A row per problem and schedule; `tau` of both rankings, `tau_repeated` and `longer_tau_repeated` of two halves of the seeds.
        few_seeds: A row per problem and `count` of seeds; the share of `orderings`, of `significant` ones (unadjusted paired t), of `winner`s that other seeds confirm, and
            `regret`, the gap that the winner loses.

    Source: Schmidt, Schneider & Hennig, Descending through a crowded valley, arXiv:2007.01547.
    """
    grid = {"rate_count": rates, "steps": steps}
    few = {name: studies.many_seeds(name, closer_optimizers, **grid, seeds=many) for name in closer_problems}
    whole = {
        name: studies.atlas(name, optimizers, schedules, **grid, seeds=seeds, confirm=confirm)
        for name in problems
    }
    longer = {
        name: studies.longer(
            name, closer_optimizers, rate_count=rates, steps=times * steps, seeds=seeds, confirm=confirm
        )
        for name in closer_problems
    }
    checked = [{name: bench.check(table) for name, table in some.items()} for some in (few, longer, whole)]
    trained = [{name: bench.train(study) for name, study in some.items()} for some in checked]
    of_few, of_longer, of_whole = trained
    evidence = evidence_of(of_whole)
    found = measures(evidence)
    made = answers.Tables(
        tables.by_line(evidence, found),
        tables.by_optimizer(evidence, found),
        by_schedule(evidence),
        tables.by_problem(evidence, found, of_whole),
        tables.cost(of_whole),
        closer.longer(evidence, of_longer),
        closer.conclusions(of_few),
    )
    findings = answers.findings(evidence, found, made)
    lines = tuple(finding.line for finding in findings[:MAIN])
    facts = {"runs": int(made.by_problem["runs"].sum()), "steps": steps, "confirm": confirm}
    written: list[Path] = []
    for name, table in made.named().items():
        written += bench.write_table(name, table)
    for name, figure in pictures.pictures(evidence, found, made).items():
        written += bench.write_picture(name, figure)
    index = bench.write_text("index.html", page.page(evidence, found, made.cost, lines, facts))
    return Answer(lines, (*written, index, *bench.write_findings(findings)))
