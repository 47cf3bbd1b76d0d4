"""Problems: a model, its data and its loss. Every public function in a file of this folder is an entry, and returns a `Problem`.

`_problem` defines the record `Problem`; `lb.problem` builds one from any functions, `_from_apply` from those of a model, with losses
and metrics by name, `_from_libraries` from models of Flax and Equinox, and `tabular` from a data frame. `_options` has the options of every problem. `_models` combines networks of `nets` and data of
`datasets` for entries that differ only in these. Only the engine trains problems; a problem describes a single model, not a batch of them.
The engine, `lrbench` itself and user code import this page. Read `_problem` first, then `objectives` (without data), `linear` and `perceptrons`.
"""

from lrbench.datasets.data import Data
from lrbench.nets.layers import Params
from lrbench.problems._from_apply import from_apply
from lrbench.problems._from_libraries import from_equinox, from_flax, from_nnx
from lrbench.problems._problem import Batch, Problem, problem
from lrbench.problems._tables import tabular

__all__ = [
    "Batch",
    "Data",
    "Params",
    "Problem",
    "from_apply",
    "from_equinox",
    "from_flax",
    "from_nnx",
    "problem",
    "tabular",
]
