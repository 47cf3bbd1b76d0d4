"""Packs on a Ray cluster of two nodes: the same tables as in this process, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lrbench.errors import LaunchError, StoreError
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.launchers import ray as launcher
from lrbench.results.folder import ResultsFolder
from lrbench.results.places import UrlPlace
from tests.helpers import processes
from tests.helpers.paths import ROOT
from tests.helpers.s3 import s3

# A bowl that hangs for ever on the node whose id stands beside it, and says on how many devices it is otherwise.
CODE = """\
import pathlib, time
import jax, jax.numpy as jnp, ray
import lrbench as lb

HERE = pathlib.Path(__file__).parent

def bowl():
    node = ray.get_runtime_context().get_node_id()
    (HERE / f"devices-{node}").write_text(str(len(jax.local_devices())))
    if (HERE / "victim").read_text() == node:
        (HERE / "reached").touch()
        time.sleep(1000)
    return lb.problem(name="bowl", init=lambda key: jnp.ones(3), loss=lambda w, batch, key: jnp.sum(w * w))
"""
# A bowl that kills the first process of the cluster that makes it, or every one.
DEADLY = """\
import os, pathlib, signal
import jax.numpy as jnp
import lrbench as lb

HERE = pathlib.Path(__file__).parent

def bowl():
    once, driver = HERE / "once", int((HERE / "driver").read_text())
    if os.getpid() != driver and not once.with_name("killed").exists():
        if once.exists():
            once.rename(once.with_name("killed"))
        os.kill(os.getpid(), signal.SIGKILL)
    return lb.problem(name="bowl", init=lambda key: jnp.ones(3), loss=lambda w, batch, key: jnp.sum(w * w))
"""
CLUSTER = [
    pytest.mark.slow,
    # Ray leaves pipes and processes to the end of the interpreter, and JAX warns of the forks that start its nodes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU, this process connected to them."""
    found = pytest.importorskip(
        "ray", reason="NO RAY IS INSTALLED: pip install 'lrbench[ray]'; its launcher is NOT tested"
    )
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ACCESS_KEY_ID": "none",
            "SECRET_ACCESS_KEY": "none",
            "EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        size = {"num_cpus": 1, "object_store_memory": 80_000_000}
        made = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
        made.victim = made.add_node(**size)
        found.init(address=made.address, log_to_driver=False, logging_level="error")
        try:
            yield made
        finally:
            found.shutdown()
            made.shutdown()


@pytest.fixture
def many(table: dict[str, Any]) -> dict[str, Any]:
    """A study whose packs do not hang on the devices."""
    rates = {"min": 0.01, "max": 10.0, "num": 12}
    return table | {"deterministic": True, "learning_rate": rates}


def _folder(path: Path, programs: int = 1, lanes: int = 4) -> Path:
    """Return a results folder that says how small its packs are."""
    path.mkdir(exist_ok=True)
    ResultsFolder(path).write_manifest({"lanes_per_pack": [lanes] * programs})
    return path


def _run(asked: Any, out: Path | str, **options: Any) -> Finished:
    more = {name: options.pop(name) for name in ("listener", "trust") if name in options}
    asked = asked | {"launcher": {"ray": options}} if isinstance(asked, dict) else asked
    return execute(asked, out, launcher="ray", report=False, **more)


def _deadly(many: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "mine.py").write_text(DEADLY)
    (folder / "driver").write_text(str(os.getpid()))
    return many | {"problem": "mine.py:bowl"}


def _same(one: Path, other: Path) -> None:
    for name in ("runs.csv", "curves.parquet", "summary.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


class TestCluster:
    pytestmark = CLUSTER

    def test_the_same_tables_as_here(self, cluster: Any, many: dict[str, Any], tmp_path: Path) -> None:
        execute(many, _folder(tmp_path / "here"), report=False)
        told: list[int] = []
        listener = Listener()
        listener.advance = lambda runs, steps: told.append(runs * steps)  # type: ignore[method-assign]
        done = _run(many, _folder(tmp_path / "ray"), listener=listener)
        assert (done.trained, done.failures) == (24, ())
        assert told == [40] * 6
        _same(tmp_path / "ray", tmp_path / "here")
        assert _run(many, _folder(tmp_path / "shared"), parts="shared").trained == 24
        _same(tmp_path / "shared", tmp_path / "here")

    def test_parts_at_a_url(self, cluster: Any, many: dict[str, Any], tmp_path: Path) -> None:
        execute(many, _folder(tmp_path / "here"), report=False)
        with s3() as store:
            url, client = store.url("studies/small"), store.client
            assert _run(many, _folder(tmp_path / "s3"), parts=url).trained == 24
            _same(tmp_path / "s3", tmp_path / "here")
            paths = ResultsFolder(tmp_path / "s3").part_paths()
            names = {path.relative_to(tmp_path / "s3").as_posix() for path in paths}
            assert sorted(store.names()) == sorted(f"studies/small/{name}" for name in names)
            before = client.list_objects_v2(Bucket="bucket")["Contents"]
            # On another machine the parts come from there; nothing is trained or written again.
            assert _run(many, _folder(tmp_path / "again"), parts=url).trained == 24
            assert client.list_objects_v2(Bucket="bucket")["Contents"] == before
            _same(tmp_path / "again", tmp_path / "here")
            failed = _run(many, _folder(tmp_path / "no"), parts=f"s3://none/x?{store.options}").failures
            assert len(failed) == 6
            assert "none" in failed[0].error
            # Results that are at a URL as a whole: there the processes write to it, and the driver has a copy.
            seed = _folder(tmp_path / "seed") / "manifest.json"
            UrlPlace(store.url("whole")).write(seed.name, seed.read_bytes())
            there = _run(many, store.url("whole"))
            assert there.trained == 24
            _same(there.results.folder, tmp_path / "here")
            assert sum(name.startswith("whole/parts/") for name in store.names()) == len(names)
            assert _run(many, store.url("whole")).trained == 0

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)])
    def test_a_driver_that_is_killed_loses_nothing(
        self, number: int, code: int, cluster: Any, many: dict[str, Any], tmp_path: Path
    ) -> None:
        import ray
        import tomli_w

        (tmp_path / "many.toml").write_text(tomli_w.dumps(many))
        out = _folder(tmp_path / "out", lanes=1)
        command = [
            sys.executable,
            "-m",
            "lrbench",
            "run",
            "many.toml",
            "--launcher",
            "ray",
            "--set",
            f"launcher.ray.address={cluster.address}",
            "--out",
            str(out),
        ]
        with subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
        ) as driver:
            while driver.poll() is None and not ResultsFolder(out).part_paths():
                time.sleep(0.01)
            workers = {
                each for each in processes.family(os.getpid()) if "ray::_apply" in processes.name(each)
            }
            driver.send_signal(number)
            _, errors = driver.communicate()
            assert driver.returncode == code, errors
            assert "Traceback" not in errors
        # The cluster is not the driver's: its nodes stay, and train nothing more.
        assert workers
        assert processes.left(workers) == []
        assert all(node["Alive"] for node in ray.nodes())
        before = {path: path.stat().st_mtime_ns for path in ResultsFolder(out).part_paths()}
        assert 0 < len(before) < 24
        done = _run(tmp_path / "many.toml", out)
        assert (done.trained, done.failures) == (24 - len(before), ())
        assert {path: path.stat().st_mtime_ns for path in before} == before
        execute(many, _folder(tmp_path / "here", lanes=1), report=False)
        _same(out, tmp_path / "here")

    def test_a_node_that_is_killed_is_done_without(
        self, cluster: Any, many: dict[str, Any], tmp_path: Path
    ) -> None:
        (tmp_path / "mine.py").write_text(CODE)
        (tmp_path / "victim").write_text(cluster.victim.node_id)
        killed: list[int] = []

        class Killer(Listener):
            def advance(self, runs: int, steps: int) -> None:
                if not killed:
                    until = time.monotonic() + 60
                    while not (tmp_path / "reached").exists():
                        assert time.monotonic() < until
                        time.sleep(0.01)
                    cluster.remove_node(cluster.victim, allow_graceful=False)
                killed.append(runs)

        asked = many | {"problem": "mine.py:bowl"}
        done = _run(asked, _folder(tmp_path / "out"), listener=Killer(), trust=True)
        assert len(killed) == 6
        assert (done.trained, done.failures) == (24, ())
        # The driver has four devices; a process of one CPU has one.
        counts = {path.read_text() for path in tmp_path.glob(f"devices-{cluster.victim.node_id}")}
        assert counts == {"1"}

    def test_a_process_that_is_killed_is_done_without(
        self, cluster: Any, many: dict[str, Any], tmp_path: Path
    ) -> None:
        asked = _deadly(many, tmp_path)
        (tmp_path / "once").touch()
        done = _run(asked, _folder(tmp_path / "out"), trust=True)
        assert (tmp_path / "killed").exists()
        assert (done.trained, done.failures) == (24, ())
        execute(asked, _folder(tmp_path / "here"), report=False, trust=True)
        _same(tmp_path / "out", tmp_path / "here")

    def test_a_pack_that_kills_every_process_fails(
        self, cluster: Any, many: dict[str, Any], tmp_path: Path
    ) -> None:
        out = _folder(tmp_path / "out", lanes=24)
        done = _run(_deadly(many, tmp_path), out, trust=True, max_retries=1)
        assert (done.trained, len(done.failures)) == (0, 1)
        assert {failure.error.partition(":")[0] for failure in done.failures} == {"WorkerCrashedError"}

    def test_what_no_node_has_is_said(self, cluster: Any, many: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(LaunchError) as error:
            _run(many, tmp_path / "out", cpus_per_pack=64)
        assert str(error.value) == (
            "launcher.ray: a pack requires 64 CPUs and 0 GPUs, which no node of the cluster has (the largest has 1 CPU and "
            "0 GPUs); set cpus_per_pack and gpus_per_pack, or add nodes"
        )
        with pytest.raises(LaunchError, match=r"launcher\.ray\.cpus_per_pack = 0: must be 1 or more"):
            _run(many, tmp_path / "out", cpus_per_pack=0)
        with pytest.raises(LaunchError, match="parts = 'here': must be returned, shared or a URL"):
            _run(many, tmp_path / "out", parts="here")
        with pytest.raises(StoreError, match="is no URL for results"):
            _run(many, tmp_path / "out", parts="cloud://here")


def test_without_ray_one_line_says_how_to_get_it(
    many: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LaunchError, match=r"^--launcher ray requires Ray: pip install 'lrbench\[ray\]'$"):
        _run(many, tmp_path / "out")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_listens_is_said_at_once(address: str) -> None:
    with pytest.raises(
        LaunchError, match=f"launcher.ray.address = '{address}': no Ray cluster answers there"
    ):
        launcher._connect(None, address)


@pytest.mark.parametrize("node", [None, SimpleNamespace(is_head=lambda: False)], ids=["client", "elsewhere"])
def test_a_cluster_that_did_not_start_here_is_not_watched(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with launcher._watched(node):
        pass


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux has numbers that are no later process's")
def test_what_a_cluster_leaves_is_removed_once_its_process_has_ended(tmp_path: Path) -> None:
    session, latest = tmp_path / "session_1", tmp_path / "session_latest"
    (session / "logs").mkdir(parents=True)
    latest.symlink_to(session)
    forever = [sys.executable, "-c", "import time; time.sleep(1000)"]
    with subprocess.Popen(forever) as agent, subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        assert agent.pid in launcher._children(os.getpid())
        command = [sys.executable, "-IS", str(launcher.WATCH), str(session), str(ended.pid), str(agent.pid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as watch:
            time.sleep(0.2)
            assert agent.poll() is None
        assert watch.returncode == 0
        assert agent.wait() == -signal.SIGKILL
    assert [*tmp_path.iterdir()] == []


def test_a_cluster_of_another_study_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray finds it by its processes, at an address of this machine where it does not listen."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        asked = _addresses(f"127.0.0.1:{port}")
    assert asked == ["auto"]
    assert _addresses(f"127.0.0.1:{port}") == ["local"]
    assert _addresses(None) == ["local"]


def _addresses(found: str | None) -> list[str]:
    """Return what Ray is asked to connect to, where it finds such a cluster, or none."""
    asked: list[str] = []

    def canonicalize(address: str) -> str:
        if found is None:
            raise ConnectionError(f"{address}: could not find any running Ray instance")
        return found

    services = SimpleNamespace(canonicalize_bootstrap_address=canonicalize)
    constants = SimpleNamespace(ENABLE_RAY_CLUSTER=True)
    ray = SimpleNamespace(
        _private=SimpleNamespace(services=services, ray_constants=constants),
        init=lambda address, **options: asked.append(address),
    )
    launcher._connect(ray, "auto")
    return asked


class _Task:
    """A cluster of `cpus` that does one pack at a time, the latest first, and notes how many were pending."""

    def __init__(self, cpus: int) -> None:
        self.most, self.pending, self.cpus = 0, [], cpus
        self.exceptions = SimpleNamespace(RayTaskError=_TaskError, RayError=_Died)

    def remote(self, work: Any, pack: int) -> str:
        self.pending.append(f"task {pack}")
        self.most = max(self.most, len(self.pending))
        return self.pending[-1]

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}, {"Alive": False, "Resources": {"CPU": 99}}]

    def put(self, work: Any) -> Any:
        return work

    def wait(
        self, tasks: list[str], num_returns: int, timeout: float | None = None
    ) -> tuple[list[str], list[str]]:
        assert num_returns <= len(tasks)
        return tasks[-1:], tasks[:-1]

    def get(self, task: str) -> str:
        self.pending.remove(task)
        if task == "task 3":
            raise _TaskError
        if task == "task 4":
            raise _Died("its node died")
        return f"outcome of {task}"


class _TaskError(Exception):
    cause = ValueError("no disk")


class _Died(Exception):
    pass


def test_no_more_is_pending_than_keeps_the_cluster_busy() -> None:
    ray = _Task(cpus=5)
    work: Any = SimpleNamespace(failed=lambda pack, error: f"{pack}: {error}")
    found = list(launcher._map(ray, ray, list(range(40)), work, {"CPU": 2, "GPU": 0}))  # type: ignore[arg-type]
    assert ray.most == 4
    assert len(found) == 40
    assert {"3: no disk", "4: its node died", "outcome of task 39"} < set(found)


def test_room_is_counted_node_by_node() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
    ]
    ray = SimpleNamespace(nodes=lambda: nodes)
    assert launcher._capacity(ray, {"CPU": 2, "GPU": 0}) == 5
    assert launcher._capacity(ray, {"CPU": 1, "GPU": 1}) == 2
    assert launcher._gpus(ray, None) == 1
    assert launcher._gpus(ray, 0) == 0
