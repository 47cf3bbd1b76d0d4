"""Packs as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lrbench.errors import LaunchError, counted
from lrbench.launchers import Address, Outcome, Work
from lrbench.study.grid import Pack

AHEAD = 2
"""The most packs that a process has at once: the one that it trains, and those queued for it."""
WATCH = Path(__file__).with_name("_ray_watch.py")
"""The program that removes what a cluster leaves."""
PAUSE = 0.5
"""Seconds between two checks whether to go on waiting."""


def ray(
    packs: Sequence[Pack],
    work: Work,
    *,
    address: Address = "auto",
    cpus_per_pack: int = 1,
    gpus_per_pack: int | None = None,
    max_retries: int = 3,
    parts: Address = "returned",
) -> Generator[Outcome, None, None]:
    """Execute packs as tasks of a Ray cluster, in as many processes as it has resources for.

    A pack whose process or node dies is retried elsewhere. A pack whose training raises is not: it is a failure of the study, as
    with any launcher.

    Args:
        address: of the cluster; `auto` means RAY_ADDRESS, or else the cluster that runs on this machine, or else a new one on this
            machine alone, which starts and ends with the study; `local` always means the last.
        cpus_per_pack: cores of each process, which are its JAX devices where it has no GPU.
        gpus_per_pack: GPUs of each process; by default one if the cluster has any.
        max_retries: how often a pack is retried after its process or node died.
        parts: how parts reach the results folder: `returned` sends them through Ray; with `shared` the processes write into the
            folder, which must be on a disk that all nodes share; with a URL, such as `s3://bucket/folder`, they are written and
            kept there, and fetched from there.

    Raises:
        LaunchError: if Ray is not installed, no cluster answers, or no node of it has the resources of a pack.
    """
    for name, given, least in (("cpus", cpus_per_pack, 1), ("gpus", gpus_per_pack, 0)):
        if given is not None and given < least:
            raise LaunchError(f"launcher.ray.{name}_per_pack = {given}: must be {least} or more")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise LaunchError("--launcher ray requires Ray: pip install 'lrbench[ray]'") from error
    with _connected(ray, address):
        required = {"CPU": cpus_per_pack, "GPU": _gpus(ray, gpus_per_pack)}
        if not _capacity(ray, required):
            raise LaunchError(f"launcher.ray: {_shortage(ray, required)}")
        task = ray.remote(_apply).options(
            num_cpus=required["CPU"],
            num_gpus=required["GPU"],
            max_retries=max_retries,
            runtime_env={"env_vars": _environment(cpus_per_pack)},
        )
        yield from _map(ray, task, packs, work.to(parts), required)


def shares(costs: Sequence[float], nodes: int) -> list[list[int]]:
    """Return the numbers of the packs that each node would train: every pack goes to the node that is free first.

    >>> shares([3.0, 1.0, 1.0, 1.0], 2)
    [[0], [1, 2, 3]]
    """
    found: list[list[int]] = [[] for _ in range(min(nodes, len(costs)))]
    free = [(0.0, node) for node in range(len(found))]
    for pack, cost in enumerate(costs):
        since, node = free[0]
        heapq.heapreplace(free, (since + cost, node))
        found[node].append(pack)
    return found


def _apply(work: Work, pack: Pack) -> Outcome:
    return work(pack)


def _map(
    ray: Any, task: Any, packs: Sequence[Pack], work: Work, required: Mapping[str, int]
) -> Iterator[Outcome]:
    """Keep every process of the cluster busy, with no more packs pending than necessary; yield outcomes as they arrive."""
    sent = ray.put(work)
    waiting = iter(packs)
    pending: dict[Any, Pack] = {}
    while True:
        most = AHEAD * max(1, _capacity(ray, required))  # a cluster grows and shrinks
        pending |= {
            task.remote(sent, pack): pack for pack in itertools.islice(waiting, max(0, most - len(pending)))
        }
        if not pending:
            return
        while not ray.wait(list(pending), num_returns=1, timeout=PAUSE)[0]:
            work.check()
        done, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0)
        for reference in done:
            pack = pending.pop(reference)
            try:
                yield ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                yield work.failed(pack, error.cause or error)
            except ray.exceptions.RayError as error:
                yield work.failed(pack, error)


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster, unless this process is connected; leave it in the end, or end it if it started here."""
    if ray.is_initialized():
        yield
        return
    _connect(ray, address)
    with _watched(ray._private.worker._global_node):
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _watched(node: Any) -> Iterator[None]:
    """Have another process remove what is left of a node that started here, even where this process is killed.

    Args:
        node: as Ray has it; `None` for a client of a cluster elsewhere.
    """
    if node is None or not node.is_head():
        yield
        return
    children = _children(node.all_processes["raylet"][0].process.pid)
    command = [sys.executable, "-IS", str(WATCH), node.get_session_dir_path(), *map(str, children)]
    none = subprocess.DEVNULL
    # Ctrl-C in a terminal reaches every process of the session of this one.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=none, stderr=none, start_new_session=True):
        yield


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started; none where the system has no `/proc`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def _connect(ray: Any, address: str) -> None:
    requested = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if requested == "auto":
        requested = _auto(ray)
    elif requested != "local":
        _check_reachable(requested)
    quiet = {"log_to_driver": False, "logging_level": "error"}
    with warnings.catch_warnings(), _same_handler():
        # JAX warns of any fork; these go on to exec at once, and do not depend on locks of JAX.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        try:
            if requested != "local":
                ray.init(address=requested, **quiet)
                return
        except (ConnectionError, RuntimeError, ValueError) as error:
            if requested != "auto":
                raise _unreachable(requested, error) from error
        with _on_loopback(ray):
            ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)


def _auto(ray: Any) -> str:
    """Return `auto` if a cluster on this machine can be joined, or else `local`.

    Ray finds that of another study, too, which listens on loopback alone, and would try for hours to reach it elsewhere.
    """
    try:
        _check_reachable(ray._private.services.canonicalize_bootstrap_address("auto"))
    except (ConnectionError, LaunchError):
        return "local"
    return "auto"


@contextlib.contextmanager
def _on_loopback(ray: Any) -> Iterator[None]:
    """Make a cluster that starts meanwhile listen on loopback alone.

    Ray replaces a loopback address by one that other machines can reach, unless this constant is false, as it is where Ray
    supports a single machine only (macOS and Windows).
    """
    constants = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _same_handler() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray installs one that ends Python with an exit code of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Raise `LaunchError` if nothing listens at an address, for which Ray itself would wait for many minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> LaunchError:
    reason = " ".join(str(error).split())
    return LaunchError(
        f"launcher.ray.address = {address!r}: no Ray cluster answers there ({reason}); give HOST:PORT, auto or local"
    )


def _nodes(ray: Any) -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _gpus(ray: Any, requested: int | None) -> int:
    return requested if requested is not None else int(any(node.get("GPU") for node in _nodes(ray)))


def _capacity(ray: Any, required: Mapping[str, int]) -> int:
    """Return how many packs the cluster can train at the same time."""
    return sum(min(int(node.get(k, 0) // n) for k, n in required.items() if n) for node in _nodes(ray))


def _shortage(ray: Any, required: Mapping[str, int]) -> str:
    def words(has: Mapping[str, float]) -> str:
        return f"{counted(int(has.get('CPU', 0)), 'CPU')} and {counted(int(has.get('GPU', 0)), 'GPU')}"

    largest = max(_nodes(ray), key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    return (
        f"a pack requires {words(required)}, which no node of the cluster has (the largest has {words(largest)}); "
        "set cpus_per_pack and gpus_per_pack, or add nodes"
    )


def _environment(cpus: int) -> dict[str, str]:
    """Return the environment of a process: the variables of JAX as they are here, a device for each core, and this lrbench."""
    here = {
        name: value for name, value in os.environ.items() if name.startswith("JAX_") or name == "XLA_FLAGS"
    }
    places = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return here | {"JAX_NUM_CPU_DEVICES": str(cpus), "PYTHONPATH": os.pathsep.join(places)}
