"""Kinds of code that a user's loss may be made of, each with a change that its identity has to show.

`python tests/kinds_of_code.py FOLDER` writes all of them into a folder, imports them from there, and prints their hashes as JSON:
in another process, with another hash seed, or under another Python, which needs nothing but its standard library for most.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrbench.study import fingerprint


@dataclass(frozen=True)
class Kind:
    """A module that defines `thing`, and one change of it, or of the module `HELPER` that it may import."""

    source: str
    old: str
    new: str
    library: str = ""
    helper: str = ""
    every_python: bool = True

    @property
    def changed(self) -> Kind:
        """The same kind after the change."""
        source, helper = (text.replace(self.old, self.new) for text in (self.source, self.helper))
        assert (source, helper) != (self.source, self.helper)
        return Kind(source, self.old, self.new, self.library, helper)


KINDS: dict[str, Kind] = {
    "constant": Kind("def thing(w): return 2.0 * w", "2.0", "3.0"),
    "global": Kind("C = 2.0\ndef thing(w): return C * w", "2.0", "3.0"),
    "global of an inner function": Kind("C = 2.0\ndef thing(w): return (lambda: C * w)()", "2.0", "3.0"),
    "helper": Kind("def helper(w): return 2.0 * w\ndef thing(w): return helper(w)", "2.0", "3.0"),
    "helpers that call each other": Kind(
        "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\nthing = even",
        "n != 0",
        "n != 1",
    ),
    "closure": Kind(
        "def make(c):\n    def thing(w): return c * w\n    return thing\nthing = make(2.0)", "2.0", "3.0"
    ),
    "default": Kind("def thing(w, c=2.0): return c * w", "2.0", "3.0"),
    "keyword default": Kind("C = 2.0\ndef thing(w, *, c=C): return c * w", "2.0", "3.0"),
    "lambda beside another": Kind(
        "pair = (lambda w: 2.0 * w, lambda w: 3.0 * w); thing = pair[0]", "pair[0]", "pair[1]"
    ),
    "state of a method": Kind(
        "class A:\n    def __init__(self): self.c = 2.0\n    def loss(self, w): return self.c * w\nthing = A().loss",
        "2.0",
        "3.0",
    ),
    "state of a built-in method": Kind("f = {'c': 2.0}.get\ndef thing(w): return f('c') * w", "2.0", "3.0"),
    "method that a library has as a function": Kind(
        "import random\nf = random.uniform\ndef thing(w): return f(0, 1) * w", "uniform", "gauss"
    ),
    "another method": Kind(
        "class A:\n    def f(self, w): return 2.0 * w\n    def loss(self, w): return self.f(w)\nthing = A().loss",
        "2.0",
        "3.0",
    ),
    "callable instance": Kind(
        "class A:\n    def __init__(self, c): self.c = c\n    def __call__(self, w): return self.c * w\nthing = A(2.0)",
        "A(2.0)",
        "A(3.0)",
    ),
    "attribute of a class": Kind(
        "class A:\n    c = 2.0\n    def __call__(self, w): return self.c * w\nthing = A()", "2.0", "3.0"
    ),
    "base class": Kind(
        "class A:\n    def f(self, w): return 2.0 * w\nclass B(A):\n    def __call__(self, w): return self.f(w)\nthing = B()",
        "2.0",
        "3.0",
    ),
    "slots": Kind(
        "class A:\n    __slots__ = ('c',)\n    def __init__(self, c): self.c = c\nthing = A(2.0)",
        "A(2.0)",
        "A(3.0)",
    ),
    "property": Kind(
        "class A:\n    @property\n    def c(self): return 2.0\n    def __call__(self, w): return self.c * w\nthing = A()",
        "2.0",
        "3.0",
    ),
    "cached property": Kind(
        "import functools\nclass A:\n    @functools.cached_property\n    def c(self): return 2.0\nthing = A()",
        "2.0",
        "3.0",
    ),
    "static method": Kind(
        "class A:\n    @staticmethod\n    def f(w): return 2.0 * w\nthing = A().f", "2.0", "3.0"
    ),
    "partial": Kind(
        "import functools\ndef f(w, c): return c * w\nthing = functools.partial(f, c=2.0)", "2.0", "3.0"
    ),
    "function of a partial": Kind(
        "import functools\ndef f(w, c): return 2.0 * c * w\nthing = functools.partial(f, c=1)", "2.0", "3.0"
    ),
    "namespace": Kind(
        "from types import SimpleNamespace as N\nN1 = N(c=2.0)\ndef thing(w): return N1.c * w", "2.0", "3.0"
    ),
    "dataclass": Kind(
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    c: float = 2.0\nthing = A()",
        "2.0",
        "3.0",
    ),
    "named tuple": Kind(
        "from typing import NamedTuple\nclass A(NamedTuple):\n    c: float = 2.0\nthing = A()", "2.0", "3.0"
    ),
    "enumeration": Kind(
        "import enum\nclass A(enum.Enum):\n    ONE = 2.0\ndef thing(w): return A.ONE.value * w", "2.0", "3.0"
    ),
    "what is no member of an enumeration": Kind(
        "import enum\nclass A(enum.Enum):\n    ONE = 1\n    SCALE = enum.nonmember(2.0)\ndef thing(w): return A.SCALE * w",
        "2.0",
        "3.0",
    ),
    "set": Kind(
        "def thing(w): return w if 'a' in {'a', 'b', 'c', 'd'} else 2 * w", "'d'", "'e'", every_python=True
    ),
    "set in a dict": Kind("S = {'one': {'a', 'b', 'c'}}\ndef thing(w): return S", "'c'", "'d'"),
    "wrapped": Kind(
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(w): return 2.0 * f(w)\n    return g\n"
        "@twice\ndef thing(w): return w",
        "2.0",
        "3.0",
    ),
    "wraps a library's function": Kind(
        "import functools, math\n@functools.wraps(math.sin)\ndef thing(w): return 2.0 * w", "2.0", "3.0"
    ),
    "cached function": Kind(
        "import functools\n@functools.lru_cache\ndef f(): return 2.0\ndef thing(w): return f() * w",
        "2.0",
        "3.0",
    ),
    "text that is formatted": Kind("def thing(w): return f'{w:>{3}} of {w!r}' + 'x'", " of ", " or "),
    "imported function": Kind(
        "from HELPER import f\ndef thing(w): return f(w)", "2.0", "3.0", helper="def f(w): return 2.0 * w"
    ),
    "imported constant": Kind(
        "import HELPER\ndef thing(w): return HELPER.c * w", "2.0", "3.0", helper="c = 2.0"
    ),
    "import of an import": Kind(
        "import HELPER as h\ndef thing(w): return h.f(w)",
        "2.0",
        "3.0",
        helper="c = 2.0\ndef g(w): return c * w\ndef f(w): return g(w)",
    ),
    "import within": Kind(
        "def thing(w):\n    import HELPER\n    return HELPER.c * w", "2.0", "3.0", helper="c = 2.0"
    ),
    "name imported within": Kind(
        "def thing(w):\n    from HELPER import c\n    return c * w", "2.0", "3.0", helper="c = 2.0"
    ),
    "module as a value": Kind(
        "import HELPER\ndef thing(w): return getattr(HELPER, 'c') * w", "2.0", "3.0", helper="c = 2.0"
    ),
    "base class elsewhere": Kind(
        "from HELPER import A\nclass B(A): pass\nthing = B()",
        "2.0",
        "3.0",
        helper="class A:\n    def f(self): return 2.0",
    ),
    "no source": Kind(
        "names = {}\nexec('def thing(w): return 2.0 * w', names)\nthing = names['thing']",
        "2.0",
        "3.0",
        every_python=False,
    ),
    "other function of a library": Kind(
        "import math\ndef thing(w): return math.sin(w)", "math.sin", "math.cos"
    ),
    "functions of random objects": Kind(
        "from random import gauss\nfrom math import sin\ndef thing(w): return sin(2.0) * gauss()",
        "2.0",
        "3.0",
    ),
    "objects of the standard library": Kind(
        "import logging, pathlib, re, decimal, collections\n"
        "T = [logging.getLogger('x'), pathlib.Path('a'), re.compile('b+'), decimal.Decimal(2), collections.Counter('ab')]\n"
        "T += [collections.deque([1]), collections.OrderedDict(a=1), range(3), slice(1, 2), len, str.upper, int]\n"
        "def thing(w): return T",
        "'b+'",
        "'c+'",
    ),
    "generator of NumPy": Kind(
        "import numpy as np\nfrom numpy.random import normal\ng = np.random.default_rng(2)\n"
        "def thing(w): return g.normal() * normal()",
        "rng(2)",
        "rng(3)",
        library="numpy",
    ),
    "types of arrays": Kind(
        "import numpy as np, jax.numpy as jnp\nD = [np.dtype('f4'), jnp.float32, jnp.bfloat16, np.float64, np.add, np.pi]\n"
        "def thing(w): return D",
        "'f4'",
        "'f8'",
        library="jax",
    ),
    "masked array": Kind(
        "import numpy as np\nM = np.ma.masked_array([1, 2, 3], [0, 0, 1])\ndef thing(w): return M",
        "[0, 0, 1]",
        "[0, 1, 1]",
        library="numpy",
    ),
    "order of a dict": Kind(
        "D = {'a': lambda w: w + 1, 'b': lambda w: 2 * w}\ndef thing(w):\n    for f in D.values(): w = f(w)\n    return w",
        "{'a': lambda w: w + 1, 'b': lambda w: 2 * w}",
        "{'b': lambda w: 2 * w, 'a': lambda w: w + 1}",
    ),
    "dataclass with an init of its own": Kind(
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    c: float = 1.0\n"
        "    def __init__(self): self.c = 2.0\ndef thing(w): return A().c * w",
        "2.0",
        "3.0",
    ),
    "order of fields": Kind(
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: float\n    y: float\ndef thing(w): return A(w, 2).x",
        "    x: float\n    y: float",
        "    y: float\n    x: float",
    ),
    "library's function in a dataclass": Kind(
        "import math\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    f = staticmethod(math.sin)\nthing = A()",
        "math.sin",
        "math.cos",
    ),
    "property of an enumeration": Kind(
        "import enum\nclass A(enum.Enum):\n    ONE = 1\n    @property\n    def c(self): return 2.0\n"
        "def thing(w): return A.ONE.c * w",
        "2.0",
        "3.0",
    ),
    "metaclass": Kind(
        "class M(type):\n    c = 2.0\nclass A(metaclass=M): pass\ndef thing(w): return A.c * w", "2.0", "3.0"
    ),
    "arguments without source": Kind(
        "names = {}\nexec('def thing(*w): return w', names)\nthing = names['thing']",
        "*w",
        "w",
        every_python=False,
    ),
    "circles of like pieces": Kind(
        "P, Q = ['p'], ['q']\nX, Y = [P], [Q]\nP.append(X); Q.append(Y)\nthing = [P, Q, X]", "Q, X]", "Q, Y]"
    ),
    "set of functions that call each other": Kind(
        "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\n"
        "def p(n): return q(n)\ndef q(n): return p(n + 2)\nS = {even, odd, p, q}\ndef thing(w): return S",
        "n + 2",
        "n + 3",
    ),
    "lambdas of constants": Kind("pair = [lambda w: 2.0]\nthing = pair", "2.0", "3.0"),
    "long chain of calls": Kind(
        "def f0(w): return 2.0 * w\n"
        + "\n".join(f"def f{i}(w): return f{i - 1}(w)" for i in range(1, 300))
        + "\nthing = f299",
        "2.0",
        "3.0",
    ),
    "folder of the code": Kind(
        "import pathlib\nHERE = pathlib.Path(__file__).parent / 'data2'\ndef thing(w): return HERE, __file__, __name__",
        "data2",
        "data3",
    ),
    "lock and streams": Kind(
        "import sys, threading, logging\nfrom os import environ\nL = [threading.Lock(), sys.stderr, logging.getLogger(__name__)]\n"
        "def thing(w): return 2.0 * w, L, environ",
        "2.0",
        "3.0",
    ),
    "dispatch by type": Kind(
        "import functools\n@functools.singledispatch\ndef f(w): return 2.0 * w\nf(1)\ndef thing(w): return f(w)",
        "2.0",
        "3.0",
    ),
    "no dimension": Kind(
        "import numpy as np\nthing = [np.array(2.0)]", "np.array(2.0)", "np.array([2.0])", library="numpy"
    ),
    "weak type": Kind(
        "import jax.numpy as jnp\nthing = [jnp.asarray(2.0)]",
        "(2.0)",
        "(2.0, 'float32')",
        library="jax",
    ),
    "transformed module of Flax linen": Kind(
        "import flax.linen as nn\nclass Net(nn.Module):\n    @nn.compact\n"
        "    def __call__(self, x): return 2.0 * nn.Dense(2)(x)\nnet = nn.remat(Net)()\ndef thing(w): return net.apply(w)",
        "2.0",
        "3.0",
        library="flax",
    ),
    "what is static in Equinox": Kind(
        "import equinox as eqx\nclass Net(eqx.Module):\n    c: float = eqx.field(static=True)\nthing = Net(2.0)",
        "static=True",
        "static=False",
        library="equinox",
    ),
    "checked by beartype": Kind(
        "from beartype import beartype\n@beartype\ndef thing(w: float, s: float = 1.0): return 2.0 * w",
        "2.0",
        "3.0",
        library="beartype",
    ),
    "class of attrs": Kind(
        "import attrs\n@attrs.frozen\nclass A:\n    c: float = 2.0\ndef thing(w): return A().c * w",
        "2.0",
        "3.0",
        library="attrs",
    ),
    "device": Kind(
        "import jax\nD = jax.devices()[0]\ndef thing(w): return 2.0 * jax.device_put(w, D)",
        "2.0",
        "3.0",
        library="jax",
    ),
    "array": Kind(
        "import numpy as np\nA = np.arange(3.0)\ndef thing(w): return A @ w", "3.0", "4.0", library="numpy"
    ),
    "second array of a mapping": Kind(
        "import numpy as np\nthing = {'x': np.zeros(3), 'y': np.full(3, 2.0)}", "2.0", "3.0", library="numpy"
    ),
    "array of objects": Kind(
        "import numpy as np\nthing = np.array(['a', 2.0], object)", "2.0", "3.0", library="numpy"
    ),
    "frame": Kind(
        "import pandas as pd\nthing = pd.DataFrame({'x': [1, 2], 'y': ['a', 'b']})",
        "'b'",
        "'c'",
        library="pandas",
    ),
    "jit": Kind("import jax\n@jax.jit\ndef thing(w): return 2.0 * w", "2.0", "3.0", library="jax"),
    "jitted inner function": Kind(
        "import jax\nf = jax.jit(lambda w: 2.0 * w)\ndef thing(w): return f(w)", "2.0", "3.0", library="jax"
    ),
    "gradient of a vmap": Kind(
        "import jax\nthing = jax.grad(lambda w: jax.vmap(lambda v: 2.0 * v)(w).sum())",
        "2.0",
        "3.0",
        library="jax",
    ),
    "backward rule": Kind(
        "import jax\n@jax.custom_vjp\ndef thing(w): return w\nthing.defvjp(lambda w: (w, None), lambda _, g: (2.0 * g,))",
        "2.0",
        "3.0",
        library="jax",
    ),
    "key": Kind("import jax\nthing = jax.random.key(2)", "key(2)", "key(3)", library="jax"),
    "chain of optax": Kind(
        "import optax\nthing = optax.chain(optax.clip(2.0), optax.sgd(1.0))", "2.0", "3.0", library="optax"
    ),
    "schedule of optax": Kind(
        "import optax\nthing = optax.cosine_decay_schedule(2.0, 10)", "2.0", "3.0", library="optax"
    ),
    "module of Flax linen": Kind(
        "import flax.linen as nn\nclass Net(nn.Module):\n    width: int = 2\n    @nn.compact\n"
        "    def __call__(self, x): return nn.Dense(self.width)(x)\nnet = Net()\ndef thing(w): return net.apply(w)",
        "= 2",
        "= 3",
        library="flax",
    ),
    "method of Flax linen": Kind(
        "import flax.linen as nn\nclass Net(nn.Module):\n    @nn.compact\n"
        "    def __call__(self, x): return nn.Dense(2)(x)\nnet = Net()\ndef thing(w): return net.apply(w)",
        "(2)",
        "(3)",
        library="flax",
    ),
    "module of Flax nnx": Kind(
        "from flax import nnx\nclass Net(nnx.Module):\n    def __init__(self, rngs): self.d = nnx.Linear(2, 2, rngs=rngs)\n"
        "    def __call__(self, x): return 2.0 * self.d(x)\nnet = Net(nnx.Rngs(0))\ndef thing(w): return net(w)",
        "2.0",
        "3.0",
        library="flax",
    ),
    "weights of Flax nnx": Kind(
        "from flax import nnx\nnet = nnx.Linear(2, 2, rngs=nnx.Rngs(2))\ndef thing(w): return net(w)",
        "Rngs(2)",
        "Rngs(3)",
        library="flax",
    ),
    "graph of Flax nnx": Kind(
        "from flax import nnx\ngraph, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))\n"
        "def thing(w): return nnx.merge(graph, w)",
        "Linear(2, 2",
        "Linear(2, 3",
        library="flax",
    ),
    "leaf of Equinox": Kind(
        "import equinox as eqx\nclass Net(eqx.Module):\n    c: float\n    def __call__(self, w): return self.c * w\n"
        "net = Net(2.0)\ndef thing(w): return net(w)",
        "2.0",
        "3.0",
        library="equinox",
    ),
    "static part of Equinox": Kind(
        "import equinox as eqx\nclass Net(eqx.Module):\n    c: float = eqx.field(static=True)\nthing = Net(2.0)",
        "2.0",
        "3.0",
        library="equinox",
    ),
    "method of Equinox": Kind(
        "import equinox as eqx\nclass Net(eqx.Module):\n    c: float\n    def __call__(self, w): return 2.0 * w\n"
        "net = Net(1)\ndef thing(w): return net(w)",
        "2.0",
        "3.0",
        library="equinox",
    ),
    "weights of Equinox": Kind(
        "import equinox as eqx, jax\nnet = eqx.nn.MLP(2, 2, 2, 1, key=jax.random.key(2))\ndef thing(w): return net(w)",
        "key(2)",
        "key(3)",
        library="equinox",
    ),
}


def write(folder: Path, stem: str, kind: Kind) -> Path:
    """Write the modules of a kind, and return the path of the one that defines `thing`."""
    (folder / f"{stem}_helper.py").write_text(kind.helper)
    path = folder / f"{stem}.py"
    path.write_text(kind.source.replace("HELPER", f"{stem}_helper"))
    return path


def load(stem: str) -> Any:
    """Import `thing` from a module, anew."""
    importlib.invalidate_caches()
    for name in (stem, f"{stem}_helper"):
        sys.modules.pop(name, None)
    return importlib.import_module(stem).thing


def hashed(folder: Path, stem: str) -> str:
    """Return the hash of `thing` from a module in a folder, imported anew."""
    sys.path.insert(0, str(folder))
    try:
        return fingerprint.of_object(load(stem))
    finally:
        sys.path.remove(str(folder))


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every kind whose library there is here."""
    found = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        if not kind.library or importlib.util.find_spec(kind.library):
            write(folder, f"kind_{number}", kind)
            found[name] = hashed(folder, f"kind_{number}")
    return found


if __name__ == "__main__":
    print(json.dumps(hashes(Path(sys.argv[1]))))
