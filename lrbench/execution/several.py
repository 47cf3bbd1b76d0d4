"""The results folder of a study of parts: a folder of results for each part, and the page of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lrbench.errors import StoreError
from lrbench.execution import manifest_contents
from lrbench.results import safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.study.parts import Parts


def check_folder(store: ResultsFolder, wanted: Parts) -> None:
    """Refuse a folder of another study, or of a study of one grid."""
    found = store.manifest
    if found and (found.get("study") != wanted.name or "parts" not in found):
        raise StoreError(
            f"{store.folder}: holds the study {found.get('study')!r}, not {wanted.name!r} with its parts; "
            "choose another --out, or --fresh"
        )


def describe(store: ResultsFolder, wanted: Parts) -> None:
    """Write what the folder is going to hold, before anything is trained."""
    manifest = {"study": wanted.name, "page": wanted.page, "parts": list(wanted.studies)}
    store.write_manifest({"started": manifest_contents.now(), **store.manifest, **manifest})


def stores(store: ResultsFolder) -> dict[str, ResultsFolder]:
    """Return the results folders of the parts that were begun."""
    found = {name: ResultsFolder(safe_files.path(store.folder, name)) for name in store.manifest["parts"]}
    return {name: part for name, part in found.items() if "grid" in part.manifest}


def rebuild(store: ResultsFolder, *, report: bool, check: Callable[[], None]) -> Results:
    """Judge what the parts hold: `claims.csv`, and the pictures and the page where they are wanted.

    Args:
        store: the folder of the study.
        report: whether pictures and the page are wanted.
        check: called after the table and every picture; what it raises ends the writing.
    """
    from lrbench import claims

    parts = stores(store)
    store.drop_checksums(store.manifest)
    judged = claims.judge({name: Results(part.folder) for name, part in parts.items()})
    store.write_table("claims", claims.table(judged))
    check()
    store.write_manifest({**store.manifest, **_account(parts), "limits": claims.LIMITS.asdict()})
    if report:
        pictures = claims.pictures(judged)
        for name, figure in pictures.items():
            store.write_picture(f"plots/{name}", figure)
            check()
        store.write_text("report.html", claims.page(judged, pictures, store.manifest))
    return Results(store.folder)


def _account(parts: Mapping[str, ResultsFolder]) -> dict[str, Any]:
    """Return what the manifests of the parts say together."""
    each = [part.manifest for part in parts.values()]
    seconds: dict[str, float] = {}
    for found in each:
        for name, value in found.get("seconds", {}).items():
            seconds[name] = round(seconds.get(name, 0.0) + value, 3)
    return {
        "runs": {
            key: sum(found["runs"][key] for found in each if "runs" in found)
            for key in ("total", "done", "left")
        },
        "failures": [failure for found in each for failure in found.get("failures", [])],
        "seconds": seconds,
        "finished": manifest_contents.now(),
    }
