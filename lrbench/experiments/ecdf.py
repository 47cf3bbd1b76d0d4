"""Which optimizer meets the most targets in so many steps, if somebody told you its rate, and if you have to find it?"""

from __future__ import annotations

from lrbench.analysis import ecdf as running_times
from lrbench.experiments._choices import OPTIMIZERS
from lrbench.experiments._ecdf import tuning
from lrbench.experiments._ecdf.findings import findings
from lrbench.experiments._ecdf.pictures import distributions, prices
from lrbench.experiments.bench import Answer, Bench


def ecdf(
    bench: Bench,
    *,
    problems: tuple[str, ...] = (
        "rosenbrock",
        "beale",
        "branin",
        "rastrigin",
        "styblinski_tang",
        "deep_linear",
        "matrix_factorization",
        "breast_cancer_logistic",
        "diabetes_linear",
    ),
    curvatures: tuple[float, ...] = (0.1, 0.001),
    optimizers: tuple[str, ...] = (
        "sgd",
        "momentum",
        "adam",
        "rmsprop",
        "adagrad",
        "lion",
        "sign_sgd",
        "rprop",
        "prodigy",
        "dog",
    ),
    rates: int = 13,
    steps: int = 2000,
    seeds: int = 10,
) -> Answer:
    """Runtime distributions of optimizers, and the cost of finding the learning rate: restarts at random rates count as running time.

    Every optimizer is trained at every rate of one grid, log-spaced from 10⁻⁴ to 10², without a schedule and in binary64. A run records the step at which its loss
    first met each of 200 rungs between its start and the optimum. For problems with data, this is the validation loss at every hundredth of the
    steps. A problem has 51 of these rungs as targets, or fewer if there are not so many. If the optimum ℓ* is known, they go from 0.9 to 10⁻⁸ of (ℓ₀ − ℓ*); otherwise from 0.9 of ℓ₀ down to the lowest rung that
    any run met.

    The first comparison is what a single run meets. The second is how long it takes with restarts; a restart draws a run with replacement. "At the best rate", it is drawn from the seeds at the rate that is best in hindsight, over all targets of the
    problem. This is how optimizers are usually compared. "At a random rate", it is drawn from all rates and seeds. So every start has another rate of the
    grid, and the steps of runs that missed the target count as running time, as for somebody who does not know the rate. The expected
    running time (ERT) is the number of steps of all runs, up to the target for those that meet it, divided by the number of runs that meet it. A run that diverges ends there, so that
    restarts may follow before a whole run's steps are over.

    The "price of tuning" of an optimizer is its ERT over all rates divided by its ERT at the best rate, at the target nearest 10⁻², as a geometric mean over the problems on
    which every optimizer has both. It depends on this grid: if you know where to put a narrower grid around the best rate, the price is lower. Intervals are bootstrapped
    over seeds, whose starting points all optimizers share. The best rate is chosen with the same seeds that
    judge it. So it looks a little better than it is, and the price is a little too high.

    Args:
        problems: names of problems besides the quadratics.
        curvatures: the smallest curvature of each quadratic, whose largest one is 1.
        optimizers: names; `momentum` is `sgd` with momentum 0.9.
        rates: how many.
        steps: of every run.
        seeds: a count.

    Pictures:
        distributions: Share of problems and targets met within so many steps, restarts included; left at the best rate, right at a rate drawn for each start.
        prices: The price of tuning of every optimizer, and its place at the best rate and at a random rate.

    Tables:
        tuning: A row per optimizer; `at_best_rate_` and `at_random_rate_` are the shares of problems and targets that one run meets, and that restarts meet within
            the steps of ten, `place_` its place by one run; `price` is the price of tuning.
        running_times: A row per problem, optimizer, kind of draw and target (one per decade); `ert` is the expected running time, missing for never; `ratio` that
            over the fastest optimizer's, `p` of no difference to it, adjusted for all optimizers of the problem.
        distribution: A row per optimizer, kind of draw and number of steps; `share` is the share of problems and targets met.

    Source: Hansen, Auger, Ros, Mersmann, Tušar & Brockhoff, COCO: a platform for comparing continuous optimizers in a black-box setting, arXiv:1603.08785; Hansen
        et al., COCO: performance assessment, arXiv:1605.03560.
    """
    results = bench.train(
        {
            "name": "objectives",
            "steps": steps,
            "evaluate_every": max(1, steps // 100),
            "seeds": seeds,
            "precision": "float64",
            "first_hits": True,
            "probes": [],
            "problem": [*problems, {"name": "quadratic", "mu": list(curvatures)}],
            "optimizer": [dict(OPTIMIZERS.get(name, {"name": name})) for name in optimizers],
            "learning_rate": {"min": 1e-4, "max": 100.0, "num": rates},
        }
    )
    runs, hits = results.runs, results.first_hits
    distribution = running_times.runtime_distribution(runs, hits)
    times = tuning.by_decade(running_times.expected_running_times(runs, hits))
    contenders = tuning.Contenders(running_times.lines(runs, hits))
    table = tuning.table(contenders, distribution, steps)
    found = findings(table, times, contenders, distribution, steps)
    paths = (
        *bench.write_table("tuning", table),
        *bench.write_table("running_times", times),
        *bench.write_table("distribution", tuning.thinned(distribution)),
        *bench.write_picture("distributions", distributions(results, table)),
        *bench.write_picture("prices", prices(table)),
        *bench.write_findings(found),
    )
    return Answer(tuple(each.line for each in found[:5]), paths)
