"""Lower every problem with every optimizer for GPUs and TPUs, without any: `make lowering`; about an hour on two cores."""

from __future__ import annotations

import sys
from typing import Any

from lrbench.study import catalog
from tests.helpers import examples
from tests.helpers.lowering import lowered

PLATFORMS = ("cuda", "rocm", "tpu")
PROBLEMS = catalog.names("problem")
OWN = {"image_cnn", "tabular_linear", "tabular_mlp"}
"""Problems of a user's own data, of which a few rows are made up."""


def study_of(problem: str, optimizer: str) -> dict[str, Any]:
    """Return what a study of one pair says of both."""
    data = examples.parameters(problem) if problem in OWN else {}
    return {"problem": {"name": problem, **data}, "optimizer": optimizer}


def main() -> int:
    """Print a line for each problem and for each pair that cannot be lowered, and how many can."""
    failed = tried = 0
    for problem in PROBLEMS:
        before = failed
        optimizers = catalog.names("optimizer")
        for optimizer in optimizers:
            try:
                lowered(study_of(problem, optimizer), PLATFORMS)
            except Exception as error:
                failed += 1
                reason = " ".join(str(error).split())[:200]
                print(f"{problem} × {optimizer}: {type(error).__name__}: {reason}", flush=True)
        tried += len(optimizers)
        done = len(optimizers) - (failed - before)
        print(f"{problem}: with {done} of {len(optimizers)} optimizers", flush=True)
    print(f"{tried - failed} of {tried} pairs are lowered for {', '.join(PLATFORMS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
