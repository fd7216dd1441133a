"""What the nodes of a run need on a cluster: `resources.yml`, which `reid-pipeline launch` alone reads."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import Natural, PositiveInt


class NodeResources(Parameters):
    """What one node needs."""

    processes: PositiveInt = Field(1, description="processes that share its work: compute.processes, where above 1")
    cores: PositiveInt = Field(4, description="of each process")
    memory: float = Field(16.0, gt=0, description="of all processes, in GiB")
    gpus: Natural = Field(0, description="of all processes")
    hours: float = Field(0.25, gt=0, description="after which it has ended")

    @property
    def all_cores(self) -> int:
        """Cores of all processes."""
        return self.processes * self.cores

    @property
    def mebibytes(self) -> int:
        """Memory in MiB, rounded up."""
        return math.ceil(1024 * self.memory)

    @property
    def minutes(self) -> int:
        """Time in minutes, rounded up."""
        return math.ceil(60 * self.hours)


class SlurmParameters(Parameters):
    """What a cluster wants beside the resources."""

    options: tuple[str, ...] = Field((), description='options of sbatch for all jobs, such as "--partition=gpu"')
    setup: tuple[str, ...] = Field((), description='shell lines before each run, such as "module load cuda"')

    @model_validator(mode="after")
    def _one_line_each(self) -> Self:
        for line in (*self.options, *self.setup):
            if not line.isprintable() or not line.strip():
                raise ValueError(f"{line!r} is no line: give each option and each line of the shell as one of the list")
        for option in self.options:
            if not option.startswith("--"):
                raise ValueError(f"{option!r} is no option of sbatch: write it whole, such as --partition=gpu")
        return self


class Resources(Parameters):
    """Resources by node, and what a scheduler is given."""

    default: NodeResources = NodeResources()
    nodes: dict[str, NodeResources] = Field(
        default_factory=dict, description="by a node's own name, or how it begins: train; the rest as in default"
    )
    slurm: SlurmParameters = SlurmParameters()

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, values: Any) -> Any:
        """Lay each node's block over the default."""
        default = values.get("default") if isinstance(values, dict) else None
        nodes = values.get("nodes") if isinstance(values, dict) else None
        if not isinstance(default, Mapping) or not isinstance(nodes, Mapping):
            return values
        whole = {name: merged(default, own) if isinstance(own, Mapping) else own for name, own in nodes.items()}
        return {**values, "nodes": whole}

    def of_node(self, name: str) -> NodeResources:
        """Return what a node needs, by its own name or the longest key that it begins with; else the default."""
        found = [key for key in self.nodes if fits(key, name)]
        return self.nodes[max(found, key=len)] if found else self.default

    def of_job(self, nodes: Iterable[str]) -> NodeResources:
        """Return what a job needs that runs nodes one after the other: the most of each, and the hours of all."""
        each = [self.of_node(name) for name in nodes] or [self.default]
        largest = max(each, key=lambda node: node.processes)
        return NodeResources(
            processes=largest.processes,
            cores=math.ceil(max(node.all_cores for node in each) / largest.processes),
            memory=max(node.memory for node in each),
            gpus=max(node.gpus for node in each),
            hours=sum(node.hours for node in each),
        )


def fits(key: str, node: str) -> bool:
    """Return whether a key of `nodes` means a node: its name without the namespace, or that name's first words."""
    own = node.rpartition(".")[2]
    return own == key or own.startswith(f"{key}_")
