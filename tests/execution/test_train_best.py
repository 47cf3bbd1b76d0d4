"""The recommended run trained again: which run it is, its curve to the last bit, its weights and their file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import lrbench as lb
from lrbench.errors import LrbenchError
from lrbench.execution.trainable_results import TrainableResults
from tests.helpers.command import lrbench, refused

STUDY: dict[str, Any] = {
    "name": "again",
    "steps": 40,
    "evaluate_every": 10,
    "seeds": 2,
    "confirm": 3,
    "problem": [{"name": "digits_mlp", "hidden": [8]}],
    "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}, "schedule_free_sgd"],
    "schedule": ["constant", "warmup_cosine"],
    "learning_rate": {"min": 1e-3, "max": 300.0, "num": 7},
    "race": True,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> TrainableResults:
    return lb.run(STUDY, tmp_path_factory.mktemp("again") / "out", report=False)


def _table(results: lb.Results, run: str) -> pd.DataFrame:
    return results.curves[results.curves["run_id"] == run].reset_index(drop=True)


def test_the_run_is_that_of_the_median_loss_at_the_rate_to_use(results: TrainableResults) -> None:
    best = results.best().iloc[0]
    trained = results.train_best()
    run = results.runs.set_index("run_id").loc[trained.run_id]
    line = results.sensitivity.iloc[best["line"]]
    same = results.runs[
        (results.runs["optimizer"] == line["optimizer"])
        & (results.runs["schedule"] == line["schedule"])
        & (results.runs["optimizer_momentum"].fillna(-1) == np.nan_to_num(line["optimizer_momentum"], nan=-1))
        & (results.runs["learning_rate"] == trained.learning_rate)
    ]
    assert trained.learning_rate == pytest.approx(best["use"])
    assert set(same["stage"]) == {"grid", "confirm"}
    assert (same["final_valid_loss"] < run["final_valid_loss"]).sum() == (len(same) - 1) // 2


@pytest.mark.slow
def test_a_run_of_any_stage_has_the_curve_of_the_table_bit_for_bit(results: TrainableResults) -> None:
    """Also where others of its pack have diverged or were stopped, and so have left their lanes to others."""
    assert {"diverged", "stopped"} <= {*results.runs["status"]}
    ok = results.runs[results.runs["status"] == "ok"]
    for run in [
        *ok[ok["stage"] == "grid"]["run_id"].iloc[::17],
        ok[ok["stage"] == "confirm"]["run_id"].iloc[1],
    ]:
        trained, table = results.train_best(run=run), _table(results, run)
        assert trained.difference == 0.0
        for name in ("step", "learning_rate", "train_loss", "valid_loss", "valid_accuracy", "update_norm"):
            assert trained.curve[name].tolist() == table[name].tolist()


@pytest.mark.parametrize("optimizer", ["sgd", "schedule_free_sgd"])
def test_the_weights_are_those_that_the_curve_ends_with(results: TrainableResults, optimizer: str) -> None:
    """Of an optimizer that evaluates elsewhere than it steps, they are those that are evaluated."""
    trained = results.train_best(optimizer=optimizer)
    inputs, labels = trained.problem.data.valid
    params = jax.tree.map(jnp.asarray, trained.params)
    loss = trained.problem.loss(params, (inputs, labels), jax.random.key(0))
    assert float(loss) == pytest.approx(trained.curve["valid_loss"].iloc[-1], rel=1e-5)
    scores = trained.predict(inputs)
    assert scores.shape == (len(inputs), 10)
    assert (scores.argmax(1) == labels).mean() == pytest.approx(trained.curve["valid_accuracy"].iloc[-1])
    assert np.array_equal(scores, trained.predict((inputs, labels)))


@pytest.mark.slow
def test_a_line_is_named_as_the_answer_prints_it(results: TrainableResults) -> None:
    trained = results.train_best("digits_mlp", "sgd(momentum=0.9)", "constant", seed=1)
    run = results.runs.set_index("run_id").loc[trained.run_id]
    assert (run["optimizer_momentum"], run["schedule"], run["seed"]) == (0.9, "constant", 1)
    assert trained.about["optimizer"] == "sgd(momentum=0.9)"
    first = results.best().query("optimizer.str.startswith('sgd')").iloc[0]
    assert results.train_best(optimizer="sgd").learning_rate == pytest.approx(first["use"])


@pytest.mark.slow
def test_longer_training_stretches_the_schedule(results: TrainableResults) -> None:
    trained = results.train_best(optimizer="sgd(momentum=0)", schedule="warmup_cosine", seed=1, steps=80)
    same = lb.sweep(
        {"name": "digits_mlp", "hidden": [8]},
        optimizers=lb.Optimizer("sgd", momentum=0.0),
        schedules="warmup_cosine",
        learning_rates=[trained.learning_rate],
        seeds=[1],
        steps=80,
        evaluate_every=10,
    )
    assert trained.difference is None
    assert trained.run_id == same.runs["run_id"].item()
    assert trained.curve["step"].tolist() == [*range(0, 81, 10)]
    np.testing.assert_allclose(trained.curve["train_loss"], same.curves["train_loss"], rtol=1e-4)


def test_the_file_has_names_from_paths_and_says_what_it_is(results: TrainableResults, tmp_path: Path) -> None:
    trained = results.train_best(optimizer="sgd")
    path = trained.save(tmp_path / "deep" / "best.safetensors")
    found = load_file(path)
    shapes = {"0/bias": (8, 1), "0/weight": (8, 64), "1/bias": (10, 1), "1/weight": (10, 8)}
    assert {name: array.shape for name, array in found.items()} == shapes
    for name, array in found.items():
        layer, kind = name.split("/")
        assert np.array_equal(array, trained.params[int(layer)][kind])
    with safe_open(path, "numpy") as file:
        about = file.metadata()
    assert about == dict(trained.about)
    assert (about["run_id"], float(about["learning_rate"])) == (trained.run_id, trained.learning_rate)
    run = results.runs.set_index("run_id").loc[trained.run_id]
    assert float(about["final_valid_loss"]) == run["final_valid_loss"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
def test_a_state_is_under_a_name_of_its_own_and_an_array_alone_is_params() -> None:
    def loss(model: Any, batch: Any, key: Any) -> Any:
        return jnp.sum(model[0] ** 2), {"steps": model[1]["steps"] + 1.0}

    counted = lb.problem(
        name="counted", init=lambda key: (jnp.ones(3), {"steps": jnp.zeros(())}), loss=loss, stateful=True
    )
    trained = lb.sweep(counted, optimizers="sgd", learning_rates=[0.1], seeds=1, steps=5).train_best()
    tensors = trained.tensors()
    np.testing.assert_allclose(tensors["params"], 0.8**5, rtol=1e-5)
    assert (sorted(tensors), tensors["state/steps"].item()) == (["params", "state/steps"], 5.0)
    assert tensors["state/steps"].shape == ()
    with pytest.raises(LrbenchError, match=r"^counted makes no predictions: .*; use .params$"):
        trained.predict(np.ones(3))


def test_two_arrays_of_one_name_are_refused() -> None:
    twice = lb.problem(
        name="twice",
        init=lambda key: {"a/b": jnp.ones(2), "a": {"b": jnp.ones(2)}},
        loss=lambda params, batch, key: jnp.sum(params["a/b"] ** 2) + jnp.sum(params["a"]["b"] ** 2),
    )
    trained = lb.sweep(twice, optimizers="sgd", learning_rates=[0.1], seeds=1, steps=2).train_best()
    with pytest.raises(LrbenchError, match="two arrays of the model are called 'a/b'"):
        trained.save("twice.safetensors")


def test_objects_from_python_are_passed_again(tmp_path: Path) -> None:
    def bowl(factor: float) -> lb.Problem:
        return lb.problem(
            name="bowl",
            init=lambda key: jax.random.normal(key, (3,)),
            loss=lambda w, batch, key: factor * jnp.sum(w**2),
        )

    lb.sweep(bowl(1.0), optimizers="sgd", learning_rates=[0.1], seeds=1, steps=5, out=tmp_path / "bowl")
    loaded = lb.load(tmp_path / "bowl")
    with pytest.raises(LrbenchError, match=r"pass it again: results.train_best\(problem=...\)"):
        loaded.train_best()
    with pytest.raises(LrbenchError, match="optimizer: these results have none that was passed from Python"):
        loaded.train_best(problem=bowl(1.0), optimizer=lambda learning_rate: learning_rate)
    with pytest.raises(LrbenchError, match="have changed since the run was trained"):
        loaded.train_best(problem=bowl(2.0))
    assert loaded.train_best(problem=bowl(1.0)).difference == 0.0


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"optimizer": "sdg"}, r"optimizer: unknown optimizer 'sdg'; "),
        ({"problem": "digits"}, r"problem: unknown problem 'digits'; "),
        ({"seed": 77}, r"seed = 77: no run at the rate to use has it; those have: 0, 1, "),
        ({"run": "x"}, r"run = 'x': none of the .* runs has this run_id; runs.csv has them all$"),
        ({"run": "x", "seed": 1}, r"run = 'x': is one run already; leave out seed$"),
        ({"steps": 0}, r"steps = 0: "),
    ],
)
def test_a_mistake_is_one_line(results: TrainableResults, which: dict[str, Any], message: str) -> None:
    with pytest.raises(LrbenchError, match=f"^{message}") as caught:
        results.train_best(**which)
    assert "\n" not in str(caught.value)


def test_a_run_that_did_not_end_has_no_weights(results: TrainableResults) -> None:
    run = results.runs[results.runs["status"] == "diverged"]["run_id"].iloc[0]
    with pytest.raises(LrbenchError, match=f"^run {run} has no weights: .* its status is diverged; choose"):
        results.train_best(run=run)


def test_several_problems_need_a_name(tmp_path: Path) -> None:
    two = lb.sweep(["quadratic", "rosenbrock"], optimizers="sgd", learning_rates=[1e-4], seeds=1, steps=5)
    with pytest.raises(
        LrbenchError, match=r"^problem: name one of the 2 of this study: quadratic, rosenbrock$"
    ):
        two.train_best()


@pytest.mark.slow
def test_results_stay_trainable_when_they_are_pickled_or_saved(
    results: TrainableResults, tmp_path: Path
) -> None:
    again = pickle.loads(pickle.dumps(results)).save(tmp_path / "copy")
    assert again.train_best(seed=0).run_id == results.train_best(seed=0).run_id


@pytest.mark.slow
def test_a_curve_that_differs_is_said(results: TrainableResults, tmp_path: Path) -> None:
    """The largest difference is that of the table as it is: here of a run whose part was changed."""
    from dataclasses import replace

    from lrbench.results.folder import ResultsFolder

    saved = results.save(tmp_path / "copy")
    store, run = ResultsFolder(saved.folder), results.train_best().run_id
    part = next(
        part
        for part in store.inventory(np.array([run.encode()], "S20"), stopped=True).parts()
        if len(part.rows)
    )
    everything = replace(part, rows=np.arange(part.rows.max() + 1))
    trained = store.read_part(everything)
    trained.curves["valid_loss"][part.rows[0], 2] += 0.25
    store.write_part(trained)
    assert saved.train_best(run=run).difference == pytest.approx(0.25)
    assert saved.train_best(run=run).summary().endswith("differs from that of the table by up to 0.25")


def test_the_command_prints_the_run_and_the_path_last(results: TrainableResults, tmp_path: Path) -> None:
    out = tmp_path / "best.safetensors"
    code, said = lrbench(["train", str(results.folder), "--optimizer", "sgd", "--out", str(out)])
    assert code == 0
    *_, first, second, third, curve, path = said.splitlines()
    with safe_open(out, "numpy") as file:
        about = file.metadata()
    assert first.startswith(f"run {about['run_id']}: problem digits_mlp")
    assert second.startswith(f"learning rate {float(about['learning_rate']):g}: train_loss ")
    assert third == "its curve is that of the table, bit for bit"
    assert (curve, path) == (str(tmp_path / "best.curve.csv"), str(out))
    table = _table(results, about["run_id"])
    assert pd.read_csv(curve)["valid_loss"].tolist() == table["valid_loss"].tolist()
    assert refused("train", str(results.folder), "--out", str(tmp_path)).startswith(
        f"{tmp_path}: is a folder; give the name of a file"
    )
    assert "unknown optimizer 'x'" in refused("train", str(results.folder), "--optimizer", "x")


def test_code_of_a_file_needs_trust(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import optax\n\ndef mine(learning_rate):\n    return optax.sgd(learning_rate, momentum=0.5)\n"
    )
    study = {
        "name": "x", "steps": 10, "seeds": 1, "problem": "quadratic", "optimizer": "mine.py:mine",
        "learning_rate": {"values": [0.1]},
    }  # fmt: skip
    lb.run(study, "x", trust=True, report=False)
    assert json.loads(Path("x/manifest.json").read_text())["runs"]["done"] == 1
    assert "allow it with --trust" in refused("train", "x")
    code, said = lrbench(["train", "x", "--trust", "-q"])
    assert code == 0
    assert Path(said.splitlines()[-1]).parent == Path("x/weights")
