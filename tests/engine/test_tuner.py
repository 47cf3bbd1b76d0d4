"""Forms, options of XLA and chunks: in which order they are measured, what is preferred, and what a folder keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from lrbench import machine
from lrbench.engine import decompositions, tuner, tuning_cache, xla_options
from lrbench.engine.engine import Engine
from lrbench.engine.tuner import Tuner
from lrbench.engine.tuning_cache import Tuning, TuningCache
from lrbench.study.grid import of_study
from lrbench.study.spec import read


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tunings of other tests are not here."""
    monkeypatch.setattr(tuning_cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))


def _engine(table: dict[str, Any], **more: Any) -> Engine:
    study = read(table, trust=True)
    return Engine(study, of_study(study), **more)


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_options, "OPTIONS", {"odd": {"xla_nonsense": "1"}, **xla_options.OPTIONS})
    xla_options.accepted.cache_clear()
    known = xla_options.accepted("cpu")
    xla_options.accepted.cache_clear()
    assert known == ("without_ynn", "wide_vectors")
    assert xla_options.accepted("gpu") == ()
    assert xla_options.are_accepted("wide_vectors+without_ynn", "cpu")
    assert not xla_options.are_accepted("wide_vectors", "gpu")


def test_what_is_slightly_faster_once_is_not_preferred() -> None:
    """By the least of several times, so that what disturbs some of them is no reason."""

    def times(one: list[float], two: list[float]) -> Callable[[Tuning], float]:
        rounds = {1: iter(one), 2: iter(two)}
        return lambda tuning: next(rounds[tuning.lanes_per_chunk])

    first, other = Tuning(1), Tuning(2)
    assert tuner.preferred([first, other], times([1.0] * 3, [0.98] * 3)) is first
    assert tuner.preferred([first, other], times([2.0, 1.0, 2.0], [1.1, 1.0, 1.1])) is first
    assert tuner.preferred([first, other], times([1.0] * 3, [2.0, 0.9, 2.0])) is other


def test_forms_then_options_then_chunks_are_measured(table: dict[str, Any]) -> None:
    engine = _engine({**table, "problem": ["digits_cnn"]})
    (program,) = engine.grid.programs
    start, form = engine.tuner.tuning(program).lanes_per_chunk, list(engine.problems[0].forms)[1]
    timed: list[tuple[int, str, str]] = []

    def seconds(tuning: Tuning) -> float:
        timed.append(tuning.choice)
        faster = {form: 0.9, "": 1.0}[tuning.form] * (0.8 if tuning.options == "wide_vectors" else 1.0)
        return faster * (0.9 if tuning.lanes_per_chunk == 2 * start else 1.0)

    found = engine.tuner.measure(program, seconds, 1000)
    assert (found.choice, found.how) == ((2 * start, form, "wide_vectors"), "measured")
    assert found.seconds_per_step == pytest.approx(0.9 * 0.8 * 0.9)
    assert list(dict.fromkeys(timed)) == [
        (start, "", ""),
        (start, form, ""),
        (start, form, "without_ynn"),
        (start, form, "wide_vectors"),
        (2 * start, form, "wide_vectors"),
        (4 * start, form, "wide_vectors"),
    ]


@pytest.mark.slow
def test_options_change_rounding_alone(
    table: dict[str, Any], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program is compiled with the options of its tuning, and its losses are the same to the precision of the numbers."""
    asked = {**table, "problem": ["digits_mlp"], "learning_rate": {"values": [0.01, 0.1]}, "seeds": 1}
    plain, (expected,) = train(asked)
    given: list[Any] = []
    compile_program = decompositions.compile_program
    monkeypatch.setattr(
        decompositions,
        "compile_program",
        lambda *args, **more: given.append(more.get("options")) or compile_program(*args, **more),
    )
    (record,) = plain.describe_tunings()
    options = "without_ynn+wide_vectors"
    engine = _engine(asked, tunings=[{**record, "options": options, "chosen": "measured"}])
    (pack,) = engine.grid.packs([1000])
    found = engine.run(pack, 1000)
    assert any(xla_options.of(options).items() <= (each or {}).items() for each in given)
    assert engine.describe(engine.grid.programs[0])["options"] == options
    for name, values in expected.curves.items():
        np.testing.assert_allclose(found.curves[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_form_that_jax_cannot_differentiate_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX has no rule for XLA's convolution under the third `vmap`, over examples, that `dpsgd` adds."""
    monkeypatch.setattr(tuner, "WORTH_MEASURING", 0)
    monkeypatch.setattr(tuner, "in_chunks", lambda start, *_: start)
    monkeypatch.setattr(xla_options, "accepted", lambda _: ())
    asked = {"problem": "digits_cnn", "optimizer": "dpsgd", "steps": 2, "seeds": 1, "name": "cnn"}
    engine = _engine({**asked, "learning_rate": {"values": [0.01]}})
    (program,) = engine.grid.programs
    (pack,) = engine.grid.packs([10])
    assert np.isfinite(engine.run(pack, 10).curves["train_loss"]).all()
    tuning = engine.tuner.tuning(program)
    assert (tuning.how, tuning.form) == ("measured", "")


@pytest.mark.parametrize("key", ["deterministic", "lanes_per_chunk"])
def test_what_the_study_sets_is_neither_kept_nor_measured(
    table: dict[str, Any], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner, "WORTH_MEASURING", 0)
    (record,) = _engine(table).describe_tunings()
    record |= {"lanes_per_chunk": 3, "options": "wide_vectors", "chosen": "measured"}
    engine = _engine({**table, key: True if key == "deterministic" else 2}, tunings=[record])
    (program,) = engine.grid.programs
    tuning = engine.tuner.tuning(program)
    assert (tuning.how, tuning.options) == ("set", "")
    assert tuning.lanes_per_chunk != 3
    assert not engine.tuner.worth_measuring(program, 1.0, lambda: 1e9)
    assert engine.describe_tunings() == [record]


@pytest.mark.parametrize(
    "lost", [{"form": "gone"}, {"options": "gone"}, {"machine": {"platform": "cpu"}}, {"program": "0" * 32}]
)
def test_what_cannot_be_compiled_here_is_chosen_anew(table: dict[str, Any], lost: dict[str, Any]) -> None:
    engine = _engine(table)
    (program,), (record,) = engine.grid.programs, engine.describe_tunings()
    kept = {**record, "lanes_per_chunk": 3, "chosen": "measured"}
    assert _engine(table, tunings=[kept]).tuner.tuning(program).lanes_per_chunk == 3
    again = _engine(table, tunings=[kept | lost])
    assert again.tuner.tuning(program).choice == engine.tuner.tuning(program).choice
    assert again.describe_tunings()[-1] == record


def test_where_nothing_may_be_measured_the_cache_or_the_rule_decides(table: dict[str, Any]) -> None:
    engine = _engine(table, measures=False)
    (program,) = engine.grid.programs
    assert not engine.tuner.worth_measuring(program, 1.0, lambda: 1e9)
    assert engine.tuner.tuning(program).how == "rule"
    assert _engine(table).tuner.worth_measuring(program, 1.0, lambda: 1e9)


def test_what_a_folder_keeps_does_not_replace_what_was_measured(table: dict[str, Any]) -> None:
    """Another study starts from what was measured on this machine, whatever an older folder goes on with."""
    engine = _engine(table)
    (program,), (record,) = engine.grid.programs, engine.describe_tunings()
    best = Tuning(7, "", "wide_vectors", "measured", 1e-6, 1.0)
    engine.tuner.record(program, best, 1.0)
    kept = _engine(table, tunings=[record])
    assert kept.tuner.tuning(program).how == "rule"
    kept.tuner.record_pace(program, 2e-6, 1.0)
    assert kept.tuner.pace(program) == 2e-6
    assert _engine(table).tuner.tuning(program) == best
    same = _engine(table, tunings=engine.describe_tunings())
    assert same.tuner.tuning(program) == best


def test_the_rule_is_that_of_the_grid_whatever_ran_before(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small study must not leave its small chunks to a large one; how fast the program was is known all the same."""
    monkeypatch.setattr(machine, "level_2_bytes", lambda: 2**21)
    large = {**table, "learning_rate": {"min": 0.01, "max": 1.0, "num": 2000}}
    engine = _engine(table)
    (program,) = engine.grid.programs
    engine.tuner.record_pace(program, 1e-6, 1.0)
    assert engine.tuner.tuning(program).lanes_per_chunk == 16
    again = _engine(large).tuner.tuning(program)
    assert (again.lanes_per_chunk, again.how, again.seconds_per_step) == (256, "rule", 1e-6)


def test_a_tuning_is_good_for_any_number_of_devices(table: dict[str, Any]) -> None:
    (record,) = _engine(table).describe_tunings()
    kept = {**record, "lanes_per_chunk": 3, "chosen": "measured"}
    engine = _engine(table, count=1, tunings=[kept])
    assert engine.tuner.tuning(engine.grid.programs[0]).lanes_per_chunk == 3
    assert jax.__version__ == record["machine"]["jax"]


def test_each_program_is_recognised_in_another_study(table: dict[str, Any]) -> None:
    """By its problem, its optimizer's structure and the precision; not by its place, and not by numbers that are lanes."""

    def ids(**more: Any) -> list[str]:
        grid = of_study(read({**table, **more}, trust=True))
        return [grid.program_id(program) for program in grid.programs]

    (one,) = ids()
    assert (
        ids(optimizer=["adam", {"name": "sgd", "momentum": 0.0}], seeds=5)[1]
        == ids(optimizer=[{"name": "sgd", "momentum": 0.0}])[0]
    )
    others = [*ids(problem=["rosenbrock"]), *ids(optimizer=["adam"]), *ids(precision="float64")]
    assert len({one, *others}) == 4


def test_the_cache_holds_what_is_chosen(table: dict[str, Any], tmp_path: Any) -> None:
    engine = _engine(table)
    (program,) = engine.grid.programs
    chosen = Tuner(engine.instances, TuningCache(tmp_path))
    chosen.record(program, Tuning(5, options="without_ynn", how="measured", seconds_per_step=1.0), 2.0)
    again = Tuner(engine.instances, TuningCache(tmp_path)).tuning(program)
    assert again == Tuning(5, "", "without_ynn", "measured", 1.0, 2.0)
