"""Probes: what can be measured of a run at an evaluation, besides losses and metrics.

Every public function in a file of this folder is an entry: it takes a `View` of a run and returns a scalar, or a mapping
part → scalar, which becomes a column `<probe>/<part>` for each part. What a view offers is computed only if a probe uses
it, so that a probe that no study requests is in no program. `_view` defines what a probe sees; the engine constructs it,
and imports entries by name, through `study.catalog`. A probe imports JAX, optax and this folder. Read `_view`, then `norms`.
"""

from lrbench.probes._view import View

__all__ = ["View"]
