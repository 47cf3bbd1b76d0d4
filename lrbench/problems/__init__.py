"""Problems: a model, its data and its loss. Every public function in a file of this folder is an entry, and returns a `Problem`.

`_problem` defines the record `Problem`; `lb.problem` builds one from any functions, `tabular` from a data frame. `_models` combines networks of `nets` and data of
`datasets` for entries that differ only in these. Only the engine trains problems; a problem describes a single model, not a batch of them.
The engine, `lrbench` itself and user code import this page. Read `_problem` first, then `objectives` (without data), `linear` and `perceptrons`.
"""

from lrbench.datasets.data import Data
from lrbench.nets.layers import Params
from lrbench.problems._problem import Batch, Problem, problem
from lrbench.problems._tables import tabular

__all__ = ["Batch", "Data", "Params", "Problem", "problem", "tabular"]
