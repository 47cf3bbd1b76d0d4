"""Whatever a study file, an override or a table of the user's holds: it is accepted, or refused in one line that says where."""

from __future__ import annotations

import copy
import functools
import io
import os
import time
import tomllib
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrbench.datasets import user_images, user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, StudyError
from lrbench.study.grid import of_study
from lrbench.study.learning_rates import LONGEST_AXIS, MOST_RUNS
from lrbench.study.spec import DEEPEST, MOST_EVALUATIONS, MOST_VARIANTS, read

FACTOR = float(os.environ.get("LRBENCH_FUZZ", "1"))
"""How many times the usual number of mutations; they are the same ones in every run."""
SMALL = 5000
"""The largest grid that is planned here."""
TABLE = tomllib.loads("""
name = "digits"
steps = 100
evaluate_every = 30
seeds = 2
target = 0.5
probes = ["gradient_norm"]
precision = "float32"
[[problem]]
name = "digits_mlp"
hidden = [[64], [32, 32]]
[[problem]]
name = "quadratic"
[learning_rate]
min = 1e-4
max = 1.0
num = 9
[learning_rate.output]
values = [0.1, 1.0]
[[optimizer]]
name = "sgd"
momentum = [0.0, 0.9]
clip = 1.0
[[optimizer]]
name = "lookahead"
base = "adam"
[[schedule]]
name = "constant"
[[schedule]]
name = "join"
parts = [{name = "linear", start = 0.0, final = 1.0}, "cosine"]
at = [0.1]
""")
CSV = "area,city,garden,price\n" + "".join(
    f"{50 + 3 * i},{'Ulm' if i % 3 else 'Bonn'},{'true' if i % 2 else 'false'},{110.5 + i}\n"
    for i in range(20)
)


def mutations(count: int) -> Any:
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=int(count * FACTOR), derandomize=True, database=None, suppress_health_check=slow
    )


def one_line(error: Exception, where: str) -> str:
    text = str(error)
    assert text.isprintable(), repr(text)
    assert text.startswith(where), text
    assert len(text) < 3200
    return text


def outcome(where: str, *arguments: Any) -> str:
    """Read a study and plan its grid; return what it says."""
    try:
        study = read(*arguments)
        if study.runs <= SMALL and study.steps <= 10_000:
            grid = of_study(study)
            later = study.lines * sum(step.rates * len(step.seeds) for step in study.stages())
            assert len(grid) == study.runs - later == len(grid.run_ids)
            assert sum(len(program.runs) for program in grid.programs) == len(grid)
            tomli_w.dumps(study.table(Path()))
    except StudyError as error:
        return one_line(error, where)
    return f"{study.runs} runs"


# ---- what takes the place of something else ----

ODD = st.sampled_from(
    "|../up|a/b|mine.py:f|os:system|os.path:join|builtins:print|:|a:|:b|x.py:|python:f|<script>|a\nb|\x1b[2J|\x00|\ud800|"
    "🎉|NaN|inf|1e400|-1|true|digits_mlp|adam|constant|sharpness|__class__|{}|[]|%s|$x$".split("|")
) | st.just("x" * 5000)
NUMBERS = (
    st.sampled_from([0, -1, 2**31, 2**63, -(2**64), 10**30, 10**4000, 1e308, 5e-324, float("nan"), -0.0])
    | st.integers()
    | st.floats()
)
VALUES = st.recursive(
    st.booleans() | NUMBERS | ODD | st.text(max_size=8) | st.dates() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(table: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a nested table."""
    keys = list(table) if isinstance(table, dict) else list(range(len(table)))
    inner = [table[key] for key in keys if isinstance(table[key], dict | list)]
    return [(table, key) for key in keys] + [place for item in inner for place in places(item)]


@st.composite
def changed_tables(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the study with one to three places replaced, taken out, doubled, renamed or swapped."""
    table = copy.deepcopy(TABLE)
    for _ in range(draw(st.integers(1, 3))):
        found = places(table)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "wrap", "rename", "swap"]))
        if how == "replace":
            container[key] = draw(VALUES)
        elif how == "remove":
            del container[key]
        elif how == "wrap":
            container[key] = [copy.deepcopy(container[key])] * draw(st.integers(1, 3))
        elif how == "rename" and isinstance(container, dict):
            container[draw(ODD | st.text(max_size=5))] = container.pop(key)
        else:
            other, place = draw(st.sampled_from(found))
            container[key], other[place] = (
                copy.deepcopy(other.get(place) if isinstance(other, dict) else None),
                1,
            )
    return table


@pytest.mark.slow
@mutations(500)
@given(changed_tables())
def test_a_changed_table_is_accepted_or_refused(table: dict[str, Any]) -> None:
    assert outcome("", table)


@pytest.mark.slow
@mutations(300)
@given(changed_tables(), st.lists(st.tuples(st.integers(0, 600), st.text(max_size=3) | ODD), max_size=3))
def test_a_changed_file_is_accepted_or_refused(
    tmp_path: Path, table: dict[str, Any], edits: list[tuple[int, str]]
) -> None:
    try:
        text = tomli_w.dumps(table)
    except (TypeError, ValueError):  # what TOML cannot say
        text = tomli_w.dumps(TABLE)
    for place, put in edits:
        at = place % len(text)
        text = text[:at] + put + text[at + len(put) // 2 :]
    file = tmp_path / "study.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert outcome(f"{file}: ", file)


KEYS = st.sampled_from(
    "name steps evaluate_every seeds problem problem.0.hidden problem.1.name optimizer optimizer.0.momentum "
    "optimizer.1.base schedule schedule.1.parts schedule.1.at.0 learning_rate learning_rate.num learning_rate.output "
    "learning_rate.output.values learning_rate.per_decade target probes probes.0 race lanes_per_chunk zz .".split()
)
RAW = (
    ODD
    | st.text(max_size=12)
    | NUMBERS.map(lambda n: hex(n) if isinstance(n, int) else str(n))
    | st.sampled_from(
        [
            "1\nseeds = 5",
            "[" * 5000,
            "{a=" * 2000,
            "9" * 5000,
            "'''",
            '"',
            "1979-05-27",
            "[1, [2",
            "0x" + "f" * 5000,
        ]
    )
)


@mutations(300)
@given(st.lists(st.builds("{}={}".format, KEYS | st.text(max_size=10), RAW), min_size=1, max_size=3))
def test_an_override_is_accepted_or_refused(tmp_path: Path, overrides: list[str]) -> None:
    file = tmp_path / "study.toml"
    file.write_text(tomli_w.dumps(TABLE))
    assert outcome("", file, overrides)


# ---- tables of the user's ----

CELLS = st.sampled_from(
    "|nan|NaN|inf|-inf|NA|null|1e400|1e308|-1e308|9007199254740993|18446744073709551616|0x10|1,5|2024-02-30|2024-02-29|12:00|"
    '1.234,5|1,234|1 234|$5|?|true|"|""|"a|=1+1|é|\ud800|\x00|\r|\n|\ufeff|;|\t|🎉'.split("|")
) | st.just("x" * 200)


@st.composite
def changed_csvs(draw: st.DrawFn) -> bytes:
    rows = [line.split(",") for line in CSV.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.integers(0, len(rows) - 1)) if rows else 0
        column = draw(st.integers(0, 3))
        how = draw(st.sampled_from(["cell", "cell", "column", "ragged", "cut", "remove", "head", "double"]))
        cell = draw(CELLS | st.text(max_size=4))
        if how == "cut":
            rows = rows[: draw(st.integers(0, 12))]
        elif not rows:
            break
        elif how == "ragged":
            rows[row] = rows[row][:column] + [cell] * draw(st.integers(0, 3))
        elif how == "remove":
            rows = [[value for at, value in enumerate(each) if at != column] for each in rows]
        elif how == "head":
            rows[0] = [draw(st.sampled_from(["area", "price", "", cell])) for _ in rows[0]]
        elif how == "double":
            rows = [[*each, *each[column : column + 1]] for each in rows]
        else:
            for each in rows[1:] if how == "column" else [rows[row]]:
                if column < len(each):
                    each[column] = cell
    end = draw(st.sampled_from(["\n", "\r\n", "\r", ""]))
    text = end.join(draw(st.sampled_from([",", ";", "\t"])).join(each) for each in rows) + end
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
    return (
        draw(st.sampled_from([b"", b"\xff\xfe", b"\x1f\x8b", b"\n\n"])) + data
        if draw(st.booleans())
        else data
    )


def prepared(file: Path, target: str = "price", task: str = "auto") -> None:
    """Read a table; what is accepted is finite, and its labels are in range."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ready = user_tables.prepare(str(file), Reading(target, task))
    except DataError as error:
        one_line(error, f"{file.name}: ")
        return
    for inputs, targets in ready.parts:
        assert inputs.shape[0] == len(targets) > 0
        with np.errstate(over="ignore"):
            assert np.isfinite(inputs.astype(np.float32)).all()
            assert np.isfinite(targets.astype(np.float32)).all()
        assert not ready.classes or 0 <= targets.min() <= targets.max() < ready.classes


@pytest.mark.slow
@mutations(300)
@given(changed_csvs(), st.sampled_from(["auto", "auto", "regression", "classification"]))
def test_a_changed_csv_is_accepted_or_refused(tmp_path: Path, data: bytes, task: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(data)
    prepared(file, task=task)


def npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(12)), "price": [1.5 * i for i in range(12)]}), held)
    return held.getvalue()


BINARY = {
    "t.npz": npz(x=np.arange(12.0), price=np.arange(12.0) ** 2),
    "t.parquet": parquet(),
    "i.npz": npz(images=np.zeros((12, 4, 4)), labels=np.arange(12) % 2),
}


@mutations(150)
@given(
    st.sampled_from(sorted(BINARY)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 10**6),
)
def test_a_damaged_file_is_accepted_or_refused(
    tmp_path: Path, name: str, edits: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(BINARY[name])
    for place, byte in edits:
        data[place % len(data)] = byte
    file = tmp_path / name
    file.write_bytes(data[: length % (2 * len(data)) + 1])
    if name.startswith("t"):
        prepared(file)
        return
    try:
        user_images.images(str(file))
    except DataError as error:
        one_line(error, "i.npz: ")


# ---- grids that no machine could hold ----

MANY = list(range(1, 2000))
DEEP = functools.reduce(lambda inner, _: [inner], range(60), "sgd")
HUGE: dict[str, tuple[dict[str, Any], str]] = {
    "num": (
        {"learning_rate": {"min": 1e-3, "max": 1.0, "num": 10**9}},
        "learning_rate.num = 1000000000: must be less",
    ),
    "per_decade": (
        {"learning_rate": {"min": 1e-30, "max": 1e30, "per_decade": 1e6}},
        f"learning_rate: has 60,000,001 rates; at most {LONGEST_AXIS:,} are allowed on one axis",
    ),
    "seeds": ({"seeds": 10**9}, f"seeds = 1,000,000,000: at most {LONGEST_AXIS:,} seeds are allowed"),
    "a list of seeds": (
        {"seeds": [0] * (LONGEST_AXIS + 1)},
        f"seeds = 1,000,001: at most {LONGEST_AXIS:,} seeds",
    ),
    "rates and seeds": (
        {"seeds": 10**5, "learning_rate": {"min": 1e-3, "max": 1.0, "num": 10**4}},
        f"the grid has 1,000,000,000 runs; at most {MOST_RUNS:,}",
    ),
    "named rates": (
        {
            "learning_rate": {"min": 1e-3, "max": 1.0, "num": 1000}
            | {f"r{i}": {"min": 1e-3, "max": 1.0, "num": 1000} for i in range(3)}
        },
        "the grid has 3,000,000,000,000 runs; at most",
    ),
    "axes": (
        {
            "optimizer": {
                "name": "adam",
                "b1": [i / 4000 for i in MANY],
                "b2": [i / 4000 for i in MANY],
                "eps": MANY,
            }
        },
        f"optimizer: has 7,988,005,999 variants; at most {MOST_VARIANTS:,} are allowed",
    ),
    "evaluations": (
        {"steps": 10**8, "evaluate_every": 1},
        f"evaluate_every = 1: must be 100 or more, because a run of 100,000,000 steps has at most {MOST_EVALUATIONS:,}",
    ),
    "depth": ({"optimizer": DEEP}, f"nested more than {DEEPEST} deep"),
    "name": ({"problem": "x" * 10**6}, "problem.name: unknown problem"),
    "digits": ({"steps": 16**5000}, "steps: a whole number has 20001 bits; at most 64 are allowed"),
}


@pytest.mark.parametrize("what", HUGE)
def test_what_is_huge_is_refused_at_once(what: str) -> None:
    changes, message = HUGE[what]
    table = {
        "name": "x",
        "steps": 10,
        "problem": "quadratic",
        "optimizer": "sgd",
        "learning_rate": {"values": [0.1]},
    }
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(StudyError) as caught:
            read(table | changes)
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in one_line(caught.value, "study: ")
    assert seconds < 10  # a shared machine is slow now and then
    assert peak < 100e6


def test_a_large_grid_is_planned_without_an_object_for_each_run() -> None:
    table = {"name": "x", "steps": 10, "problem": "quadratic", "optimizer": "sgd", "seeds": 1000}
    study = read(table | {"learning_rate": {"min": 1e-3, "max": 1.0, "num": 1000}})
    tracemalloc.start()
    began = time.process_time()
    try:
        grid = of_study(study)
        assert sum(len(program.runs) for program in grid.programs) == len(grid.run_ids) == 10**6
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 10  # a shared machine is slow now and then
    assert peak < 200e6
