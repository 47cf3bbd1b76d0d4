"""Studies: what is accepted, and what a mistake prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import lrbench as lb
from lrbench.errors import StudyError
from lrbench.study import catalog, fingerprint
from lrbench.study.learning_rates import LearningRates, logspace
from lrbench.study.spec import read

TOML = """
name = "digits"
steps = 100
evaluate_every = 30
seeds = 2
[[problem]]
name = "digits_mlp"
hidden = [[64], [32, 32]]
[learning_rate]
min = 1e-4
max = 1.0
num = 9
[[optimizer]]
name = "sgd"
momentum = [0.0, 0.9]
[[schedule]]
name = "constant"
[[schedule]]
name = "warmup_cosine"
warmup = [0.05, 0.1]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    file.write_text(TOML)
    return file


def test_a_study_file(path: Path) -> None:
    study = read(path)
    assert study.runs == 2 * 2 * 3 * 9 * 2
    assert study.seeds == (0, 1)
    assert study.problem[0].axes["hidden"] == ((64,), (32, 32))
    assert [choice.size for choice in study.schedule] == [1, 2]


def test_a_race_is_judged_by_a_loss(path: Path) -> None:
    assert read(path, ["race=true", "objective=train_loss"]).objective == "train_loss"
    with pytest.raises(StudyError) as caught:
        read(path, ["race=true", "objective=valid_accuracy"])
    assert str(caught.value) == (
        f"{path}: race = true: stops runs by their loss, and objective = 'valid_accuracy' is none; set race = false"
    )


def test_overrides(path: Path) -> None:
    study = read(path, ["steps=60", "learning_rate.num=3", "optimizer.0.momentum=0.5", "schedule=cosine"])
    assert (study.steps, study.learning_rate.count, study.runs) == (60, 3, 2 * 1 * 1 * 3 * 2)


def test_named_rates(path: Path) -> None:
    more = ["learning_rate.output={values=[2, 1]}", "learning_rate.input={min=1, max=100, per_decade=1}"]
    study = read(path, more)
    assert study.runs == 2 * 2 * 3 * 9 * 2 * (2 * 3)
    assert {name: axis.rates() for name, axis in study.learning_rate.named.items()} == {
        "output": (1.0, 2.0),
        "input": (1.0, 10.0, 100.0),
    }
    again = read(study.table(path.parent))
    assert again.learning_rate == study.learning_rate
    assert list(again.learning_rate.named) == ["output", "input"]


def test_a_rate_of_a_pattern(path: Path) -> None:
    more = ["learning_rate.*/bias={values=[2, 1]}", 'learning_rate."norm.scale".values=[3]']
    study = read(path, more)
    assert {name: axis.rates() for name, axis in study.learning_rate.named.items()} == {
        "*/bias": (1.0, 2.0),
        "norm.scale": (3.0,),
    }
    assert read(study.table(path.parent)).learning_rate == study.learning_rate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "stepz=3",
            "stepz = 3: unknown key 'stepz'; nearest: steps, shorter, seeds; docs/study-file.md explains all",
        ),
        ("steps=abc", "steps = 'abc': must be a valid integer"),
        (
            "objective=accuracy",
            "objective = 'accuracy': must be auto, valid_loss, train_loss, or the metric of a problem as its column is called, "
            "such as valid_accuracy",
        ),
        ("at=start", "at = 'start': must be 'end' or 'best'"),
        ("steps=0", "steps = 0: must be greater than or equal to 1"),
        ("steps=true", "steps = True: must be a valid integer"),
        ("evaluate_every=1000", "evaluate_every = 1000: must be from 1 to steps = 100"),
        ("learning_rate.min=-1", "learning_rate.min = -1: must be "),
        ("learning_rate.max=inf", "learning_rate.max = inf: must be"),
        ("learning_rate.min=2", "learning_rate: min = 2 must be below max = 1"),
        (
            "learning_rate.numm=3",
            "unknown key 'numm'; allowed: min, max, num, per_decade, values; did you mean 'num'?"
            "; or a table, which is a rate of that name",
        ),
        (
            "learning_rate.output.num=3",
            "learning_rate.output: requires min, max and num; or min, max and per_decade; or values",
        ),
        (
            "learning_rate.output={values=[0]}",
            "learning_rate.output.values.0 = 0: must be a number from 1e-30",
        ),
        (
            "learning_rate.output={numm=3}",
            "learning_rate.output.numm = 3: unknown key 'numm'; allowed: min, ",
        ),
        (
            "learning_rate.a b={values=[1]}",
            "learning_rate: a b: the name of a rate must be one that the problem has, or a pattern of the paths of its parameters, such as "
            "*/bias: 1 to 100 letters, digits and _ . / * ? [ ] ! ~ @ : + -",
        ),
        (
            "learning_rate.sensitivity={values=[1]}",
            "learning_rate: sensitivity: the name of a rate must not begin with sensitivity, which is reserved for columns",
        ),
        (
            "learning_rate.per_decade=3",
            "learning_rate: num and per_decade exclude each other; remove one, in a command with --unset",
        ),
        (
            "learning_rate=3",
            "learning_rate = 3: must be auto, or a table with min, max and num, or with values",
        ),
        ("learning_rate={values=[]}", "learning_rate: values is empty; give at least one rate"),
        ("learning_rate={values=[0.1,0.1]}", "learning_rate: values: a rate is listed twice"),
        (
            "optimizer.0.momentun=1",
            "optimizer.0.momentun = 1: unknown parameter of sgd 'momentun'; allowed: momentum",
        ),
        ("optimizer.0.momentum=[]", "optimizer.0.momentum = []: an axis must have at least one value"),
        ("optimizer.0.momentum=nan", "optimizer.0.momentum = nan: must be finite"),
        ("optimizer.0.momentum=[0.9, 0.9]", "optimizer.0.momentum = [0.9, 0.9]: a value is listed twice"),
        ("optimizer.0.nesterov=1.5", "optimizer.0.nesterov = 1.5: must be true or false"),
        ("optimizer.0.name=sdg", "optimizer.0.name: unknown optimizer 'sdg'; nearest: sgd, "),
        ("optimizer=[]", "optimizer: is empty; give at least one [[optimizer]]"),
        (
            "optimizer=[{}]",
            "optimizer.0.name: missing; `lrbench list optimizers` lists what is allowed",
        ),
        ("optimizer=['adam', 'adam']", "optimizer.1: adam (b1 = 0.9"),
        ("problem.0.hidden=64", "problem.0.hidden = 64: must be a list of whole numbers"),
        ("schedule.1.warmup=x", "schedule.1.warmup = 'x': must be a number"),
        ("seeds=0", "seeds = 0: a count of seeds must be 1 or more; or give a list of seeds"),
        ("seeds=[1, 1]", "seeds = [1, 1]: a seed is listed twice"),
        ("seeds=[]", "seeds = []: give a count, or a list of at least one seed"),
        ("name=A b", "name = 'A b': must be 1 to 64 of a-z, 0-9, _ and -"),
        ("name='../up'", "name = '../up': must be 1 to 64 of a-z, 0-9, _ and -"),
        ("precision=float16", "precision = 'float16': must be 'float32' or 'float64'"),
        ("probes=['sharpness', 'sharpness']", "probes: sharpness is listed twice"),
        (
            "probes=['norm']",
            "probes: unknown probe 'norm'; nearest: update_norm, gradient_norm, parameter_norm; ",
        ),
        ("seeds=1000000", "the grid has 108,000,000 runs; at most 100,000,000"),
        ("optimizer.0.name='mine.py:best'", "runs code of that file; allow it with --trust if you trust it"),
        ("steps", "--set 'steps': must be KEY=VALUE"),
        (
            "optimizer.7.name=adam",
            "--set 'optimizer.7.name=adam': optimizer is a list of 1 item; name one of them, counting from 0, "
            "such as optimizer.0.name",
        ),
        (
            "problem.name=quadratic",
            "--set 'problem.name=quadratic': problem is a list of 1 item; name one of them, counting from 0, "
            "such as problem.0.name",
        ),
        ("steps.x=1", "--set 'steps.x=1': steps is a value, it has no keys"),
        ("steps=1e-3", "steps = 0.001: must be a valid integer"),
    ],
)
def test_a_mistake_is_one_line(path: Path, override: str, message: str) -> None:
    from lrbench.study.grid import of_study

    with pytest.raises(StudyError) as caught:
        of_study(read(path, [override]))
    text = str(caught.value)
    assert message in text
    assert "\n" not in text


def test_named_rates_from_python_need_the_other_rates_too() -> None:
    message = r"""sweep: learning_rates = {'output': \[1.0\]}: must also have a key "", for the rates of all other parameters"""
    with pytest.raises(StudyError, match=message):
        lb.sweep("quadratic", learning_rates={"output": [1.0]})
    with pytest.raises(StudyError, match=r"learning_rate.output: values is empty; give at least one rate"):
        lb.sweep("quadratic", learning_rates={"": [1.0], "output": []})


def test_missing_keys_files_and_names(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="steps: missing; a study requires it"):
        read({"name": "x", "problem": "quadratic", "optimizer": "sgd", "learning_rate": {"values": [1]}})
    with pytest.raises(StudyError, match=r"no such file; nearest: .*study\.toml"):
        read(tmp_path / "sudy.tml")
    with pytest.raises(StudyError, match=r"^unknown study or problem 'quickstat'; nearest: quickstart, "):
        read("quickstat")
    with pytest.raises(StudyError, match=r"is a folder; give a study file or a name; "):
        read(tmp_path)
    path.write_text("steps = = 3")
    with pytest.raises(StudyError, match=r"not valid TOML: .*line 1"):
        read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="not valid TOML"):
        read(path)


def test_seeds_that_are_none() -> None:
    plain = {"name": "x", "problem": "quadratic", "optimizer": "sgd", "learning_rate": [0.1], "steps": 3}
    with pytest.raises(StudyError) as raised:
        read(plain | {"seeds": "many"})
    wanted = 'must be a count, a list of whole numbers below 2**30, or "enough"'
    assert str(raised.value).endswith(f"seeds = 'many': {wanted}")


def test_whole_numbers_have_at_most_64_bits() -> None:
    plain = {"name": "x", "problem": "quadratic", "optimizer": "sgd", "learning_rate": [0.1], "steps": 3}
    for value in (-(2**63), 2**63 - 1):  # is read, and then refused for what it means
        with pytest.raises(StudyError, match=r"^(?!.*64 are allowed)"):
            read(plain | {"seeds": [value]})
    for value in (-(2**63) - 1, 2**63):
        with pytest.raises(StudyError, match="seeds: a whole number has 64 bits; at most 64 are allowed"):
            read(plain | {"seeds": [value]})


@pytest.mark.parametrize("name", catalog.names("study"))
def test_built_in_studies_are_valid(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["problem.data=table.csv", "problem.target=y"] if name == "tabular" else []
    (tmp_path / "table.csv").write_text("x,y\n" + "\n".join(f"{i},{2.5 * i}" for i in range(20)))
    monkeypatch.chdir(tmp_path)
    assert read(name, overrides).name == name


def test_own_code_needs_trust_and_is_in_the_identity(tmp_path: Path) -> None:
    from lrbench.study.grid import of_study

    code = tmp_path / "mine.py"
    code.write_text(
        "import optax\ndef best(learning_rate, *, beta: float = 0.5):\n    return optax.sgd(learning_rate)\n"
    )
    file = tmp_path / "study.toml"
    file.write_text(TOML.replace('"sgd"\nmomentum = [0.0, 0.9]', '"mine.py:best"\nbeta = [0.1, 0.2]'))
    with pytest.raises(StudyError, match="allow it with --trust"):
        read(file)
    before = of_study(read(file, trust=True)).run_ids
    assert (of_study(read(file, trust=True)).run_ids == before).all()
    code.write_text(code.read_text() + "# a comment\n")
    assert (of_study(read(file, trust=True)).run_ids == before).all()
    code.write_text(code.read_text().replace("sgd(learning_rate)", "adam(learning_rate)"))
    assert not (of_study(read(file, trust=True)).run_ids == before).any()
    for wrong, message in {
        "mine.py:bst": "unknown function 'bst'; allowed: best; did you mean 'best'?",
        "nowhere.py:best": "no such file",
        "no_such_module:best": "importing it failed: ModuleNotFoundError",
    }.items():
        with pytest.raises(StudyError) as caught:
            read(file, [f"optimizer.0.name='{wrong}'"], trust=True)
        assert message in str(caught.value)


def test_rates_are_rounded_and_rise() -> None:
    assert logspace(1e-4, 1e-1, 4) == (0.0001, 0.001, 0.01, 0.1)
    assert LearningRates(min=1e-3, max=1e-1, per_decade=2).rates() == (
        0.001,
        0.00316227766,
        0.01,
        0.0316227766,
        0.1,
    )
    assert LearningRates(values=(0.1, 0.01)).rates() == (0.01, 0.1)


def test_fingerprints_tell_code_closures_and_arrays_apart() -> None:
    import numpy as np

    def scaled(factor: float) -> Any:
        return lambda x: x * factor

    assert fingerprint.of_object(scaled(2.0)) == fingerprint.of_object(scaled(2.0))
    assert fingerprint.of_object(scaled(2.0)) != fingerprint.of_object(scaled(3.0))
    assert fingerprint.of_object(np.arange(3)) != fingerprint.of_object(np.arange(4))


def test_python_objects_and_names_mix() -> None:
    study = read(
        {
            "name": "mixed",
            "steps": 5,
            "problem": [{"name": "digits_mlp", "hidden": [[8], [16]]}],
            "optimizer": [lb.Optimizer("adam", b2=[0.9, 0.99]), "sgd", lambda learning_rate: None],
            "schedule": lb.Schedule("warmup_cosine", warmup=[0.1, 0.2]),
            "learning_rate": {"values": [0.1]},
        },
        trust=True,
    )
    assert study.runs == 2 * 4 * 2 * 1 * 3


@pytest.mark.parametrize(
    ("low", "high", "num", "message"),
    [
        (0, 1, 3, "logspace: low = 0: must be a number from 1e-30 to 1e+30"),
        (1e-3, float("nan"), 3, "logspace: high = nan: must be a number from 1e-30 to 1e+30"),
        (1e-3, 1, 0, "logspace: num = 0: must be 1 or more"),
    ],
)
def test_logspace_refuses_what_gives_no_rates(low: float, high: float, num: int, message: str) -> None:
    with pytest.raises(StudyError, match=re.escape(message)):
        lb.logspace(low, high, num)
