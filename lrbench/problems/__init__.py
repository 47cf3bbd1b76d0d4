"""Problems: a model, its data and its loss; every public function of a file here is one, and returns a `Problem`.

`_problem` says what a problem is, for everybody who makes or trains one; `lb.problem` makes one from any functions. `_models` puts networks of `nets` and
data of `datasets` together for entries that are variants of one another. Only the engine trains problems, and nothing here knows of a batch of models.
"""

from lrbench.datasets.data import Data
from lrbench.nets.layers import Params
from lrbench.problems._problem import Batch, Problem, problem

__all__ = ["Batch", "Data", "Params", "Problem", "problem"]
