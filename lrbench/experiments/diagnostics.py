"""Which optimizers solve which diagnostic problems, and how many tries does that take?"""

from __future__ import annotations

import pandas as pd

from lrbench.errors import StudyError
from lrbench.experiments._diagnostics import drawing, judge, studies, theory
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.findings import Finding
from lrbench.experiments.page import MAIN
from lrbench.study import catalog

_COUNTEREXAMPLE = "rare_gradients"


def diagnostics(
    bench: Bench,
    *,
    problems: tuple[str, ...] = (
        "saddle",
        "monkey_saddle",
        "plateau",
        "cliff",
        "narrow_well",
        "absolute_value",
        "deep_chain",
        "beale",
        "rosenbrock",
        "rosenbrock_chain",
        "rastrigin",
        "double_well",
        "ill_conditioned",
        "additive_noise",
        "multiplicative_noise",
        "heavy_tailed_noise",
        "flipped_gradients",
        "sparse_gradients",
        "delayed_gradient",
        "quantised_gradient",
        "quantised_weights",
        "drifting_optimum",
        "rare_gradients",
        "rotated_gradient",
    ),
    optimizers: tuple[str, ...] = (
        "sgd",
        "adam",
        "amsgrad",
        "adabelief",
        "rmsprop",
        "adagrad",
        "lion",
        "sign_sgd",
        "rprop",
        "muon",
        "prodigy",
        "dog",
        "schedule_free_adamw",
    ),
    rates: int = 16,
    steps: int = 1000,
    tuning: int = 3,
    held_out: int = 5,
    target: float = 0.01,
) -> Answer:
    """Which optimizers solve problems that isolate one difficulty each, at their best rate, and in how many random tries.

    A run solves its problem if its loss is at most `target` above the minimum at every evaluation of the last tenth of
    its steps. A target that is reached and lost again does not count. All problems of the default list have a known minimum, and
    losses are evaluated without the noise and the faults of gradients.

    Every optimizer is trained at every rate of a grid from 10⁻⁴ to 10, on `tuning` + `held_out` seeds. The chosen rate is the one that solves the problem
    on most of the tuning seeds; among several, the one with the least median loss. It is judged on the held-out seeds alone. The
    optimizer solves the problem if more than half of them are solved. Intervals are bootstrapped over the held-out seeds.

    Attempts are the expected number of random draws, of a rate from the grid and of a seed, until one run solves the problem: 1 divided by the
    share of all runs of the line that solve it. This measures how wide the band of good rates is, and so the cost of tuning.

    `ill_conditioned` is tried with condition numbers of 10⁴ and 10⁶, and rotated with 10⁴. `sgd` is tried without and with momentum 0.9, and with
    Nesterov's; everything else has its defaults. Adam's counterexample, `rare_gradients`, is also trained with b₂ of 0.9, 0.99 and 0.999.

    Args:
        problems: names of problems whose minimum is known.
        optimizers: names of optimizers; `all` are all of the catalogue.
        rates: how many learning rates, log-spaced from 10⁻⁴ to 10.
        steps: of every run.
        tuning: seeds on which rates are chosen.
        held_out: further seeds, on which they are judged.
        target: how far above the minimum a solved run may be.

    Pictures:
        matrix: Who solves what. Blue, the share of held-out seeds on which a problem is solved at the chosen rate; the number in
            a cell, the expected draws of rate and seed until one run solves it (a dash: none did); beside the names, how many are solved.
        draws: Problems that are solved after so many random draws of rate and seed, a line per optimizer.

    Tables:
        lines: A row per problem and optimizer; `learning_rate` is the chosen rate, `solved_share` the share of held-out seeds solved at it,
            `gap` their median loss above the minimum, at its greatest over the last tenth; `success` the share of all runs that solve it, and
            `attempts` one by it.
        by_optimizer: A row per optimizer; `solved` of `problems`, with a 95 % interval, `solved_in_10_draws` the problems
            expected to be solved by ten draws of rate and seed each, `attempts` the median over problems.
        by_problem: A row per problem; `solved_by` of `optimizers`, `success` the share of all runs that solve it, `easiest_for` the
            optimizer that solves it in the fewest `attempts`.
        counterexample: A row per optimizer and b₂ on Adam's counterexample, with the columns of `lines`.

    Source: the idea of a matrix of diagnostic problems and of attempts to success is LightBench's (HomebrewML/HeavyBall on
        GitHub, folder benchmark); problems, definitions and code are lrbench's own, and each problem names its source.
    """
    if tuning < 1 or held_out < 1:
        raise StudyError(f"tuning = {tuning}, held_out = {held_out}: both must be 1 or more")
    chosen = tuple(catalog.names("optimizer")) if optimizers == ("all",) else optimizers
    seeds = tuning + held_out
    tables = [studies.matrix(problems, chosen, rates, seeds, steps)]
    if _COUNTEREXAMPLE in problems:
        tables.append(studies.counterexample(rates, seeds, steps))
    optimum = studies.optima(problems)
    runs, *more = [
        judge.gaps(bench.train(each), optimum) for each in [bench.check(table) for table in tables]
    ]
    judged = judge.judge(runs, target, tuning)
    of_optimizers, of_problems = judge.by_optimizer(judged), judge.by_problem(judged)
    paths = [
        *bench.write_table("lines", judged.lines),
        *bench.write_table("by_optimizer", of_optimizers),
        *bench.write_table("by_problem", of_problems),
        *bench.write_picture("matrix", drawing.matrix(judged, of_optimizers, of_problems)),
        *bench.write_picture("draws", drawing.draws(judged, of_optimizers)),
    ]
    findings = [*_main(of_optimizers, of_problems), *theory.expected(judged)]
    findings += [*theory.limits(runs), *theory.floor(runs)]
    for each in more:
        memories = judge.judge(_with_memory(each), target, tuning)
        paths += bench.write_table("counterexample", memories.lines)
        findings += theory.memory(memories)
    paths += bench.write_findings(findings)
    return Answer(tuple(finding.line for finding in findings[:MAIN]), tuple(paths))


def _with_memory(runs: pd.DataFrame) -> pd.DataFrame:
    memory = [f", b2 {value:g}" for value in runs["optimizer_b2"]]
    return runs.assign(optimizer=runs["optimizer"] + memory)


def _main(optimizers: pd.DataFrame, problems: pd.DataFrame) -> list[Finding]:
    """Return who solves most and least, which problems few solve, and who needs the fewest draws."""
    best, worst = optimizers.iloc[0], optimizers.iloc[-1]
    hardest = problems.iloc[-1]
    quickest = optimizers.iloc[int(optimizers["solved_in_10_draws"].argmax())]
    unsolved = problems.loc[problems["solved_by"] == 0, "problem"]
    which = f" ({', '.join(unsolved)})" if 0 < len(unsolved) <= 3 else ""
    solved = f"of {len(problems)}"
    return [
        Finding(
            f"problems that {row['optimizer']} solves, the {how}",
            float(row["solved"]),
            float(row["solved_low"]),
            float(row["solved_high"]),
            unit=solved,
        )
        for how, row in (("most", best), ("fewest", worst))
    ] + [
        Finding(
            f"problems that ten random draws of rate and seed solve with {quickest['optimizer']}, the most",
            float(quickest["solved_in_10_draws"]),
            unit=solved,
        ),
        Finding(
            f"optimizers that solve {hardest['problem']}, the hardest problem",
            float(hardest["solved_by"]),
            unit=f"of {len(optimizers)}",
        ),
        Finding(f"problems that no optimizer solves{which}", float(len(unsolved)), unit=solved),
    ]
