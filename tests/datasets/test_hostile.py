"""Data and studies that would take much memory, or mean nothing: refused in one line, before they are unpacked or parsed."""

from __future__ import annotations

import io
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrbench import machine
from lrbench.datasets import files, texts, user_images, user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, StudyError
from lrbench.study import safe_toml
from lrbench.study.spec import read
from tests.helpers.command import STUDY, TABLE, refused


@pytest.fixture
def study() -> Path:
    """A study file in the working folder."""
    Path("x.toml").write_text(STUDY)
    return Path("x.toml")


@pytest.fixture
def peak() -> Iterator[Any]:
    """What the most of memory was that Python took since."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


# ---- data ----

FRAME = pd.DataFrame({"x": np.arange(30.0), "y": np.arange(30.0) % 7})


def test_categories_of_pandas_are_read(tmp_path: Path) -> None:
    """As texts, numbers, booleans and with values that are missing, and as the target: just as if they were none."""
    plain = FRAME.assign(
        text=["a", "b", None] * 10,
        number=[1.0, 2.0, 4.0] * 10,
        yes=[True, False, True] * 10,
        of=["u", "v"] * 15,
    )
    columns = ["text", "number", "yes", "of"]
    plain.to_parquet("plain.parquet")
    plain.astype(dict.fromkeys(columns, "category")).to_parquet("c.parquet")
    for target in ("y", "of"):
        found, wanted = (user_tables.prepare(f"{name}.parquet", Reading(target)) for name in ("c", "plain"))
        assert found.classes == wanted.classes
        for part, other in zip(found.parts, wanted.parts, strict=True):
            np.testing.assert_array_equal(part[0], other[0])
            np.testing.assert_array_equal(part[1], other[1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.ones((12, 4, 4), complex)}, "`images` is complex128 of the shape"),
        (
            {"labels": np.where(np.arange(12) % 3, 1.0, np.nan)},
            "`labels` contains missing or infinite numbers",
        ),
        ({"labels": np.arange(12) % 2 * 1j}, "`labels` contains values of type complex128"),
        ({"labels": np.array(["NaT", "2020"] * 6, "M8[D]")}, "`labels` contains values of type datetime64"),
    ],
)
def test_images_that_mean_nothing(arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("i.npz", **({"images": np.ones((12, 4, 4)), "labels": np.arange(12) % 2} | arrays))
    with pytest.raises(DataError) as caught:
        user_images.images("i.npz")
    assert str(caught.value).startswith(f"i.npz: {message}")


def test_complex_columns_are_refused() -> None:
    np.savez("t.npz", x=np.arange(12) * 1j, y=np.arange(12.0))
    with pytest.raises(
        DataError, match="the array 'x' is of type complex128; real numbers, booleans and texts are"
    ):
        user_tables.prepare("t.npz", Reading("y"))


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet", "txt"])
def test_a_link_to_a_device_is_no_data(ending: str, study: Path) -> None:
    file = Path(f"zero.{ending}")
    file.symlink_to("/dev/zero")
    if ending == "txt":
        with pytest.raises(DataError, match="is a folder or a device; give a file"):
            texts.read(str(file), 8)
        name = "char_lstm', text"
    else:
        with pytest.raises(DataError, match="is a folder or a device; give a file"):
            files.columns(str(file))
        name = "tabular_linear', target = 'y', data"
    said = refused("plan", "x.toml", "--set", f"problem={{name = '{name} = '{file}'}}")
    assert f"= '{file}': is a device; paths are relative to the folder of the study file" in said
    if ending == "npz":
        with pytest.raises(DataError, match="is a folder or a device"):
            user_images.images(str(file))


def test_data_that_do_not_fit_into_memory_are_refused_before_they_are_decompressed(
    monkeypatch: pytest.MonkeyPatch, peak: Any
) -> None:
    rows = 200_000
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 1000]))
    pq.write_table(pa.table({"c": names, "y": np.arange(rows) * 1.0}), "texts.parquet", store_schema=False)
    zeros = {f"c{i}": np.zeros(rows) for i in range(40)}
    pq.write_table(pa.table({**zeros, "y": np.arange(rows)}), "zeros.parquet")
    with zipfile.ZipFile("z.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images", "labels", "y"):
            held = io.BytesIO()
            np.save(held, np.zeros(40_000_000, np.uint8))
            archive.writestr(f"{name}.npy", held.getvalue())
    Path("wide.csv").write_text("y,x\n" + "1,2\n" * 3_000_000)
    Path("long.txt").write_text("ab" * 1_000_000)
    free = machine.Memory(32 * 2**20, 32 * 2**20)
    monkeypatch.setattr(machine, "memory", lambda: free)
    tracemalloc.clear_traces()
    before = pa.total_allocated_bytes()
    for act in (
        lambda: user_tables.prepare("texts.parquet", Reading("y")),
        lambda: user_tables.prepare("zeros.parquet", Reading("y")),
        lambda: user_tables.prepare("z.npz", Reading("y")),
        lambda: user_images.images("z.npz"),
        lambda: user_tables.prepare("wide.csv", Reading("y")),
        lambda: texts.read("long.txt", 8),
    ):
        with pytest.raises(
            DataError, match=r"requires .* GiB of memory, and 0\.0 GiB are free; use a part of it"
        ):
            act()
    assert peak() < 200e6
    assert pa.total_allocated_bytes() - before < 32 * 2**20


def test_an_array_that_says_it_is_larger_than_its_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    head = io.BytesIO()
    what = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(head, what)
    with zipfile.ZipFile("z.npz", "w") as archive:
        archive.writestr("y.npy", head.getvalue() + bytes(100))
    with pytest.raises(DataError, match=r"^z\.npz: does not fit into memory; use a part of it$"):
        user_tables.prepare("z.npz", Reading("y"))


def test_one_long_text_does_not_make_all_texts_long() -> None:
    Path("t.csv").write_text("c,y\n" + "x" * 100_000 + ",1\n" + "a,2\nb,3\n" * 2000)
    tracemalloc.start()
    try:
        assert user_tables.prepare("t.csv", Reading("y", "regression")).parts.train[0].shape[1] >= 2
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


# ---- studies ----

HOSTILE = {
    "a dotted key": ".".join(["a"] * 90_000) + " = 1",
    "a dotted header": "[" + ".".join(["a"] * 90_000) + "]",
    "quoted": ".".join(['"a"'] * 50_000) + " = 1",
    "spaces": " . ".join(["a"] * 50_000) + " = 1",
    "lists": "a = " + "[" * 90_000 + "]" * 90_000,
    "tables": "a = " + "{a = " * 30_000 + "1" + "}" * 30_000,
    "after a text": 'a = ["""b"""", {' + ".".join(["a"] * 90_000) + " = 1}]",
    "after a bare text": "a = ['''b''''', {" + ".".join(["a"] * 90_000) + " = 1}]",
    "after an escape": 'a = ["\\\\", {' + ".".join(["a"] * 90_000) + " = 1}]",
    "21": "a = " + "[" * 21 + "]" * 21,
    "21 keys": ".".join(["a"] * 21) + " = 1",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_toml_that_is_deep_is_refused_before_it_is_parsed(what: str, peak: Any) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="tables and lists are nested more than 20 deep"):
        safe_toml.parse(HOSTILE[what])
    assert time.process_time() - began < 5
    assert peak() < 20e6


def test_a_deep_study_and_a_deep_key_are_one_line(study: Path) -> None:
    study.write_text(HOSTILE["a dotted key"])
    assert (
        refused("plan", "x.toml") == "x.toml: not valid TOML: tables and lists are nested more than 20 deep"
    )
    study.write_text(STUDY)
    deep = ".".join(["a"] * 10_000)
    assert refused("plan", "x.toml", "--set", f"{deep}=1").endswith("nested more than 20 deep")


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "[" * 30 + '"',
        "a = '" + "{" * 30 + "'",
        "a = 1 # " + "[" * 30,
        'a = """\n' + "[" * 30 + '\\"""["""',
        "a = '''\n" + "[" * 30 + "\n'''",
        'a = "' + "b." * 30 + '"',
        'a = """' + "b." * 30 + '"""""',
        "a = [" + "[1.5], " * 30 + "]",
        "\n".join(f"[b{n}]\nx = 1.5" for n in range(30)),
        ".".join(["a"] * 20) + " = 1",
    ],
)
def test_what_is_not_deep_is_read(text: str) -> None:
    import tomllib

    assert safe_toml.parse(text) == tomllib.loads(text)


def test_a_study_of_more_than_a_megabyte_is_not_read(study: Path) -> None:
    study.write_text(STUDY + "#" * 1_000_000)
    assert refused("plan", "x.toml") == "x.toml: not valid TOML: has more than 1,000,000 bytes"


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"name": "digits_mlp", "hidden": [1] * 1001}, "]: has 1,001 items; at most 1,000 are allowed"),
        ({"name": "digits_mlp", "hidden": [[64], [9] * 10**5]}, "]]: has 100,000 items; at most 1,000 are"),
        ({"name": "mnist_cnn", "channels": [1] * 1001}, "]: has 1,001 items; at most 1,000 are allowed"),
    ],
)
def test_more_layers_than_a_thousand(problem: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(TABLE | {"problem": problem})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "count"), [("char_transformer", "layers"), ("deep_linear", "depth"), ("digits_resnet", "blocks")]
)
def test_more_layers_than_a_thousand_by_count(name: str, count: str, study: Path) -> None:
    said = refused("plan", "x.toml", "--set", f'problem={{name = "{name}", {count} = 1001}}')
    assert said.endswith(f"{name}: {count}: 1,001 layers; at most 1,000 are allowed")
