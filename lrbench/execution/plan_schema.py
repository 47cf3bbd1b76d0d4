"""What `lrbench plan --json` prints: a schema that says of every key what it is; docs/command-line.md lists them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lrbench.execution.json_record import SCHEMA_VERSION, Count, JsonRecord, Seconds

Share = Annotated[float, Field(ge=0, allow_inf_nan=False, json_schema_extra={"unit": "share"})]
Bytes = Annotated[float, Field(ge=0, allow_inf_nan=False, json_schema_extra={"unit": "bytes"})]


class StagePlan(JsonRecord):
    """A stage that is chosen from what is trained before it."""

    stage: str = Field(description="the name of its record in `stages/`")
    runs: Count = Field(description="the largest number of runs that it may train")
    lines: Count = Field(description="its lines")
    rates: Count = Field(description="the largest number of rates of a line")
    seeds: Count = Field(description="its seeds")


class ProgramPlan(JsonRecord):
    """A program: all runs that are compiled as one."""

    program: Count = Field(description="its number")
    problem: str = Field(description="the name of its problem")
    optimizer: str = Field(description="the name of its optimizer, with what is compiled into the program")
    runs: Count = Field(description="how many runs it trains")
    packs: Count = Field(description="how many packs these are")
    parameters: Count = Field(description="the parameters of the model of one run")
    bytes_per_lane: Bytes = Field(description="the memory of one run while it is trained")
    lanes_per_pack: Count = Field(
        description="the largest number of runs in a pack; 0 if the user's code raises"
    )
    bytes_per_pack: Bytes = Field(description="the memory of the runs of such a pack")
    lanes_per_chunk: Count = Field(description="how many runs are vmapped together")
    chunk_chosen: str = Field(description="how that number was chosen")
    form: str = Field(description="in which form the program is compiled")
    options: str = Field(description="the options of the compiler that are not its defaults")
    compile_seconds: Seconds | None = Field(
        description="the time to compile it, once; null with `--for`, where times are not known"
    )
    train_seconds: Seconds | None = Field(description="the time to train its runs; null with `--for`")
    measured: bool = Field(
        description="whether the times were measured on this machine, or else estimated from counts"
    )


class ProbePlan(JsonRecord):
    """What the probes of a problem cost, where that is more than a step at each evaluation."""

    problem: str = Field(description="the label of the problem")
    gradients: dict[str, float] = Field(
        description="the cost of each probe at an evaluation, in gradients of a minibatch"
    )
    evaluations: Count = Field(description="the evaluations of a run")
    share: Share = Field(description="the cost of all probes divided by that of training")


class NodePlan(JsonRecord):
    """The work of one node."""

    node: Count = Field(description="its number, from 1; for a shard, from 0")
    packs: Count = Field(description="its packs")
    programs: Count = Field(description="the programs that it compiles")
    compile_seconds: Seconds = Field(description="the time it spends compiling")
    train_seconds: Seconds = Field(description="the time it spends training")


class DistributionPlan(JsonRecord):
    """How a launcher would distribute the packs over nodes like this one, or `--shard` the runs."""

    launcher: str = Field(description="the launcher; `local` for shards")
    nodes: Count = Field(description="how many nodes there are")
    packs: Count = Field(description="how many packs they share")
    seconds: Seconds = Field(description="the time of the busiest node")
    balance: Share = Field(description="the mean time of the nodes divided by that of the busiest")
    training: Share = Field(description="the share of the nodes' time that is training")
    busiest_first: tuple[NodePlan, ...] = Field(description="the nodes that have work")


class Plan(JsonRecord):
    """What a study would cost."""

    schema_version: int = Field(SCHEMA_VERSION, description="raised when a key changes its meaning")
    study: str = Field(description="the name of the study")
    runs: Count = Field(description="the runs of its grid, or of its search for the range of rates")
    most_runs: Count = Field(
        description="the largest number of runs of all stages, without those of `shorter`"
    )
    axes: dict[str, int] = Field(description="the size of each axis of the grid")
    least_steps: Count = Field(description="the steps of a run; with `budget`, those of the shortest")
    most_steps: Count = Field(description="the steps of the longest run")
    evaluations: Count = Field(description="the evaluations of a run")
    stages: tuple[StagePlan, ...] = Field(description="the stages that are chosen later")
    shorter_runs: Count = Field(description="the largest number of runs of the stage `shorter`")
    notes: tuple[str, ...] = Field(description="notes on the user's data")
    devices: Count = Field(description="how many devices train")
    device_kinds: tuple[str, ...] = Field(description="their kinds; with `--for`, the name that was given")
    device_bytes: Bytes | None = Field(
        description="with `--for`, the memory that JAX may use of each; else null"
    )
    programs: tuple[ProgramPlan, ...] = Field(description="the programs of the grid")
    compile_seconds: Seconds | None = Field(
        description="the time to compile all programs, once per machine; null with `--for`"
    )
    train_seconds: Seconds | None = Field(description="the time to train all runs; null with `--for`")
    probes: tuple[ProbePlan, ...] = Field(description="the problems whose probes cost more than a step")
    distribution: DistributionPlan | None = Field(
        description="what each node would do; null if neither `--launcher` nor `--nodes` is given"
    )
