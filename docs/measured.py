"""What was measured of each optimizer, schedule and problem, from the published tables in results/: part of its page on the site.

Each number is read from the table that its section names and links to. Links are those of a file in docs/.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.labels import rate_text
from lrbench.analysis.thresholds import Thresholds
from lrbench.experiments._atlas.studies import PER_DECADE, PROBLEMS
from lrbench.experiments._mnist1d.published import MODELS
from lrbench.experiments.atlas import atlas
from lrbench.experiments.findings import interval, of_table, quantity
from lrbench.experiments.schedule_bands import schedule_bands
from lrbench.study import catalog

RESULTS = Path(__file__).parents[1] / "results"
KINDS = ("optimizer", "schedule", "problem")
MOST = 15
"""So many rows of a table are shown, the best ones."""
DIGITS = "digits_mlp"
_OF_CLAIMS = {"digits_cnn": "CNN", "char_transformer": "Transformer"}
"""Problems, and how the findings of the claims call them."""

Key = tuple[str, str]
"""A kind and a name."""


class Section(NamedTuple):
    """What one published table says of an entry."""

    key: Key
    about: str  # how it was measured
    table: str  # the file, below results/
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def text(self) -> str:
        """The section in Markdown."""
        experiment = self.table.partition("/")[0]
        source = f"From [{self.table}](../results/{self.table}) of [{experiment}](../results/{experiment}/README.md)"
        rest = f"; {len(self.rows) - MOST} more rows are there" if len(self.rows) > MOST else ""
        table = [self.head, ["---"] * len(self.head), *self.rows[:MOST]]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
        return f"\n{self.about}\n\n{lines}\n\n{source}{rest}.\n"


def sections() -> dict[Key, str]:
    """Return the section `Measured` of every optimizer, schedule and problem."""
    found: dict[Key, list[str]] = {(kind, name): [] for kind in KINDS for name in catalog.names(kind)}
    for each in (
        *_atlas(),
        *_schedule_bands(),
        *_claims(),
        *_finders(),
        *_diagnostics(),
        *_restarts(),
        *_optax(),
        *_mnist1d(),
    ):
        if each.key in found:
            found[each.key].append(each.text)
    nothing = ["\nNot measured: no published table has it.\n"]
    return {key: "\n## Measured\n" + "".join(texts or nothing) for key, texts in found.items()}


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / name)


def _name(text: object) -> str:
    """Return the name of an entry in its label.

    >>> _name("sgd(momentum=0.9)"), _name("ill_conditioned 1e4 rotated")
    ('sgd', 'ill_conditioned')
    """
    found = re.match(r"\w+", str(text))
    return found[0] if found else ""


def _rate(value: float) -> str:
    return "–" if pd.isna(value) else rate_text(value)


def _loss(value: float) -> str:
    return f"{value:.3g}"


_LINE = ("use at", "good rates", "collapse", "loss")
_SIZES = {name: each.default for name, each in inspect.signature(atlas).parameters.items()}


def _size(problem: str) -> str:
    """Return what was trained in the atlas, and how."""
    given = ", ".join(f"`{name} = {value}`" for name, value in PROBLEMS.get(problem, {}).items())
    return (
        f"`{problem}`{' with ' + given if given else ''}: {_SIZES['steps']:,} steps, {PER_DECADE} rates a decade; "
        f"the loss is that of {_SIZES['confirm']} fresh seeds. Good rates are within {Thresholds().good:.0%} of a line's own best; collapse is the "
        "first rate above them that makes less than half of its best progress; –: none of those tried does."
    )


def _line(row: dict[Any, Any]) -> tuple[str, ...]:
    """Return what was measured of a line: its rate to use, its band, where it collapses, and its loss."""
    band = f"{_rate(row['own_low'])} … {_rate(row['own_high'])}"
    return (_rate(row["use_learning_rate"]), band, _rate(row["collapse_high"]), _loss(row["use_loss"]))


def _atlas() -> Iterator[Section]:
    """Yield the bands of optimizers and schedules on the digits, and those of problems."""
    source = "atlas/by_line.csv"
    lines = _table(source)
    lines = lines[lines["trains"]].sort_values("use_loss", kind="stable")
    digits = lines[lines["problem"] == DIGITS]
    where = f"On the digits, {_size(DIGITS)}"
    for name, mine in digits.groupby(digits["optimizer"].map(_name)):
        rows = [
            (f"{row['optimizer']} + {row['schedule']}", *_line(row))
            for row in mine.sort_index().to_dict("records")
        ]
        yield Section(("optimizer", str(name)), where, source, ("line", *_LINE), rows)
    gains = _table("atlas/by_schedule.csv").groupby("schedule")[["better", "worse", "problems"]].sum()
    for name, mine in digits.groupby("schedule"):
        rows = [(row["optimizer"], *_line(row)) for row in mine.to_dict("records")]
        about = f"{where} The best optimizers first."
        if name in gains.index:
            better, worse, count = gains.loc[name]
            about += (
                f" Over all optimizers and problems of [by_schedule.csv](../results/atlas/by_schedule.csv) it is better than a constant rate on "
                f"{better} of {count} lines, worse on {worse}, and not told apart on the others, both tuned."
            )
        yield Section(("schedule", str(name)), about, source, ("optimizer", *_LINE), rows)
    for row in _table("atlas/by_problem.csv").to_dict("records"):
        mine = lines[(lines["problem"] == row["problem"]) & (lines["schedule"] == "constant")]
        about = (
            f"{_size(row['problem'])} The best line of [by_problem.csv](../results/atlas/by_problem.csv) is {row['best_optimizer']} + {row['best_schedule']} at "
            f"{_rate(row['best_rate'])}: its loss is {_loss(row['best_loss'])}, from {_loss(row['start_loss'])} at the start; "
            f"{row['within_5_percent']} of {row['lines']} lines come within 5 %, {row['does_not_train']} train at no rate. "
            "At a constant rate, the best optimizers first:"
        )
        rows = [(each["optimizer"], *_line(each)) for each in mine.to_dict("records")]
        yield Section(("problem", row["problem"]), about, source, ("optimizer", *_LINE), rows)


def _schedule_bands() -> Iterator[Section]:
    """Yield the band of each schedule on the digits, and its gain over a constant rate."""
    source = "schedule_bands/by_schedule.csv"
    given = inspect.signature(schedule_bands).parameters
    about = (
        f"On the digits, `{DIGITS}` in its default size: {given['steps'].default:,} steps; the loss is that of {given['confirm'].default} fresh seeds. "
        "The gain is over a constant rate, of ℓ₀ − ℓ*, with the interval of the pair; better and worse are adjusted for all pairs of schedules."
    )
    words = {-1: "worse", 0: "not told apart", 1: "better"}
    for name, mine in _table(source).groupby("schedule", sort=False):
        rows = []
        for row in mine.to_dict("records"):
            ends = f"{row['gain']:.2g} ({row['gain_low']:.2g} … {row['gain_high']:.2g})".replace("-", "−")
            told = ("–", "–") if pd.isna(row["gain"]) else (ends, words[int(row["better"])])
            rows.append((row["optimizer"], *_line(row), *told))
        yield Section(("schedule", str(name)), about, source, ("optimizer", *_LINE, "gain", ""), rows)


def _claims() -> Iterator[Section]:
    """Yield the findings of the claims that speak of a schedule, or of a problem that only they train."""
    source = "claims/claims.csv"
    found = _table(source)
    asked = {("problem", name): rf"{words}, " for name, words in _OF_CLAIMS.items()}
    asked |= {("schedule", name): rf"{name}(?:\(.*\))? minus constant" for name in catalog.names("schedule")}
    for key, pattern in asked.items():
        mine = found[found["finding"].str.match(pattern)]
        rows = [
            (one.what.replace("|", r"\|"), quantity(one), interval(one), one.rule, one.verdict)
            for one in of_table(mine)
        ]
        if rows:
            head = ("finding", "", "95 % interval", "expected", "")
            yield Section(key, "What was found where [claims](claims.md) were judged.", source, head, rows)


def _finders() -> Iterator[Section]:
    """Yield the best rates of the problems on which learning-rate finders were judged."""
    source = "finder_truth/finder_truth.csv"
    every = _table(source).drop_duplicates(["problem", "optimizer"])
    about = "The best rate of a dense grid, the mean loss at it, and at which rate the finder `valley` would set it, with the first seed."
    valley = _table(source).query("rule == 'valley'").drop_duplicates(["problem", "optimizer"])
    valley = valley.set_index(["problem", "optimizer"])["suggestion"]
    for problem, mine in every.groupby("problem", sort=False):
        rows = [
            (
                row["optimizer"],
                _rate(row["best_learning_rate"]),
                _loss(row["best_loss"]),
                _rate(valley[problem, row["optimizer"]]),
            )
            for row in mine.to_dict("records")
        ]
        yield Section(
            ("problem", str(problem)), about, source, ("optimizer", "best rate", "loss", "valley"), rows
        )


def _diagnostics() -> Iterator[Section]:
    """Yield who solves each problem that makes one thing hard."""
    source = "diagnostics/lines.csv"
    every = _table(source).sort_values("solved_share", ascending=False, kind="stable")
    about = "At the rate that solves most tuning seeds: the share of held-out seeds that are solved, and how many random draws of rate and seed one success takes."
    head = ("optimizer", "rate", "solved", "draws")
    for problem, mine in every.groupby("problem", sort=False):
        name = _name(problem)
        rows = [
            (
                row["optimizer"],
                _rate(row["learning_rate"]),
                f"{row['solved_share']:.0%}",
                _draws(row["attempts"]),
            )
            for row in mine.to_dict("records")
        ]
        which = "" if name == problem else f"`{problem}`. "
        yield Section(("problem", name), which + about, source, head, rows)


def _draws(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "–"


def _restarts() -> Iterator[Section]:
    """Yield how many steps each optimizer takes to about a hundredth of where it started, restarts included; of problems whose minimum is known."""
    source = "ecdf/running_times.csv"
    every = _table(source).query("draws == 'best rate' and 0.0101 < target < 0.012")
    about = (
        f"At the best rate: the expected steps, restarts included, until the loss above the minimum is {every['target'].iloc[0]:.2g} of what it was at the start, "
        "with the interval over seeds."
    )
    head = ("optimizer", "rate", "steps", "95 % interval")
    for problem, mine in every.sort_values("ert", kind="stable").groupby("problem", sort=False):
        rows = []
        for row in mine.to_dict("records"):
            momentum = (
                "" if pd.isna(row["optimizer_momentum"]) else f"(momentum={row['optimizer_momentum']:g})"
            )
            where = "" if pd.isna(row["problem_mu"]) else f", mu={row['problem_mu']:g}"
            ends = f"{row['low']:,.0f} to {row['high']:,.0f}" if pd.notna(row["low"]) else "–"
            steps = f"{row['ert']:,.0f}" if pd.notna(row["ert"]) else "never"
            rows.append((f"{row['optimizer']}{momentum}{where}", _rate(row["learning_rate"]), steps, ends))
        yield Section(("problem", str(problem)), about, source, head, rows)


def _optax() -> Iterator[Section]:
    """Yield at which rates each optimizer of optax reaches the minimum of the problems of its tests."""
    source = "optax_convergence/pairs.csv"
    every = _table(source).dropna(subset=["band_low"]).sort_values("fastest_steps", kind="stable")
    about = "Around the rate of optax's test: the rates at which the minimum is reached without a gap between them, and at which rate it takes the fewest steps."
    for problem, mine in every.drop_duplicates(["problem", "optimizer"]).groupby("problem", sort=False):
        rows = [
            (
                row["optimizer"],
                f"{_rate(row['band_low'])} to {_rate(row['band_high'])}",
                _rate(row["fastest_learning_rate"]),
                f"{row['fastest_steps']:,.0f}",
            )
            for row in mine.to_dict("records")
        ]
        head = ("optimizer", "reached at", "fastest at", "steps")
        yield Section(("problem", str(problem)), about, source, head, rows)


def _mnist1d() -> Iterator[Section]:
    """Yield the accuracies of the published models of MNIST-1D."""
    source = "mnist1d/accuracy.csv"
    every = _table(source)
    every = every[every["step"] == every["step"].max()]
    names = {model.name: model.problem for model in MODELS}
    about = f"With Adam, after {every['step'].max():,} steps: the test accuracy, mean over seeds."
    for model, mine in every.groupby("model", sort=False):
        rows = [
            (
                _rate(row["learning_rate"]),
                f"{row['accuracy']:.1f} %",
                f"{row['low']:.1f} to {row['high']:.1f}",
            )
            for row in mine.to_dict("records")
        ]
        yield Section(
            ("problem", names[str(model)]), about, source, ("rate", "accuracy", "95 % interval"), rows
        )
