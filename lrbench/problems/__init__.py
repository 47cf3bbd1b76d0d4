"""Problems: a model, its data and its loss; every public function of a file here is one, and returns a `Problem`.

`_problem` says what a problem is; `lb.problem` makes one from any functions. The other files whose names begin with an underscore hold what entries share: layers
and models, attention and recurrence, convolutions in several forms, the split and the reading of data, whether they come with a package or are the user's own.
Only the engine trains them, and nothing here knows of a batch of models.
"""

from lrbench.problems._problem import Data, Problem, problem

__all__ = ["Data", "Problem", "problem"]
