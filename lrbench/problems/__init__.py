"""The built-in problems: every public function of a file here is one."""

from lrbench.problems._problem import Data, Problem, problem

__all__ = ["Data", "Problem", "problem"]
