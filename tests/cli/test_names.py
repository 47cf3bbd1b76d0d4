"""What a study is called on the command line, what is changed of it there, and what happens where a name is not known."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lrbench.cli.listing import listing
from lrbench.study import catalog, study_file
from lrbench.study.spec import read
from tests.helpers.command import STUDY, lrbench, refused

QUICK = [
    "--set",
    "steps=4",
    "--set",
    "seeds=1",
    "--set",
    "learning_rate.values=[0.1, 0.2]",
    "--unset",
    "confirm",
]


@pytest.fixture
def study() -> Path:
    """A study file in the working folder."""
    Path("mine.toml").write_text(STUDY)
    return Path("mine.toml")


@pytest.mark.slow
def test_a_problem_runs_by_its_name_and_says_how() -> None:
    code, said = lrbench(["run", "quadratic", *QUICK, "--no-report"])
    assert code == 0, said
    assert said.splitlines()[0] == (
        "quadratic is a problem; its study has sgd(momentum=0.9), adam, 4 steps, 1 seed, 2 learning rates; "
        "`lrbench list studies quadratic > my.toml` makes a file of it"
    )
    assert "results/quadratic/runs.csv" in said.splitlines()
    code, said = lrbench(["run", "quadratic", *QUICK, "--no-report", "--quiet"])
    assert code == 0
    assert said.startswith("quadratic: ")
    assert "results/" not in said


def test_the_study_of_a_problem_is_a_file_to_start_from() -> None:
    for name in set(catalog.names("problem")) - set(catalog.names("study")):
        text = study_file.text(name)
        assert listing("study", name) == text.rstrip()
        table = tomllib.loads(text)
        assert (table["name"], table["problem"]) == (name, {"name": name})
        required = [
            key for key, each in catalog.get("problem", name).parameters.items() if f"# {key} = " in text
        ]
        if not required:
            assert read(name).learning_rate.auto
    assert "# data = ...    # required: " in study_file.text("tabular_mlp")
    assert refused("run", "tabular_mlp") == (
        "tabular_mlp: problem.data: missing; tabular_mlp requires it: a CSV, Parquet or NPZ file, relative to the study file; "
        "in a command, by --set problem.data=..."
    )


def test_a_file_and_a_study_come_before_a_problem(study: Path) -> None:
    assert study_file.text("house_prices").startswith("# A line through real house prices")
    study.rename("digits_mlp")
    assert read("digits_mlp").name == "x"


@pytest.mark.parametrize("command", ["plan", "find"])
def test_other_commands_take_a_problem_too(command: str) -> None:
    few = ["--set", "steps=10", "--set", "seeds=1", "--set", "optimizer=sgd"]
    code, said = lrbench([command, "quadratic", *few])
    assert code == 0, said
    assert said.startswith("quadratic is a problem; its study has ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.tml", "mine.tml: no such file; nearest: mine.toml, mnist_mlp, mnist1d_mlp; "),
        ("./mien.toml", "./mien.toml: no such file; nearest: mine.toml, "),
        ("mine", "unknown study or problem 'mine'; nearest: mine.toml, "),
        ("digits", "unknown study or problem 'digits'; nearest: digits_cnn, digits_mlp, digits_vae; "),
        (
            "qqqq",
            "unknown study or problem 'qqqq'; `lrbench list studies` and `lrbench list problems` list all names",
        ),
        ("", "unknown study or problem ''; `lrbench list studies` and"),
    ],
)
@pytest.mark.usefixtures("study")
def test_a_study_that_does_not_exist(name: str, message: str) -> None:
    assert refused("run", name).startswith(message)


def test_of_many_names_the_three_nearest_are_named() -> None:
    assert catalog.unknown("schedule", "cosin", catalog.names("schedule")) == (
        "unknown schedule 'cosin'; nearest: cosine, cosine_restarts, warmup_cosine; `lrbench list schedules` lists all"
    )
    many = [f"name_{number}" for number in range(catalog.SHORT + 1)]
    assert catalog.unknown("thing", "zzz", many) == "unknown thing 'zzz'; 9 are allowed"
    few = many[1:]
    assert catalog.unknown("thing", "zzz", few) == f"unknown thing 'zzz'; allowed: {', '.join(few)}"


def test_list_searches_all_kinds() -> None:
    text = listing("adam")
    assert text.startswith(listing("optimizer", "adam"))
    assert text.splitlines()[-1].startswith("Other names with adam in them: optimizer adamax, ")
    both = listing("house_prices")
    assert [line for line in both.splitlines() if not line.startswith(" ")] == ["problem", "", "study"]
    part = listing("mnist1d_")
    assert "mnist1d_cnn " in part
    assert "mnist_cnn" not in part
    assert listing("schedules").startswith("schedule\n")  # a plot and a study are called so, too
    assert refused("list", "optimisers").startswith(
        "unknown kind or name 'optimisers'; nearest: optimizers, "
    )
    assert refused("list", "optimisers", "adam").startswith("unknown kind 'optimisers'; nearest: optimizer, ")


def test_keys_are_removed_before_others_are_set(study: Path) -> None:
    rates = {"min": 0.1, "max": 1.0, "num": 3}
    study.write_text(STUDY.replace("{values = [0.1]}", "{min = 0.1, max = 1.0, num = 3}"))
    found = read(study, ["learning_rate.per_decade=4"], unset=["learning_rate.num"]).learning_rate
    assert (found.min, found.num, found.per_decade) == (rates["min"], None, 4)
    assert read(study, unset=["learning_rate"]).learning_rate.auto
    several = "optimizer=['sgd', 'adam', 'lion']"
    code, said = lrbench(["plan", str(study), "--set", several, "--json"])
    assert (code, said.count('"optimizer": "')) == (0, 3)
    study.write_text(study.read_text().replace('"sgd"', '["sgd", "adam", "lion"]'))
    names = [each.entry.name for each in read(study, unset=["optimizer.0", "optimizer.1"]).optimizer]
    assert names == ["lion"]  # numbers are those of the file


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "stepz",
            "--unset 'stepz': unknown key 'stepz'; allowed: name, steps, seeds, problem, optimizer, learning_rate",
        ),
        (
            "learning_rate.num",
            "--unset 'learning_rate.num': unknown key 'learning_rate.num'; allowed: values",
        ),
        ("steps.x", "--unset 'steps.x': unknown key 'steps.x'; allowed: none"),
        (
            "learning_rate.values.4",
            "--unset 'learning_rate.values.4': learning_rate.values is a list of 1 item; ",
        ),
        ("", "--unset '': unknown key ''; "),
        ("steps", "mine.toml: steps: missing; a study requires it"),
    ],
)
@pytest.mark.usefixtures("study")
def test_a_key_that_cannot_be_removed(key: str, message: str) -> None:
    assert refused("plan", "mine.toml", "--unset", key).startswith(message)


def test_a_name_is_a_table_once_its_parameter_is_set(study: Path) -> None:
    found = read(study, ["optimizer.momentum=[0.0, 0.9]", "problem=digits_mlp", "problem.hidden=[8]"])
    assert [each.text for each in found.optimizer] == ["sgd(momentum=[0.0, 0.9])"]
    assert [each.text for each in found.problem] == ["digits_mlp(hidden=(8,))"]
    listed = read(study, ["optimizer=['sgd', 'adam']", "optimizer.1.b1=0.5", "optimizer.0=lion"])
    assert [each.text for each in listed.optimizer] == ["lion", "adam(b1=0.5)"]


def test_whole_numbers_may_have_an_exponent(study: Path) -> None:
    found = read(study, ["steps=1e3", "seeds=2e0", "confirm=1e1", "learning_rate={min=0.1, max=1, num=1e1}"])
    assert (found.steps, found.evaluate_every, found.seeds, found.confirm) == (1000, 50, (0, 1), 10)
    assert found.learning_rate.count == 10
    assert read(study, ["evaluate_every=1e1", "steps=2e1"]).evaluate_every == 10
    study.write_text(STUDY.replace("steps = 20", "steps = 1e3\nevaluate_every = 5e2"))
    assert read(study, ["steps=1e2"]).evaluate_every == 100
