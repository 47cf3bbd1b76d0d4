"""Probes: what can be measured in a lane at an evaluation; every public function of a file here is one.

Each takes a `View` and returns a scalar, or a mapping part → scalar, which becomes a column `<probe>/<part>` for each.
What a view offers is computed only if a probe uses it, so that a probe that no study asks for is in no program.
`_view` says what a probe sees; the engine makes it, and nothing here knows of lanes or programs.
"""

from lrbench.probes._view import View

__all__ = ["View"]
