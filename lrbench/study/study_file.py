"""Where a study comes from: a file, the built-in one of a name, or the default one of a problem.

Who asks for a file that does not exist, or for a name that is none, gets the three nearest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog, safe_toml
from lrbench.study.signature import REQUIRED

Name = str | os.PathLike[str]
"""A study as a person names it."""
_TEXT = """\
# {problem}, with the rates of two optimizers found: what `lrbench run {problem}` trains.
name = "{problem}"
steps = 500
seeds = 3
confirm = 10

[problem]
name = "{problem}"
{required}
[[optimizer]]
name = "sgd"
momentum = 0.9

[[optimizer]]
name = "adam"
"""


def load(study: Name) -> tuple[dict[str, Any], Path]:
    """Return the contents of a study, and the folder that its paths are relative to.

    Raises:
        StudyError: if there is no such file or name, or the file is not TOML.
    """
    if is_problem(study):
        return safe_toml.parse(of_problem(str(study))), Path()
    path = _path(study)
    try:
        table = safe_toml.read(path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StudyError(f"{path}: not valid TOML: {error}") from error
    # The paths in a built-in study come from --set, and are relative to the working folder.
    built_in = path.parent == catalog.STUDIES
    return table, Path() if built_in else path.parent


def text(study: Name) -> str:
    """Return a study as the text of a file to start from.

    Raises:
        StudyError: if there is no such file or name, or the file cannot be read.
    """
    if is_problem(study):
        return of_problem(str(study))
    path = _path(study)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error


def is_problem(study: Name) -> bool:
    """Return whether a name is a problem's, and neither a file's nor a study's.

    >>> is_problem("digits_mlp"), is_problem("house_prices")
    (True, False)
    """
    name = str(study)
    return not _is_file(study) and name not in catalog.names("study") and name in catalog.names("problem")


def of_problem(problem: str) -> str:
    """Return the study of a problem that runs where nothing else is asked for, as the text of a file."""
    needed = [
        each for each in catalog.get("problem", problem).parameters.values() if each.default is REQUIRED
    ]
    lines = (f"# {each.name} = ...    # required: {each.doc or each.annotation}\n" for each in needed)
    return _TEXT.format(problem=problem, required="".join(lines))


def _path(study: Name) -> Path:
    """Return the path of a study file, or of the built-in study of that name."""
    if _is_file(study):
        return Path(study)
    name = str(study)
    if name in catalog.names("study"):
        return catalog.STUDIES / f"{name}.toml"
    if name in catalog.names("experiment"):
        raise StudyError(f"{name}: is an experiment, not a study; run it with `lrbench experiment {name}`")
    near = catalog.nearest(name, [*_files(Path(study).parent), *_names()])
    remedy = f"{near}`lrbench list studies` and `lrbench list problems` list all names"
    if os.path.isdir(study):  # noqa: PTH112 -- Path.is_dir raises where a name is too long
        raise StudyError(f"{name}: is a folder; give a study file or a name; {remedy}")
    if Path(study).suffix or Path(study).parent != Path():
        missing = "is not a regular file" if os.path.exists(study) else "no such file"  # noqa: PTH110 -- as above
        raise StudyError(f"{name}: {missing}; {remedy}")
    raise StudyError(f"unknown study or problem {name!r}; {remedy}; or give the path of a file")


def _is_file(study: Name) -> bool:
    with contextlib.suppress(OSError, ValueError):  # a name that is too long for the system is no file
        return Path(study).is_file()
    return False


def _names() -> list[str]:
    """Return the names of studies and of problems, each once."""
    return list(dict.fromkeys([*catalog.names("study"), *catalog.names("problem")]))


def _files(folder: Path) -> Iterator[str]:
    """Yield the study files of a folder, as a person would give them."""
    with contextlib.suppress(OSError, ValueError):
        yield from sorted(str(path) for path in folder.glob("*.toml"))
