"""Lower every problem with every optimizer for GPUs and TPUs, without any: `make lowering`; about an hour on two cores."""

from __future__ import annotations

import sys

from lrbench.study import catalog
from tests.helpers.lowering import lowered

PLATFORMS = ("cuda", "rocm", "tpu")
OWN = {"image_cnn", "tabular_linear", "tabular_mlp"}
"""Problems of a user's own data."""
PROBLEMS = sorted({*catalog.names("problem")} - OWN)


def main() -> int:
    """Print a line for each pair that cannot be lowered, and how many there are."""
    failed = tried = 0
    for problem in PROBLEMS:
        for optimizer in catalog.names("optimizer"):
            tried += 1
            try:
                lowered({"problem": problem, "optimizer": optimizer}, PLATFORMS)
            except Exception as error:
                failed += 1
                print(
                    f"{problem} × {optimizer}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
                )
    print(f"{tried - failed} of {tried} pairs are lowered for {', '.join(PLATFORMS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
