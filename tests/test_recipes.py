"""docs/anywhere.md: its manifests are what the APIs take, and its commands, told what each scheduler tells them, make the tables of one process."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from lrbench.execution import shard_variables
from lrbench.execution.execute import execute
from tests.helpers.pages import files
from tests.helpers.paths import ROOT
from tests.helpers.tables import written

FILES = files("anywhere.md")
SECONDS = 300
"""A recipe that takes longer hangs: four processes, each of which compiles, on a shared machine."""
LRBENCH = f'exec {sys.executable} -m lrbench "$@" --no-report --quiet'
# ssh and torchrun take options of their own before the command that they start.
STARTS = 'while [ "$1" != lrbench ]; do shift; done; exec "$@"'
COMMANDS = {"lrbench": LRBENCH, "ssh": STARTS, "torchrun": STARTS}
"""What stands for other commands here."""


def manifest(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILES[file])
    return found


def job(file: str) -> dict[str, Any]:
    """Return the specification of the Job of a manifest."""
    spec: dict[str, Any] = manifest(file)["spec"]
    return spec["replicatedJobs"][0]["template"]["spec"] if "replicatedJobs" in spec else spec


def container(file: str) -> dict[str, Any]:
    (only,) = job(file)["template"]["spec"]["containers"]
    return only


# ---- manifests ----


def accepted(file: str, text: str) -> bool:
    """Return whether the models of the API accept a manifest as it is: they leave out what they do not know, and fill in what is missing."""
    from kubeflow_trainer_api.models.io_k8s_api_batch_v1_job import IoK8sApiBatchV1Job
    from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet

    given = yaml.safe_load(text)
    model = JobsetV1alpha2JobSet if file == "jobset.yaml" else IoK8sApiBatchV1Job
    try:
        known = model.from_dict(given)
    except pydantic.ValidationError:
        return False
    assert known
    return bool(known.to_dict() == given)


@pytest.mark.parametrize(
    ("file", "kind"), [("job.yaml", "batch/v1 Job"), ("jobset.yaml", "jobset.x-k8s.io/v1alpha2 JobSet")]
)
def test_manifests_are_what_the_api_takes(file: str, kind: str) -> None:
    given = manifest(file)
    assert f"{given['apiVersion']} {given['kind']}" == kind
    assert accepted(file, FILES[file])


@pytest.mark.parametrize("file", ["job.yaml", "jobset.yaml"])
def test_a_manifest_with_a_mistake_is_noticed(file: str) -> None:
    for word in ("completions", "parallelism", "restartPolicy", "limits", "mountPath", "configMap"):
        assert not accepted(file, FILES[file].replace(f"{word}:", f"{word}x:")), word
    assert not accepted(file, FILES[file].replace("completions: ", "completions: about "))


@pytest.mark.parametrize("file", ["job.yaml", "jobset.yaml"])
def test_what_the_models_do_not_check(file: str) -> None:
    """By Kubernetes' documentation of Jobs: pods are numbered, are not started again in place, and all run at the same time."""
    spec = job(file)
    assert spec["completionMode"] == "Indexed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["completions"] == spec["parallelism"]
    volumes = {each["name"] for each in spec["template"]["spec"]["volumes"]}
    assert {each["name"] for each in container(file)["volumeMounts"]} <= volumes
    resources = container(file)["resources"]
    assert resources.get("requests", {}).items() <= resources["limits"].items()


# ---- commands ----

Process = tuple[list[str], dict[str, str]]
"""A command, and the variables that a scheduler sets for it."""


def of_job() -> Iterator[Process]:
    for index in range(job("job.yaml")["completions"]):
        yield container("job.yaml")["command"], {"JOB_COMPLETION_INDEX": str(index)}


def of_jobset() -> Iterator[Process]:
    """Every Job counts its pods from 0; the label is that of the Job."""
    (variable,) = container("jobset.yaml")["env"]
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['jobset.sigs.k8s.io/job-index']"
    for number in range(manifest("jobset.yaml")["spec"]["replicatedJobs"][0]["replicas"]):
        for index in range(job("jobset.yaml")["completions"]):
            variables = {variable["name"]: str(number), "JOB_COMPLETION_INDEX": str(index)}
            yield container("jobset.yaml")["command"], variables


def of_skypilot() -> Iterator[Process]:
    asked = manifest("sky.yaml")
    for rank in range(asked["num_nodes"]):
        variables = {"SKYPILOT_NODE_RANK": str(rank), "SKYPILOT_NUM_NODES": str(asked["num_nodes"])}
        yield ["bash", "-c", asked["run"]], variables


def of_torchrun() -> Iterator[Process]:
    for rank in range(4):
        yield ["bash", "-c", FILES["torchrun.sh"]], {"RANK": str(rank), "WORLD_SIZE": "4"}


def of_ssh() -> Iterator[Process]:
    yield ["bash", "-c", FILES["ssh.sh"]], {}


def of_parallel() -> Iterator[Process]:
    if shutil.which("parallel") is None:
        pytest.skip("NO GNU PARALLEL HERE: its recipe is NOT TESTED; as root: apt-get install parallel")
    yield ["bash", "-c", FILES["parallel.sh"]], {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What every machine has: the study, the commands and the list of machines."""
    (tmp_path / "bin").mkdir()
    for name, text in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "study.toml").write_text(FILES["study.toml"])
    (tmp_path / "hosts.txt").write_text("".join(f"machine{number}\n" for number in range(4)))
    return tmp_path


def start(processes: list[Process], folder: Path) -> list[tuple[int, str]]:
    """Start all at the same time, with `folder` for every place that they share; return exit codes, and what was printed."""
    places = {"/shared": folder, "/study": folder}
    places |= dict.fromkeys(("s3://my-bucket", "gs://my-bucket"), f"file://{folder}")

    def here(word: str) -> str:
        for place, instead in places.items():
            word = word.replace(f"{place}/", f"{instead}/")
        return word

    # Tests may themselves run under a scheduler.
    told = {*itertools.chain(*shard_variables.PAIRS), *shard_variables.NUMBERS}
    shared = {
        **{name: value for name, value in os.environ.items() if name not in told},
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JAX_NUM_CPU_DEVICES": "2",
    }
    running = [
        subprocess.Popen(
            [here(word) for word in command],
            cwd=folder,
            env=shared | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command, variables in processes
    ]
    try:
        said = [each.communicate(timeout=SECONDS)[0] for each in running]
    finally:
        for each in running:
            each.kill()
    return [(each.returncode, text) for each, text in zip(running, said, strict=True)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of one process."""
    out = tmp_path_factory.mktemp("whole")
    execute(tomllib.loads(FILES["study.toml"]), out, report=False)
    return written(out)


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize(
    "recipe",
    [of_job, of_jobset, of_skypilot, of_torchrun, of_ssh, of_parallel],
    ids=lambda each: each.__name__,
)
def test_a_recipe_makes_the_tables_of_one_process(
    recipe: Callable[[], Iterator[Process]], folder: Path, whole: dict[str, str]
) -> None:
    ended = start(list(recipe()), folder)
    assert [code for code, _ in ended] == [0] * len(ended), "\n".join(said for _, said in ended)
    assert written(folder / "anywhere") == whole


@pytest.mark.slow
def test_the_image_has_what_the_package_is_built_from(tmp_path: Path) -> None:
    copied = [line.split()[1:] for line in FILES["Dockerfile"].splitlines() if line.startswith("COPY")]
    for *sources, target in copied:
        for source in sources:
            place = tmp_path / target.strip("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "./src"]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=100)
    assert list(tmp_path.glob("lrbench-*.whl"))
