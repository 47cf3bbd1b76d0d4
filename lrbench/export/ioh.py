"""Runs for IOHprofiler: IOHanalyzer and IOHinspector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.groups import group, members
from lrbench.analysis.labels import labels
from lrbench.analysis.objective import Objective, objective_of_each, objectives_of
from lrbench.errors import StoreError, counted, escaped
from lrbench.export._runs import slug
from lrbench.results.results import Results
from lrbench.study.ladder import floor_of

_VERSION = "0.4.2"
"""Of IOHexperimenter, whose files these are like."""
_LARGEST_DIMENSION = 2**16 - 1
"""Readers hold a dimension in 16 bits."""


def ioh(results: Results, folder: Path) -> str:
    """Write the best loss so far of each run against the steps, in the format of IOHprofiler.

    An algorithm is an optimizer with its schedule and its learning rate, which is an attribute too; a function is a problem, its dimension the number
    of parameters (65,535 if there are more), and an instance a seed. An evaluation is a step, counted from 1, which is before the first step. With
    `first_hits` a run has the rungs of its ladder too, at the steps at which they were first met. What larger values are better of is turned round.

    Args:
        results: any number of runs; one that was never finite is left out.
        folder: receives a folder for each algorithm, and in it a file `IOHprofiler_f*.json` and a folder of data for each problem.

    Raises:
        StoreError: if no run was ever finite.

    Source: de Nobel et al., IOHexperimenter: benchmarking platform for iterative optimization heuristics, arXiv:2111.04077;
        https://iohprofiler.github.io/IOHanalyzer/data/.
    """
    runs = results.runs.reset_index(drop=True)
    trace = _trace(results, runs)
    if not len(trace):
        raise StoreError(f"{results.folder}: has no run with a finite loss; nothing can be exported")
    names = labels(runs)
    shown = ["optimizer", *(["schedule"] if names["schedule"].nunique() > 1 else [])]
    runs["algorithm"] = names[shown].agg(" + ".join, axis=1) + runs["learning_rate"].map(" lr={:.6g}".format)
    runs["function"] = names["problem"]
    runs["function_id"] = group(names, ["problem"])[0] + 1
    runs["instance"] = runs["seed"].rank(method="dense").astype(int)
    kept = runs.loc[np.unique(trace["run"])]
    code, first = group(kept, ["algorithm"])
    files = _files(kept["algorithm"].iloc[first])
    blocks = dict(list(trace.groupby("run", sort=False)))
    for file, rows in zip(files, members(code), strict=True):
        for _, mine in kept.iloc[rows].groupby("function_id"):
            _write(folder / file, mine, [blocks[run] for run in mine.index])
    some = counted(len(files), "algorithm"), counted(kept["function_id"].nunique(), "problem")
    lost = len(runs) - len(kept)
    rest = f"; left out: {counted(lost, 'run')} that never had a finite loss" if lost else ""
    return f"{some[0]} on {some[1]}; open the folder with IOHanalyzer or iohinspector{rest}"


def _trace(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Return when each run improved, and its last evaluation: the row of the run, `evaluations` and `raw_y`, the best value so far."""
    events = pd.concat([*_events(results, runs)], ignore_index=True)
    events = events[np.isfinite(events["raw_y"])]
    events = events.sort_values(["run", "step", "raw_y"]).drop_duplicates(["run", "step"])
    # A block begins with the first evaluation, by which readers tell blocks apart.
    began = events.groupby("run")["step"].transform("min") == 0
    events = events[began]
    events["raw_y"] = events.groupby("run")["raw_y"].cummin()
    ends = events.groupby("run").tail(1)
    diverged = runs["diverged_step"].reindex(ends["run"]).to_numpy(dtype=np.float64, na_value=np.nan)
    ends = ends.assign(step=np.fmax(ends["step"].to_numpy(), diverged).astype(np.int64))
    better = events["raw_y"].diff().ne(0) | events["run"].diff().ne(0)
    found = pd.concat([events[better], ends]).drop_duplicates(["run", "step"])
    found = found.sort_values(["run", "step"], ignore_index=True)
    return found.assign(evaluations=found["step"] + 1)[["run", "evaluations", "raw_y"]]


def _events(results: Results, runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Return what is known of the objective along runs: its evaluations and, of a loss, the rungs that were met."""
    objectives = objective_of_each(runs, objectives_of(results.manifest))
    columns = dict.fromkeys(objective.column for objective in objectives.values())
    curves = results.some_curves("step", *columns)
    numbers = pd.Index(runs["run_id"])
    curves = curves.assign(run=numbers.get_indexer(pd.Index(curves["run_id"].astype("str"))))
    hits = results.first_hits.dropna()
    if len(hits):
        hits = hits.assign(run=numbers.get_indexer(pd.Index(hits["run_id"])))
    found = []
    for problem, objective in objectives.items():
        mine = runs.index[runs["problem"] == problem]
        rows = curves[curves["run"].isin(mine)]
        values = objective.smaller(rows[objective.column].to_numpy(dtype=np.float64))
        found.append(pd.DataFrame({"run": rows["run"], "step": rows["step"], "raw_y": values}))
        if len(hits) and objective.column.endswith("_loss"):
            found.append(_rungs(hits[hits["run"].isin(mine)], runs, objective))
    return found


def _rungs(hits: pd.DataFrame, runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the losses that runs had met at their first hits."""
    of_run = runs.loc[hits["run"]]
    start = of_run[f"initial_{objective.column}"].to_numpy(dtype=np.float64)
    floor = of_run["optimum"].map(lambda value: floor_of(None if pd.isna(value) else value)).to_numpy()
    target = hits["target"].to_numpy()
    values = floor + target * (start - floor)
    return pd.DataFrame({"run": hits["run"], "step": hits["step"].astype(np.int64), "raw_y": values})


def _files(names: pd.Series) -> list[str]:
    """Return the name of each algorithm as that of a folder, with a number where two would be the same."""
    files = names.map(slug)
    same = files.str.casefold().duplicated(keep=False).to_numpy()
    return [
        f"{file}-{number}" if alike else file
        for number, (file, alike) in enumerate(zip(files, same, strict=True), 1)
    ]


def _write(folder: Path, runs: pd.DataFrame, blocks: list[pd.DataFrame]) -> None:
    """Write the runs of an algorithm on a problem."""
    first = runs.iloc[0]
    dimension = min(int(first["parameters"]), _LARGEST_DIMENSION)
    function = f"f{first['function_id']}_{slug(first['function'])}"
    data = folder / f"data_{function}"
    data.mkdir(parents=True)
    path = data / f"IOHprofiler_f{first['function_id']}_DIM{dimension}.dat"
    with path.open("w", encoding="utf-8") as file:
        for block in blocks:
            lines = [
                f"{at} {y!r}" for at, y in zip(block["evaluations"], block["raw_y"].tolist(), strict=True)
            ]
            file.write("\n".join(["evaluations raw_y", *lines]) + "\n")
    about: dict[str, Any] = {
        "version": _VERSION,
        "suite": "lrbench",
        "function_id": int(first["function_id"]),
        "function_name": escaped(first["function"]),
        "maximization": False,
        "algorithm": {"name": escaped(first["algorithm"]), "info": f"lrbench study {first['study']}"},
        "experiment_attributes": [{"learning_rate": float(first["learning_rate"])}],
        "attributes": ["evaluations", "raw_y"],
        "scenarios": [
            {
                "dimension": dimension,
                "path": path.relative_to(folder).as_posix(),
                "runs": [
                    _about(instance, block) for instance, block in zip(runs["instance"], blocks, strict=True)
                ],
            }
        ],
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (folder / f"IOHprofiler_{function}.json").write_text(text + "\n", encoding="utf-8")


def _about(instance: int, block: pd.DataFrame) -> dict[str, Any]:
    """Return what a description says of a run."""
    evaluations, values = block["evaluations"].tolist(), block["raw_y"].tolist()
    best = min(values)
    found = {"evals": evaluations[values.index(best)], "y": best, "x": []}
    return {"instance": int(instance), "evals": evaluations[-1], "best": found}
