"""Where files of a study meet: a folder and a URL behave alike, and what is neither is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrbench.errors import StoreError
from lrbench.results import inventory, part_file
from lrbench.results.inventory import Inventory, part_name
from lrbench.results.places import FolderPlace, Place, UrlPlace, place_of, read
from tests.results.test_part_file import trained

KINDS: dict[str, Callable[[Path], Place]] = {
    "folder": FolderPlace,
    "url": lambda folder: UrlPlace(f"file://{folder}"),
}


@pytest.fixture(params=list(KINDS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place that does not exist yet."""
    return KINDS[request.param](tmp_path / "some" / "folder")


def test_files_are_found_again(place: Place, tmp_path: Path) -> None:
    assert (place.names(), place.stamps(""), place.exists("a")) == (set(), {}, False)
    place.write("a/b/c.txt", b"first")
    place.write("a/b/c.txt", b"again")
    place.write("a/d", b"")
    place.write(".hidden", b"x")
    assert place.names() == {"a"}
    found = place.stamps("")
    assert {name: size for name, (size, _) in found.items()} == {"a/b/c.txt": 5, "a/d": 0}
    assert {name: stamp for name, stamp in found.items() if name != "a/d"} == place.stamps("a/b")
    assert read(place, "a/b/c.txt", 5) == b"again"
    with place.open("a/b/c.txt") as file:
        file.seek(2)
        assert file.read() == b"ain"
    assert (tmp_path / "some" / "folder" / "a" / "b" / "c.txt").read_bytes() == b"again"
    assert place.exists("a/d")
    place.remove("a/b")
    assert set(place.stamps("")) == {"a/d"}
    place.remove("a/b")
    place.remove("a/d")
    assert place.stamps("a") == {}


def test_what_is_not_there_or_too_large(place: Place) -> None:
    with pytest.raises(FileNotFoundError), place.open("nothing"):
        pass
    place.write("large", b"123")
    with pytest.raises(StoreError, match="large: has more than 2 bytes; lrbench writes none of that size"):
        read(place, "large", 2)


def test_a_part_is_there_with_exactly_its_runs(place: Place) -> None:
    """One that is damaged, or has other runs, is not there."""
    given = trained()
    data = part_file.encoded(given)
    assert not inventory.holds(place, given.pack_id, given.run_ids)
    place.write(part_name(given.pack_id), data)
    assert inventory.holds(place, given.pack_id, given.run_ids[::-1])
    assert not inventory.holds(place, given.pack_id, given.run_ids[:3])
    assert not inventory.holds(place, "fedcba9876543210", given.run_ids)
    found = Inventory(place, np.sort(given.run_ids), stopped=True)
    assert found.completed().all()
    assert len(found.written()) == 1
    place.write(part_name(given.pack_id), data[:-1])
    assert not inventory.holds(place, given.pack_id, given.run_ids)
    assert not found.completed().any()
    assert [each.path.name for each in found.damaged()] == [f"{given.pack_id}.parquet"]


def test_a_file_url_is_its_folder(tmp_path: Path) -> None:
    found = place_of(f"file://{tmp_path}/a%20b")
    assert isinstance(found, FolderPlace)
    assert found.folder == tmp_path / "a b"


def test_a_copy_of_another_name_is_left_by_a_move(tmp_path: Path) -> None:
    place = UrlPlace(f"file://{tmp_path}/here")
    place.write("a/b", b"1")
    place.move(f"file://{tmp_path}/there")
    assert place.stamps("") == {}
    assert (tmp_path / "there" / "a" / "b").read_bytes() == b"1"


def test_what_is_no_url_is_one_line_without_keys() -> None:
    with pytest.raises(StoreError) as caught:
        UrlPlace("nowhere://key:secret@bucket/folder?token=x")
    assert str(caught.value).startswith(
        "nowhere://bucket/folder: is no URL for results: Unrecognized filesystem type"
    )
    assert "secret" not in str(caught.value)


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/folder: a cannot be read or written: .*; check the address"):
        UrlPlace(f"file://{tmp_path}/file/folder").write("a", b"")
