"""Print the bill of materials of the locked run-time dependencies, as CycloneDX 1.6 in JSON.

    python .ci/sbom.py requirements/runtime.txt

Names, versions and hashes are those of the lock. Which package asks for which, and under which licence each is, says the environment
in which this runs; where that has another version, both are left out. Two calls print the same.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HASHES = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


class Pin(NamedTuple):
    """A package of the lock: its version, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[tuple[str, str], ...]

    @property
    def reference(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(lock: str) -> dict[str, Pin]:
    """Return the packages of a lock, by name."""
    found: dict[str, Pin] = {}
    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        if line := re.match(r"([\w.-]+)==(\S+)", entry):
            name, version = canonicalize_name(line[1]), line[2]
            found[name] = Pin(name, version, tuple(re.findall(r"--hash=(\w+):(\w+)", entry)))
    return found


def installed(pin: Pin) -> metadata.Distribution | None:
    """Return what is installed of a package, if it is the version of the lock."""
    try:
        found = metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        return None
    return found if found.version == pin.version else None


def licences(pin: Pin) -> list[dict[str, Any]]:
    """Return the licence of a package: its SPDX expression, or else what its classifiers name, or else what it says."""
    found = installed(pin)
    if found is None:
        return []
    if "License-Expression" in found.metadata:
        return [{"expression": found.metadata["License-Expression"]}]
    classifiers = found.metadata.get_all("Classifier") or []
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    names = [name for name in named if name != "OSI Approved"]
    if not names and "License" in found.metadata:  # a name, or all of the text
        names = found.metadata["License"].splitlines()[:1]
    return [{"license": {"name": name}} for name in names]


def asked_by(required: list[str], known: dict[str, Pin]) -> list[str]:
    """Return the references of the packages of the lock that are required, without extras."""
    wanted = (Requirement(each) for each in required)
    here = (each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""}))
    names = {canonicalize_name(each.name) for each in here}
    return sorted(known[name].reference for name in names & set(known))


def component(pin: Pin) -> dict[str, Any]:
    """Return the entry of a package."""
    entry: dict[str, Any] = {"type": "library", "name": pin.name, "version": pin.version}
    entry |= {"bom-ref": pin.reference, "purl": pin.reference}
    # A component's own hashes would be those of one file; the lock allows any of a package's files, for any machine.
    hashes = [{"alg": HASHES[kind], "content": content} for kind, content in pin.hashes]
    entry["externalReferences"] = [{"type": "distribution", "url": pin.reference, "hashes": hashes}]
    if found := licences(pin):
        entry["licenses"] = found
    return entry


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of materials of a lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = pins(lock)
    ours = Pin(project["name"], project["version"], ())
    builds = {"editables", "hatchling"} & set(known)
    graph = {ours.reference: asked_by([*project["dependencies"], *builds], known)}
    for pin in known.values():
        found = installed(pin)
        graph[pin.reference] = asked_by(found.requires or [], known) if found else []
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours.reference,
                "name": ours.name,
                "version": ours.version,
                "purl": ours.reference,
                "description": project["description"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [component(pin) for pin in known.values()],
        "dependencies": [{"ref": ref, "dependsOn": asked} for ref, asked in graph.items()],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1]).read_text("utf-8")), sys.stdout, indent=1)
    print()
