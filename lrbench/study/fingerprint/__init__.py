"""A stable hash of a user's own code and data, so that a run's identity changes when what it trains does.

An object is hashed with everything that it refers to: a function by the syntax of its source, its defaults, its closure and the
globals that it uses; an instance by its class and its state; an array by its contents. Objects of an installed distribution are
hashed by name; their version is in the manifest. Objects without stable contents are refused.

Read `walk` first, which hashes an object from the hashes of what it refers to. `owner` tells the user's own code from that of
libraries, `names` finds the globals and imports that a function uses, `syntax` its source, `members` the contents of a class, and
`library` the contents of objects of JAX, Flax and NumPy. The folder is part of `study`, because a run_id includes these hashes and
nothing here imports NumPy or JAX: libraries are looked up in `sys.modules`, so an object of theirs is recognised only if they are loaded. A module of the
user's own that a function imports while it runs is imported, to be hashed.
"""

from lrbench.study.fingerprint.walk import Unhashable, of_file, of_object

__all__ = ["Unhashable", "of_file", "of_object"]
