"""Draws docs/images/schedules.png, every schedule of the catalogue: `python docs/make_schedules.py`, in half a minute."""

from __future__ import annotations

from pathlib import Path

import lrbench as lb
from lrbench.study import spec

PICTURE = Path(__file__).parent / "images" / "schedules.png"

if __name__ == "__main__":
    # The shapes are those of any study; what reduce_on_plateau does depends on the losses of these runs.
    results = lb.sweep(
        "digits_softmax",
        optimizers="sgd",
        schedules=spec.read("schedules").table(Path())["schedule"],
        learning_rates=[3.0, 10.0, 30.0],
        seeds=4,
        steps=400,
        evaluate_every=10,
        name="schedules",
    )
    results.plot("schedules").savefig(PICTURE, dpi=80)
