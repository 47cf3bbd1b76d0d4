"""Manifests that others wrote: whatever they hold is answered in one line."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lrbench.cli import commands
from lrbench.errors import StoreError
from lrbench.results import manifest_schema
from lrbench.results.folder import MANIFEST, ResultsFolder
from tests.helpers.foreign import PACK, do, lrbench, refused, whole

STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    1e300,
    math.nan,
    math.inf,
    10**30,
    "",
    "x",
    "../x",
    "/",
    "\ud800",
    "a\nb",
    "a\0",
]
STRANGE += [[], [None], [1], ["x", "x"], {}, {"x": 1}, {"": {"": []}}, [[[[]]]], "x" * 200_000]
RAW = [
    b"",
    b"\x00\xff\xfe",
    b"\xff",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{",
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"9" * 10_000,
]
RAW += [
    b"\xef\xbb\xbf{}",
    b"{}",
    b'{"schema_version": NaN}',
    b'{"schema_version": 1, "schema_version": "x"}',
    os.urandom(1000),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a manifest; of lists, to the first two."""
    each = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, inner in each:
        yield (*at, key)
        yield from places(inner, (*at, key))


def mutated(manifest: dict[str, Any]) -> Iterator[bytes]:
    """Yield manifests of which one value is gone, another, or there twice."""
    for way in places(manifest):
        for change in ("drop", "double", *STRANGE):
            other = copy.deepcopy(manifest)
            place = other
            for key in way[:-1]:
                place = place[key]
            if change == "drop":
                del place[way[-1]]
            elif change == "double" and isinstance(place, list):
                place.append(place[way[-1]])
            elif change == "double" and isinstance(place, dict):
                place["another"] = place[way[-1]]
            else:
                place[way[-1]] = change
            yield json.dumps(other).encode()
    for key in ("parts", "another"):
        for strange in ([PACK], ["../x", "/abs"], *STRANGE):
            yield json.dumps({**manifest, key: strange}).encode()
            yield json.dumps({"schema_version": 1, "study": "x", "page": "claims", key: strange}).encode()
    yield from RAW


def nested(levels: int) -> list[Any]:
    """Lists in each other; with the manifest itself there is one level more."""
    inside: list[Any] = []
    for _ in range(levels - 1):
        inside = [inside]
    return inside


READ = ("best", "query", "status", "report", "run", "compare", "export", "plot")


def answered(folder: Path, text: bytes, commands: Sequence[str]) -> list[bool]:
    """Give commands to a folder with such a manifest; return which were refused."""
    found = []
    for command in commands:
        (folder / MANIFEST).write_bytes(text)
        found.append(refused(*do(command)))
        for place in Path().glob("out.before*"):
            shutil.rmtree(place)
    return found


def sound(folder: Path, text: bytes) -> bool:
    """Return whether a manifest fits its schema."""
    (folder / MANIFEST).write_bytes(text)
    try:
        return bool(ResultsFolder(folder).manifest)
    except StoreError:
        return False


def check(folder: Path, texts: Sequence[bytes]) -> None:
    """Have manifests answered: by one command where the schema refuses them, by all of them where it does not."""
    kept = shutil.copytree(folder, "kept")
    for number, text in enumerate(texts):
        if not sound(folder, text):
            assert answered(folder, text, [READ[number % len(READ)]]) == [True], text[:300]
            continue
        answered(folder, text, READ)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)


@pytest.mark.slow
def test_a_mutated_manifest_is_one_line(folder: Path) -> None:
    """Some of the thousands, and all whole files that are none."""
    every = list(mutated(json.loads((folder / MANIFEST).read_text())))
    some = random.Random(0).sample(every, 60)
    fit = [text for text in some if sound(folder, text)]
    assert 5 < len(fit) < 30
    check(folder, [*[text for text in some if text not in fit], fit[0], *RAW])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"commit": "a\nb"}, "commit: must be one line of printable characters"),
        ({"study": None}, "study: must not be null"),
        ({"lane_steps": {"train": -1}}, "lane_steps.train: Input should be greater than or equal to 0"),
        ({"versions": {"x": [2**63]}}, f"{2**63}: is no number that a table can hold"),
        ({"versions": {"x": -(2**63)}}, f"{-(2**63)}: is no number that a table can hold"),
        ({"devices": nested(100)}, "is nested more than 100 levels deep"),
    ],
)
def test_what_no_manifest_holds_is_named(change: dict[str, Any], message: str) -> None:
    text = json.dumps({"schema_version": 2, **change}).encode()
    with pytest.raises(StoreError) as caught:
        manifest_schema.read(text, Path("out", MANIFEST))
    ask = "put the file back as lrbench wrote it, or start again with --fresh"
    assert str(caught.value) == f"out/manifest.json: {message}; {ask}"


def test_the_largest_numbers_and_the_deepest_lists_of_a_manifest_are_read() -> None:
    found = {"schema_version": 2, "versions": {"x": 2**63 - 1, "y": 1 - 2**63}, "devices": nested(99)}
    assert manifest_schema.read(json.dumps(found).encode(), Path(MANIFEST)) == found


def test_parts_that_are_no_folder_are_one_line(folder: Path) -> None:
    shutil.rmtree(folder / "parts")
    (folder / "parts").touch()
    assert all(refused(*do(command)) for command in ("status", "report", "run"))


@pytest.mark.parametrize("key", ["grid", "problems", "thresholds", "objectives", "schedules", "study"])
def test_a_manifest_may_lack_a_key(folder: Path, key: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest[key]
    answered(folder, json.dumps(manifest).encode(), [each for each in READ if each not in {"report", "run"}])
    was = answered(folder, json.dumps(manifest).encode(), ["report"] if key in {"grid", "problems"} else [])
    assert all(was)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(2))
def test_no_manifest_ends_in_a_traceback(folder: Path, share: int) -> None:
    """One in eighty of the thousands in each share; random.Random(seed) of another seed tries others."""
    every = list(mutated(json.loads((folder / MANIFEST).read_text())))
    check(folder, random.Random(share).sample(every, len(every) // 80))


def test_a_study_of_several_grids_of_an_older_lrbench_is_one_line(folder: Path) -> None:
    """Whatever folders its manifest names, every command refuses it, and nothing changes there."""
    shutil.copytree(folder, "victim")
    before = whole(Path("victim"))
    for parts in (["../victim"], [str(Path("victim").resolve())], ["inside"]):
        text = json.dumps({"schema_version": 1, "study": "x", "page": "claims", "parts": parts}).encode()
        assert all(answered(folder, text, READ))
        assert whole(Path("victim")) == before
    message = (
        "lrbench: out: holds a study of several grids, of an older lrbench; give one of the results folders in it, "
        "or measure the claims again with `lrbench experiment claims --out DIR`\n"
    )
    assert lrbench("best", "out") == (commands.MISTAKE, "", message)
    assert lrbench("experiment", "claims", "--out", "out") == (commands.MISTAKE, "", message)
