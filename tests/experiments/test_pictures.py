"""Titles of the pictures of experiments say what their tables say, and no more."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrbench.experiments import batch_size
from lrbench.experiments._claims import judging
from lrbench.experiments._deepobs import pictures as deepobs
from lrbench.experiments._edge_of_stability import pictures as edge
from lrbench.experiments._finder_truth import pictures as finders
from lrbench.experiments._transfer import pictures as transfer
from lrbench.experiments.findings import of_table
from tests.helpers.paths import ROOT


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / f"{name}.csv")


def title(figure: Figure) -> str:
    return figure.texts[0].get_text().replace("\n", " ").partition(": ")[2]


def test_transfer_says_where_the_best_rate_of_adam_goes() -> None:
    best, slopes, losses = (table(f"transfer/{name}") for name in ("best", "by_size", "transfer"))
    drawn = title(transfer.losses(losses, best, "width"))
    assert drawn == (
        "from width 64 to 1,024 the best rate of Adam goes from 0.013 to 3.0e-3 (standard) and from 0.013 to 0.013 (muP)"
    )
    assert title(transfer.slopes(best, slopes)) == (
        "the best rate of Adam goes as width^−0.53 (standard) and width^0.02 (muP)"
    )
    unknown = best.assign(best_learning_rate=np.nan)
    assert title(transfer.losses(losses, unknown, "depth")) == (
        "it is not known how the best rate of Adam changes with the depth"
    )
    assert title(transfer.slopes(best, slopes.assign(slope=np.nan))) == "no slope is known"


def test_deepobs_says_how_many_losses_are_met_and_where_momentum_is_best() -> None:
    rows = table("deepobs/rows")
    assert title(deepobs.losses(rows, 0.0, {})) == (
        "in their order 104 of 108 published losses are met; reshuffled, momentum 0.99 is best at 2.5e-4, not 2.5e-3"
    )
    same = rows.assign(reshuffled_median=rows["published_loss"], met=False)
    assert title(deepobs.losses(same, 0.0, {})) == "in their order 0 of 108 published losses are met"
    assert title(deepobs.differences(rows)).startswith("relative to the published losses, ours are 8e-08 off")


def test_batch_size_names_the_optimizers_whose_exponent_is_known() -> None:
    exponents = table("batch_size/exponents")
    assert batch_size._title(exponents) == (
        "batch_size: up to a batch of 64 the best rate goes as B^1.00 with sgd(momentum=0.9) and as B^0.36 with adam, at equal steps"
    )
    wide = exponents.assign(exponent_low=-1.0)
    assert "it cannot be told" in batch_size._title(wide)


def test_the_edge_counts_the_runs_that_stay_while_their_loss_falls() -> None:
    runs = table("edge_of_stability/outcomes")
    runs = runs[runs["seed"] == runs["seed"].iloc[0]]
    reached = runs["outcome"].isin(["hovers", "above", "fell below"])
    stay = (runs["outcome"] == "hovers") & runs["still_falls"]
    drawn = title(edge.trajectories(table("edge_of_stability/edge_of_stability"), runs))
    assert drawn == (
        f"in {stay.sum()} of {reached.sum()} runs that reach it curvature stays there while the loss falls"
    )


def test_finders_name_the_rule_that_loses_least_most_often() -> None:
    suggestions = table("finder_truth/finder_truth")
    good = (suggestions["excess_normalised"] <= 0.05).groupby(suggestions["rule"]).mean()
    assert title(finders.suggestions(suggestions, 0.05)) == (
        f"{good.idxmax()} loses at most 5% most often, in {good.max():.0%} of cases"
    )


def test_the_titles_of_claims_say_what_was_found_in_numbers() -> None:
    """The table's findings, with numbers that no training changes: 0.25, 0.5, … in each claim, and every other rule met."""
    rows = table("claims/claims")
    place = rows.groupby("claim").cumcount()
    rows = rows.assign(
        value=0.25 * (1 + place), met=(place % 2 == 0).where(rows["rule"].notna(), rows["met"])
    )
    said = {
        each.name: each.parts.title(of_table(rows[rows["claim"] == each.name])) for each in judging.CLAIMS
    }
    assert said == {
        "S1": "Steps differ from rate × gradient by at most 0.25 of their length, at every rate",
        "S1b": "One step predicts 0.75 for a price of 500: the stated gradient is not that of the squared error",
        "S2": "A hundredth of the best rate gets 50 % of the way; no rate takes more than 150 % of runs out of a local optimum",
        "S3": "The best rates of two scales are 0.5 decades apart; 0.75 of 53 rates are good for both",
        "S4": "At least half of the runs at the usual rates (shaded) are good in 9 of 18 cases",
        "S5": "5 of 9 schedules follow their formulas, to 2.25 of the peak",
        "S6": "Momentum and adaptive methods move the best rate of plain gradient descent by 0.25 to 0.75 decades",
        "S7": "25 % of the combinations train; Adam at 1e-3 with step decay ends 75 % and 100 % of ℓ₀ − ℓ* above the best",
        "S8": "Between rates, speed differs 0.25 times, failures by 50 points, accuracy by 0.75 points",
        "S9": "At the rate whose curve is lowest after a quarter of the run, 25 % of the runs end good",
        "S10": "3 of 7 decays end below a constant rate, each tuned on other seeds",
        "T1": "Warmup raises the largest rate in 2 of 4 comparisons",
        "T2": "Adam's band of good rates is 0.25 decades wider than that of gradient descent, and wider on 50 % of the problems",
    }
