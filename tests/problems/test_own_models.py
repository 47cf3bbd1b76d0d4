"""Problems from models: each wrapper trains what a problem written by hand, or the library's own loop, trains."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lrbench as lb
from lrbench.datasets import bundled
from lrbench.engine import seeds

IMAGES, LABELS = bundled.digits()
TRAIN, VALID = (IMAGES[:300], LABELS[:300]), (IMAGES[300:500], LABELS[300:500])
STEPS, RATE = 12, 0.1


class Linen(nn.Module):
    """With batch normalisation and dropout, which the argument `training` switches."""

    @nn.compact
    def __call__(self, x: Any, training: bool) -> Any:
        x = nn.BatchNorm(use_running_average=not training, momentum=0.9)(nn.Dense(8)(x))
        return nn.Dense(10)(nn.Dropout(0.2, deterministic=not training)(nn.relu(x)))


class Nnx(nnx.Module):
    """With batch normalisation, and dropout that has a stream of its own."""

    def __init__(self, *, rngs: Any) -> None:
        self.first = nnx.Linear(64, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.last = nnx.Linear(8, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


class Equinox(eqx.Module):
    """With batch normalisation and dropout."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        first, last = jax.random.split(key)
        self.first = eqx.nn.Linear(64, 8, key=first)
        self.norm = eqx.nn.BatchNorm(8, axis_name="batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.2)
        self.last = eqx.nn.Linear(8, 10, key=last)

    def __call__(self, x: Any, state: Any, key: Any) -> Any:
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


def _entropy(scores: Any, labels: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def _linen_by_hand() -> lb.Problem:
    module = Linen()

    def variables(model: Any) -> Any:
        return {"params": model[0], "batch_stats": model[1]}

    def init(key: Any) -> Any:
        found = module.init(key, IMAGES[:1], training=False)
        return found["params"], found["batch_stats"]

    def loss(model: Any, batch: Any, key: Any) -> Any:
        scores, after = module.apply(
            variables(model), batch[0], training=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        return _entropy(scores, batch[1]), after["batch_stats"]

    def evaluate(model: Any, batch: Any, key: Any) -> Any:
        return _entropy(module.apply(variables(model), batch[0], training=False), batch[1])

    return _by_hand(init, loss, evaluate)


def _nnx_by_hand() -> lb.Problem:
    graph = nnx.split(Nnx(rngs=nnx.Rngs(0)), nnx.Param, nnx.RngState, ...)[0]

    def network(model: Any, key: Any) -> Any:
        streams = nnx.split(Nnx(rngs=nnx.Rngs(0)), nnx.RngState, ...)[1]
        # Of one stream: its count, and its key.
        fresh = jax.tree.map(
            lambda leaf: jnp.uint32(0) if leaf.dtype == jnp.uint32 else jax.random.fold_in(key, 1), streams
        )
        return nnx.merge(graph, model[0], fresh, model[1], copy=True)

    def init(key: Any) -> Any:
        _, params, _, state = nnx.split(Nnx(rngs=nnx.Rngs(key)), nnx.Param, nnx.RngState, ...)
        return params, state

    def loss(model: Any, batch: Any, key: Any) -> Any:
        each = network(model, key)
        each.train()
        found = _entropy(each(batch[0]), batch[1])
        return found, nnx.split(each, nnx.Param, nnx.RngState, ...)[3]

    def evaluate(model: Any, batch: Any, key: Any) -> Any:
        each = network(model, key)
        each.eval()
        return _entropy(each(batch[0]), batch[1])

    return _by_hand(init, loss, evaluate)


def _equinox_by_hand() -> lb.Problem:
    static = eqx.partition(eqx.nn.make_with_state(Equinox)(jax.random.key(0))[0], eqx.is_inexact_array)[1]

    def init(key: Any) -> Any:
        network, state = eqx.nn.make_with_state(Equinox)(key)
        return eqx.filter(network, eqx.is_inexact_array), state

    def forward(model: Any, inputs: Any, key: Any, inference: bool) -> Any:
        network = eqx.nn.inference_mode(eqx.combine(model[0], static), inference)
        over = jax.vmap(network, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
        return over(inputs, model[1], jax.random.split(key, len(inputs)))

    def loss(model: Any, batch: Any, key: Any) -> Any:
        scores, state = forward(model, batch[0], key, False)
        return _entropy(scores, batch[1]), state

    def evaluate(model: Any, batch: Any, key: Any) -> Any:
        return _entropy(forward(model, batch[0], key, True)[0], batch[1])

    return _by_hand(init, loss, evaluate)


def _by_hand(init: Any, loss: Any, evaluate: Any) -> lb.Problem:
    more = {"train": TRAIN, "valid": VALID, "batch_size": 32, "stateful": True}
    return lb.problem(init=init, loss=loss, evaluate=evaluate, name="hand", **more)


def _swept(problem: Any, **more: Any) -> lb.Results:
    keys = {"learning_rates": [RATE], "seeds": 2, "steps": STEPS, "evaluate_every": 4, **more}
    return lb.sweep(problem, **keys)


LIBRARIES: dict[str, tuple[Callable[[], lb.Problem], Callable[[], lb.Problem]]] = {
    "linen": (lambda: lb.from_flax(Linen(), TRAIN, VALID, batch_size=32), _linen_by_hand),
    "nnx": (lambda: lb.from_nnx(Nnx, TRAIN, VALID, batch_size=32), _nnx_by_hand),
    "equinox": (lambda: lb.from_equinox(Equinox, TRAIN, VALID, batch_size=32), _equinox_by_hand),
}


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_trains_as_a_problem_written_by_hand(library: str) -> None:
    ours, theirs = (_swept(make()).curves for make in LIBRARIES[library])
    for column in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-5, err_msg=column)
    last = ours[ours["step"] == STEPS]["valid_loss"]
    assert last.nunique() == 2, "each seed has initial weights of its own"
    assert last.max() < ours[ours["step"] == 0]["valid_loss"].min()


@pytest.mark.slow
def test_a_linen_module_trains_as_in_a_loop_of_flax_and_optax() -> None:
    module, optimizer = Linen(), optax.sgd(RATE)
    problem = lb.from_flax(module, TRAIN, VALID)
    params, state = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), seeds.Initial(problem).of([0]))
    key = seeds.key(seeds.noise([0])[0])

    @jax.jit
    def step(params: Any, state: Any, moments: Any, number: Any) -> Any:
        def loss(params: Any) -> Any:
            scores, after = module.apply(
                {"params": params, **state},
                TRAIN[0],
                training=True,
                rngs={"dropout": jax.random.fold_in(key, number)},
                mutable=["batch_stats"],
            )
            return _entropy(scores, TRAIN[1]), after

        gradient, after = jax.grad(loss, has_aux=True)(params)
        update, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, update), after, moments

    moments = optimizer.init(params)
    for number in range(STEPS):
        params, state, moments = step(params, state, moments, number)
    expected = _entropy(module.apply({"params": params, **state}, VALID[0], training=False), VALID[1])
    found = _swept(problem, optimizers="sgd", seeds=[0]).runs["final_valid_loss"].item()
    assert found == pytest.approx(float(expected), rel=1e-4)


def _scaled(model: Any, x: Any) -> Any:
    return x @ model


X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None] * np.ones(2, np.float32)
Y = X[:, 0] * 2 + 0.5


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", lambda y: np.mean(y**2)),
        ("mae", lambda y: np.mean(np.abs(y))),
        ("huber", lambda y: np.mean(np.where(np.abs(y) < 1, y**2 / 2, np.abs(y) - 0.5))),
        ("log_cosh", lambda y: np.mean(np.log(np.cosh(y)))),
        (lambda predictions, targets: (predictions[..., 0] - targets) ** 4, lambda y: np.mean(y**4)),
    ],
)
def test_losses_of_numbers(loss: Any, expected: Callable[[Any], Any]) -> None:
    """A column of predictions is compared with the targets one by one, not each with all."""
    metrics = {} if callable(loss) else "r2"
    problem = lb.from_apply(
        lambda key: jnp.zeros((2, 1)), _scaled, (X, Y), (X, Y), loss=loss, metrics=metrics
    )
    model, batch, key = jnp.zeros((2, 1)), (X, Y), jax.random.key(0)
    assert problem.loss(model, batch, key) == pytest.approx(expected(Y), rel=1e-5)
    assert problem.evaluate(model, batch, key) == pytest.approx(expected(Y), rel=1e-5)
    assert problem.name == "_scaled"


@pytest.mark.slow
def test_a_binary_classifier_has_the_metrics_of_two_labels() -> None:
    labels = Y > 0.3
    problem = lb.from_apply(
        lambda key: jnp.zeros((2, 1)),
        _scaled,
        (X, labels),
        (X, labels),
        loss="binary_cross_entropy",
        metrics=["accuracy", "f1", "auc"],
    )
    run = _swept(problem, learning_rates=[0.3], steps=40, seeds=1).runs.iloc[0]
    assert run["initial_valid_loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert run["final_valid_accuracy"] > 0.8
    assert run["final_valid_auc"] == 1
    assert run["final_valid_f1"] > 0.8


def test_apply_gets_what_it_asks_for() -> None:
    def apply(params: Any, x: Any, *, key: Any, training: bool) -> Any:
        assert isinstance(training, bool)
        noise = jax.random.normal(key, (len(x), 1)) if training else 0.0
        return x @ params + noise

    problem = lb.from_apply(lambda key: jnp.zeros((2, 1)), apply, (X, Y), loss="mse")
    first, second = (problem.loss(jnp.zeros((2, 1)), (X, Y), jax.random.key(number)) for number in range(2))
    assert first != second
    assert problem.evaluate(jnp.zeros((2, 1)), (X, Y), jax.random.key(0)) == pytest.approx(np.mean(Y**2))
    assert problem.predict(jnp.ones((2, 1)), (X, Y)).shape == Y.shape


def _zeros(*shape: int) -> Callable[[Any], Any]:
    return lambda key: jnp.zeros(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, Y), loss="mean_square"),
            "from_apply: unknown loss 'mean_square'; allowed: cross_entropy, binary_cross_entropy, mse, mae, huber, log_cosh; or a "
            "function",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 3), _scaled, X),
            "from_apply: train is of type ndarray; must be a pair (inputs, targets) of arrays with a row per example",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 3), _scaled, (X, Y)),
            'from_apply: the targets of train are of type float32; loss = "cross_entropy" takes whole numbers from 0 on: y.astype(int) '
            "of labels, y.argmax(-1) of one-hot rows",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 3), _scaled, (X, np.arange(40) % 5)),
            "from_apply: _scaled: the targets of train are from 0 to 4; the model has 3 scores, so that they must be from 0 to 2",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 3), _scaled, (X, np.arange(40) % 3), (X, np.arange(40) - 1)),
            "from_apply: _scaled: the targets of valid are from -1 to 38; the model has 3 scores, so that they must be from 0 to 2",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 3), _scaled, (X, Y), loss="mse"),
            'from_apply: _scaled: its predictions are of the shape (40, 3); loss = "mse" takes those of the shape of the targets, (40,)',
        ),
        (
            lambda: lb.from_apply(_zeros(3, 1), _scaled, (X, Y), loss="mse", name="line"),
            "from_apply: line: TypeError: dot_general requires contracting dimensions to have the same shape, got (2,) and (3,).",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, np.where(Y > 2, np.nan, Y)), loss="mse"),
            "from_apply: the targets of train contain NaN or infinite numbers; remove or replace them",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X.astype(str), Y), loss="mse"),
            "from_apply: the inputs of train are of type <U32; must be numbers or booleans",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X[:0], Y[:0]), loss="mse"),
            "train data have the shapes [(0, 2), (0,)]; all arrays must have the same leading axis, one row per example, and at least "
            "one row",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, Y * 3), loss="binary_cross_entropy"),
            'from_apply: the targets of train are from -4.5 to 7.5; loss = "binary_cross_entropy" takes numbers from 0 to 1',
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, Y), loss="mse", metrics="accuracy"),
            'from_apply: metrics: accuracy requires predictions that are scores [example, label]; those of loss = "mse" and targets of '
            "type float32 and the shape (40,) are not; pass a function of your own, as {name: function}",
        ),
        (
            lambda: lb.from_apply(
                _zeros(2, 2), _scaled, (X[:, None], np.ones((40, 1), int)), metrics=["accuracy", "f1"]
            ),
            'from_apply: metrics: f1 requires predictions that are scores [example, label]; those of loss = "cross_entropy" and targets of '
            "type int32 and the shape (40, 1) are not; pass a function of your own, as {name: function}",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, Y), loss="mse", metrics=["r3"]),
            "unknown metric 'r3'; allowed: accuracy, auc, f1, r2; did you mean 'r2'?",
        ),
        (
            lambda: lb.from_apply(_zeros(2, 1), _scaled, (X, Y), loss="mse", stateful=True),
            "from_apply: _scaled: stateful = True: apply must return two things, (predictions, state)",
        ),
        (
            lambda: lb.from_flax(Linen, TRAIN),
            "from_flax: Linen is a class; must be an instance of a flax.linen.Module, such as MLP(hidden=64); of nnx, use from_nnx",
        ),
        (
            lambda: lb.from_nnx(Nnx(rngs=nnx.Rngs(0)), TRAIN),
            "from_nnx: a ready Nnx, whose initial weights all seeds would share; pass what makes one: lambda rngs: Nnx(..., rngs=rngs)",
        ),
        (
            lambda: lb.from_equinox(Equinox(jax.random.key(0)), TRAIN),
            "from_equinox: a ready Equinox, whose initial weights all seeds would share; pass what makes one: "
            "lambda key: Equinox(..., key=key)",
        ),
        (
            lambda: lb.from_nnx(lambda rngs: 3, TRAIN),
            "from_nnx: the constructor returned ShapeDtypeStruct; it must return a module",
        ),
        (
            lambda: lb.from_equinox(lambda key: "net", TRAIN),
            "from_equinox: the constructor returned str; it must return a module",
        ),
        (
            lambda: lb.from_nnx(lambda rngs: nnx.Linear(64, 10), TRAIN),
            "from_nnx: the model cannot be built: TypeError: Linear.__init__() missing 1 required keyword-only argument: 'rngs'",
        ),
        (
            lambda: lb.from_flax(nn.Dense(10), TRAIN, batch_size="all"),
            "from_flax: batch_size = 'all': must be a whole number, or None for all examples",
        ),
        (
            lambda: lb.from_flax(nn.Dense(10), TRAIN, metrics=3),
            "from_flax: metrics = 3: must be a name, a list of names, or {name: function}",
        ),
        (
            lambda: lb.from_nnx("Nnx", TRAIN),
            "from_nnx: it is of type str; must be a function rngs -> module",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(lb.LrbenchError) as caught:
        make()
    assert str(caught.value) == message


FILE = """
import flax.linen as nn
import numpy as np

import lrbench as lb

X = np.eye(4, dtype=np.float32)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(nn.tanh(nn.Dense(8)(x)))


ready = lb.from_flax(Net(), (X, np.arange(4)), name="net")


def made(*, rows: int = 4):
    return lb.from_flax(Net(), (X[:rows], np.arange(rows)), name="net")
"""


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["ready", "made"])
def test_a_model_in_a_file_whose_code_changes(tmp_path: Path, reference: str) -> None:
    study = tmp_path / "own.toml"
    study.write_text(
        f'name = "own"\nsteps = 4\nseeds = 1\noptimizer = "sgd"\nproblem = "mine.py:{reference}"\n'
        "[learning_rate]\nvalues = [0.1]\n"
    )
    runs = []
    for text in (FILE, FILE.replace("tanh", "relu")):
        (tmp_path / "mine.py").write_text(text)
        folder = tmp_path / str(len(runs))
        runs.append(lb.run(study, out=folder, trust=True, report=False).runs.iloc[0])
        assert f'name = "mine.py:{reference}"' in (folder / "study.toml").read_text().replace("../", "")
    first, changed = runs
    assert first["problem"] == ("net" if reference == "ready" else "made")
    assert first["run_id"] != changed["run_id"]
    assert first["final_train_loss"] != changed["final_train_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_another_process_gives_a_model_the_same_identity(library: str) -> None:
    """Building a problem does not start JAX either, which would fix the number of devices before a study does."""
    code = (
        f"from tests.problems.test_own_models import LIBRARIES\nproblem = LIBRARIES[{library!r}][0]()\n"
        "from jax._src import xla_bridge\nassert not xla_bridge.backends_are_initialized()\n"
        "from lrbench.study import fingerprint\nprint(fingerprint.of_object(problem))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    fingerprint = importlib.import_module("lrbench.study.fingerprint")
    assert done.stdout.split() == [fingerprint.of_object(LIBRARIES[library][0]())], done.stderr


@pytest.mark.parametrize(
    ("make", "module", "name"),
    [
        (lb.from_flax, "flax.linen", "flax"),
        (lb.from_nnx, "flax.nnx", "flax"),
        (lb.from_equinox, "equinox", "equinox"),
    ],
)
def test_a_library_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], module: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(lb.LrbenchError) as caught:
        make(Linen(), TRAIN)
    assert str(caught.value) == (
        f"{make.__name__}: requires {name}, which is not installed; pip install {name}"
    )
