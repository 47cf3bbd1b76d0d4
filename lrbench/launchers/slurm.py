"""Packs as an array of Slurm jobs, by submitit.

Each job trains a share of the packs, and writes their parts into the results folder, which all nodes must see. The jobs and
their packs are recorded there, in `jobs/`, so that a later command waits for jobs that are still queued or running.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from lrbench.errors import LaunchError, counted
from lrbench.launchers import Outcome, Word, Work
from lrbench.results import places, safe_files
from lrbench.results.folder import JOBS_LINKS, ResultsFolder
from lrbench.results.inventory import PACK_ID
from lrbench.results.places import FolderPlace, Place
from lrbench.study.grid import Pack

FOLDER, RECORD = "jobs", "submitted.json"
_JOB = re.compile(r"[0-9]{1,20}(_[0-9]{1,20})?")
_LONGEST = 2**28
_FIRST_POLL, _LAST_POLL = 0.5, 20.0
_REQUEUES = 1000
"""How often a job may be requeued when its time is over; it resumes from the parts that are written."""


@dataclass(frozen=True)
class Share:
    """The work of one job: its packs, one after another; requeued, it does not train again what is completed."""

    work: Work
    packs: tuple[Pack, ...]

    def __call__(self) -> None:
        """Train the packs, and record the errors of those that failed."""
        errors = {}
        for pack in self.packs:
            if error := self.work(pack).error:
                errors[pack.pack_id] = error
                name = f"{FOLDER}/{_this_job()}.errors.json"
                ResultsFolder(self.work.folder).write_text(name, json.dumps(errors))

    def checkpoint(self) -> Any:
        """Return what is submitted again when Slurm ends the job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def slurm(
    packs: Sequence[Pack],
    work: Work,
    *,
    jobs: int = 1,
    partition: Word = "",
    account: Word = "",
    minutes: int = 60,
    gres: Word = "",
    cpus: int = 0,
    memory: Word = "",
    detach: bool = False,
) -> Generator[Outcome, None, None]:
    """Execute packs in an array of Slurm jobs, balanced by estimated cost.

    All nodes must see the results folder. A job that is preempted, or whose time is over, is requeued and resumes from the parts
    that are written. The command may be interrupted: the jobs go on, and the same command waits for them.

    Args:
        jobs: the number of jobs that share the packs.
        partition: where jobs are queued; by default the cluster's default.
        account: the account that is charged; by default the user's default.
        minutes: the time limit of a job.
        gres: generic resources of a job, such as `gpu:1`.
        cpus: cores of a job; by default the cluster's default.
        memory: memory of a job, such as `8GB`; by default the cluster's default.
        detach: submit the jobs and return at once.
    """
    queued = states() or {}
    before = {job: names for job, names in submitted(FolderPlace(work.folder)).items() if job in queued}
    submitted_before = {name for names in before.values() for name in names}
    new = [pack for pack in packs if pack.pack_id not in submitted_before]
    options = {"partition": partition, "account": account, "gres": gres, "cpus_per_task": cpus, "mem": memory}
    given = {key: value for key, value in options.items() if value}
    job_shares = [Share(work, tuple(new[n] for n in share)) for share in shares(work.costs(new), jobs)]
    started = _submit(work.folder, job_shares, minutes, given)
    ResultsFolder(work.folder).write_text(f"{FOLDER}/{RECORD}", json.dumps(before | started))
    if before:
        work.notify(f"waiting for {counted(len(before), 'job')} that an earlier command submitted")
    if started:
        numbers = ", ".join(_arrays(started))
        work.notify(f"submitted {counted(len(new), 'pack')} in {counted(len(started), 'job')}: {numbers}")
    if not detach:
        yield from _wait(packs, work, before | started)


def shares(costs: Sequence[float], jobs: int) -> list[range]:
    """Return the numbers of each job's packs: neighbours, so that few programs are compiled in each, of about equal cost.

    No job costs more than the mean plus one pack. Jobs without packs are omitted.

    >>> shares([1.0, 1.0, 2.0, 1.0, 1.0], 3)
    [range(0, 2), range(2, 3), range(3, 5)]
    """
    total = sum(costs) or 1.0
    middles = [end - cost / 2 for end, cost in zip(accumulate(costs), costs, strict=True)]
    job = [min(jobs - 1, int(middle / total * jobs)) for middle in middles]
    return [range(bisect_left(job, n), bisect_right(job, n)) for n in sorted(set(job))]


def submitted(results: Place) -> dict[str, list[str]]:
    """Return the jobs that were last submitted for a results folder, and the names of their packs.

    Raises:
        StoreError: if the record of jobs is a link.
    """
    return {
        job: names
        for job, names in _read(results, RECORD).items()
        if _JOB.fullmatch(job)
        and isinstance(names, list)
        and all(isinstance(name, str) and PACK_ID.fullmatch(name) for name in names)
    }


def _read(results: Place, name: str) -> dict[str, Any]:
    """Return the contents of a file in `jobs/`; nothing if it is missing or damaged."""
    try:
        found = json.loads(places.read(results, f"{FOLDER}/{name}", _LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def states() -> dict[str, str] | None:
    """Return the state of each job of this user in Slurm's queue; `None` if `squeue` is missing or fails."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        return None
    return dict(line.split(maxsplit=1) for line in found.stdout.splitlines() if line.strip())


def _submit(
    results: Path, job_shares: list[Share], minutes: int, given: dict[str, Any]
) -> dict[str, list[str]]:
    """Submit an array of jobs; return the names of their packs by job."""
    if not job_shares:
        return {}
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError as error:
        raise LaunchError("--launcher slurm requires submitit: pip install 'lrbench[slurm]'") from error
    for command in ("sbatch", "srun"):
        if shutil.which(command) is None:
            raise LaunchError(
                f"--launcher slurm: {command} was not found; run the command where jobs can be submitted"
            )
    safe_files.refuse_links(results, FOLDER, but=JOBS_LINKS)
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.SlurmExecutor(folder, max_num_timeout=_REQUEUES)
    name = f"lrbench-{job_shares[0].work.study.name}"
    executor.update_parameters(job_name=name, time=minutes, array_parallelism=len(job_shares), **given)
    try:
        with executor.batch():
            submitted_jobs = [executor.submit(share) for share in job_shares]
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError, OSError) as error:
        reason = " ".join(str(getattr(error, "stderr", None) or error).split())
        raise LaunchError(f"--launcher slurm: Slurm rejected the jobs: {reason[-300:]}") from error
    return {
        job.job_id: [pack.pack_id for pack in share.packs]
        for job, share in zip(submitted_jobs, job_shares, strict=True)
    }


def _wait(packs: Sequence[Pack], work: Work, jobs: dict[str, list[str]]) -> Iterator[Outcome]:
    """Yield the outcome of each pack once its part is written, or its job has ended."""
    job_of = {name: job for job, names in jobs.items() for name in names}
    waiting = list(packs)
    ended: set[str] = set()
    pause = _FIRST_POLL
    while waiting:
        found = states()
        remaining = []
        for pack in waiting:
            job = job_of[pack.pack_id]
            if outcome := work.look(pack):
                yield outcome
            elif job in ended:  # for a whole pause, in which a shared disk catches up
                yield work.failed(pack, _reason(work.folder, job, pack.pack_id))
            else:
                remaining.append(pack)
        if found is not None:
            ended = {job for job in jobs if job not in found}
        pause = pause if len(remaining) < len(waiting) else min(1.2 * pause, _LAST_POLL)
        if waiting := remaining:
            _sleep(pause, work)


def _sleep(seconds: float, work: Work) -> None:
    """Sleep, unless the command is to stop meanwhile."""
    while seconds > 0:
        work.check()
        time.sleep(min(_FIRST_POLL, seconds))
        seconds -= _FIRST_POLL


def _reason(results: Path, job: str, pack_id: str) -> Exception:
    error = _read(FolderPlace(results), f"{job}.errors.json").get(pack_id)
    return LaunchError(
        str(
            error
            or f"job {job} ended before this pack was trained; its log is {results / FOLDER / job}_0_log.err"
        )
    )


def _arrays(jobs: dict[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(job.split("_")[0] for job in jobs))


def _this_job() -> str:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
