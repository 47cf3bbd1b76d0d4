"""A stable hash of a user's own code and data, so that a run's identity changes when what it trains does.

An object is hashed with all that it reaches: a function by the syntax of its source, its defaults, what it closes over and the
globals that it names; an instance by its class and its state; an array by its content. What an installed distribution
brings is known by its name: its version stands in the manifest. What has no stable content is refused. The walk over
objects is in `walk`, whose a thing is in `owner`, what a function names in `names`, its source in `syntax`, what a class holds in
`members`, what is particular to JAX and Flax in `library`. Nothing here imports NumPy or JAX.
"""

from lrbench.study.fingerprint.walk import Unhashable, of_file, of_object

__all__ = ["Unhashable", "of_file", "of_object"]
