"""What is built and shipped: the wheel, the source distribution, and the licences of what comes from elsewhere."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.helpers import pythons
from tests.helpers.pages import PAGES
from tests.helpers.paths import ROOT
from tests.helpers.pythons import PROJECT

DATASETS = ROOT / "lrbench" / "datasets"
OURS = {".py", ".toml", ".jinja", ".css", ".js", ".md", ".typed"}
"""The kinds of files that are written for lrbench."""


def build(what: str, tree: Path, folder: Path) -> Path:
    """Build a wheel or an sdist of a tree, without a build environment of its own."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", folder]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (built,) = folder.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "lrbench"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if kept.returncode:
        pytest.skip("not a clone: which files belong to the package is not known")
    assert packed == {name for name in kept.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_holds_the_licences(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel).namelist()
    licences = {name.partition(".dist-info/licenses/")[2] for name in packed} - {""}
    assert licences == {"LICENSE", "lrbench/datasets/README.md", "lrbench/datasets/NOTICES.txt"}


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    assert build("wheel", tree, tmp_path).read_bytes() == wheel.read_bytes()
    for name in (
        "tests/conftest.py",
        "docs/index.md",
        "requirements/runtime.txt",
        "CITATION.cff",
        "SECURITY.md",
    ):
        assert (tree / name).exists(), name


def test_what_comes_from_elsewhere_has_a_licence() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| .+ \| (.+) \|$", (DATASETS / "README.md").read_text(), re.MULTILINE)
    foreign = {
        path
        for path in (ROOT / "lrbench").rglob("*")
        if path.is_file() and path.suffix not in OURS | {".pyc"}
    }
    assert {DATASETS / name for name, _ in rows} == foreign - {DATASETS / "NOTICES.txt"}
    notices = (DATASETS / "NOTICES.txt").read_text()
    for name, licence in rows:
        assert licence == "public domain" or name in notices, f"{name}: {licence} asks for a notice"


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # what the format requires
    assert cited["version"] == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert set(cited["keywords"]) <= set(PROJECT["keywords"])


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    sbom = runpy.run_path(str(ROOT / ".ci" / "sbom.py"))
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    bill = sbom["bill"](lock)
    assert "//" not in json.dumps({**bill, "$schema": ""})  # no address
    parts = {each["name"]: each for each in bill["components"]}
    assert [f"{name}=={each['version']}" for name, each in parts.items()] == re.findall(
        r"^\S+==\S+", lock, re.MULTILINE
    )
    hashes = [each["content"] for part in parts.values() for each in part["externalReferences"][0]["hashes"]]
    assert hashes == re.findall(r"--hash=sha256:(\w{64})", lock)


def test_the_bill_of_materials_says_who_asks_for_what_and_under_which_licence() -> None:
    sbom = runpy.run_path(str(ROOT / ".ci" / "sbom.py"))
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    if not all(map(sbom["installed"], sbom["pins"](lock).values())):
        pytest.skip("other versions than those of the lock are installed")
    bill = sbom["bill"](lock)
    parts = {each["name"]: each for each in bill["components"]}
    assert parts["numpy"]["licenses"][0]["expression"].startswith("BSD-3-Clause")
    assert all(part["licenses"] for part in parts.values())
    graph = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    named = {Requirement(each).name for each in PROJECT["dependencies"]}
    assert {parts[name]["purl"] for name in named} <= set(graph[f"pkg:pypi/lrbench@{PROJECT['version']}"])
    assert parts["numpy"]["purl"] in graph[parts["pandas"]["purl"]]
    # Each is asked for by another, and stands in the graph.
    assert set(graph) == {part["bom-ref"] for part in parts.values()} | {
        bill["metadata"]["component"]["bom-ref"]
    }
    assert {ref for asked in graph.values() for ref in asked} == {part["bom-ref"] for part in parts.values()}


def test_another_version_than_that_of_the_lock_says_nothing_of_a_licence() -> None:
    sbom = runpy.run_path(str(ROOT / ".ci" / "sbom.py"))
    (part,) = sbom["bill"]("numpy==0.1 \\\n    --hash=sha256:aa\n")["components"]
    assert "licenses" not in part


def test_every_extra_is_explained() -> None:
    section = PAGES["installing.md"].read_text().split("## What else")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(explained) == sorted(PROJECT["optional-dependencies"])


def test_a_clean_environment_has_nothing_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///packages")
    found = pythons.clean(tmp_path / "home", tmp_path / "bin")
    assert found["PIP_INDEX_URL"] == "file:///packages"
    assert found["PATH"].startswith(f"{tmp_path / 'bin'}:")
    assert not {"PYTHONPATH", "JAX_PLATFORMS", "VIRTUAL_ENV"} & set(found)
    assert not [*Path(found["HOME"]).iterdir()]


def test_the_supported_pythons_are_those_of_the_classifiers() -> None:
    versions = pythons.supported()
    assert versions[0] == PROJECT["requires-python"].removeprefix(">=")
    assert [f"Programming Language :: Python :: {version}" in PROJECT["classifiers"] for version in versions]
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert pythons.find("3.1") is None
    assert running not in versions or pythons.find(running) is not None
