"""How progress is shown: in words, with what is compiled, and with a pace that compiling does not slow down."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lrbench.cli import progress
from lrbench.cli.interrupt import Interrupt
from lrbench.cli.progress import Bar, Plain
from lrbench.execution.execute import execute
from lrbench.study.spec import check
from tests.helpers.command import TABLE


class Time:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_lines_say_what_is_done_and_what_is_left(time: Time) -> None:
    written = io.StringIO()
    plain = Plain(Interrupt(), written)
    plain.begin(100, 10_000, "grid")
    plain.compiling("adam on digits_mlp, 3 of 12 programs")
    time.now += 40
    plain.advance(50, 0)
    time.now += 20
    plain.advance(50, 40)
    time.now += 5
    plain.advance(50, 10)
    time.now += 300
    plain.advance(50, 100)
    plain.end()
    assert written.getvalue().splitlines() == [
        "grid: training 100 runs of 100 steps",
        "compiling adam on digits_mlp, 3 of 12 programs",
        " 20%  about 80 s left, 60 s so far, 100 model-steps/s",
        " 75%  about 2 min left, 6 min so far, 23 model-steps/s",
    ]


def test_the_bar_has_the_same_words(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    bar = Bar(Interrupt())
    shown = io.StringIO()
    bar._console.file = shown

    def seen() -> str:
        bar._console.print(bar._progress.get_renderable())
        text, last = shown.getvalue(), shown.seek(0)
        shown.truncate(last)
        return text.rstrip().splitlines()[-1].replace("━", "").replace("╺", "").replace("╸", "")

    bar.begin(8, 80, "")
    time.now += 2
    bar.compiling("sgd on a\x1b[2Jb, 1 of 2 programs")
    assert " ".join(seen().split()) == "8 runs 0 % compiling sgd on a\\x1b[2Jb, 1 of 2 programs, 2 s so far"
    time.now += 8
    bar.advance(8, 0)
    time.now += 10
    bar.advance(8, 4)
    assert " ".join(seen().split()) == "8 runs 40 % about 18 s left, 20 s so far, 3 model-steps/s"
    bar.advance(8, 6)
    bar.end()
    time.now += 100
    assert " ".join(seen().split()) == "8 runs 100 % trained in 20.0 s"


def test_programs_are_counted_as_they_are_compiled(tmp_path: Path) -> None:
    written = io.StringIO()
    study = check(TABLE | {"optimizer": ["sgd", "adam"]}, "x", trust=True)
    execute(study, tmp_path / "out", report=False, listener=Plain(Interrupt(), written))
    lines = [line for line in written.getvalue().splitlines() if line.startswith("compiling ")]
    allowed = ["sgd on quadratic, 1 of 2 programs", "adam on quadratic, 2 of 2 programs"]
    assert lines  # one that is compiled before its turn has nothing to wait for
    assert set(lines) <= {f"compiling {each}" for each in allowed}
