"""Jobs as a script of the shell that hands them to Slurm's sbatch, which prints each one's number for the next."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reid_pipeline.schema.resources import NodeResources, SlurmParameters

LOGS = "data/.slurm"
_SIGNAL_SECONDS = 120
"""Before the end of its time a run gets SIGTERM, and has so long to say after which epoch the next one goes on."""


@dataclass(frozen=True)
class Job:
    """Runs of the same kind, side by side: one, or an array of them.

    Attributes:
        name: a word of letters, digits and underscores.
        runs: the words of each run's command.
        needs: what each run is given.
        after: jobs of which each run must have ended well before these begin.
        once_ended: jobs that must have ended, well or not.
    """

    name: str
    runs: Sequence[Sequence[str]]
    needs: NodeResources
    after: tuple[str, ...] = ()
    once_ended: tuple[str, ...] = ()


def script_of(
    jobs: Sequence[Job], slurm: SlurmParameters, *, title: str, project: Path, programs: Path, again: str
) -> str:
    """Return the script.

    Args:
        jobs: in their order; a job comes after those that it waits for.
        slurm: what the cluster wants.
        title: what the jobs are for, in a line.
        project: the folder that the runs are in, the same on all machines.
        programs: the folder of the environment's commands.
        again: the command that writes this script.
    """
    quoted = shlex.quote(str(project))
    lines = [
        "#!/usr/bin/env bash",
        f"# {title}",
        f"# Written by: {again}",
        "set -euo pipefail",
        f"cd {quoted}",
        f"mkdir -p {LOGS}",
    ]
    for job in jobs:
        lines += ["", *_submitted(job, slurm, title, programs)]
    return "\n".join([*lines, f'echo "Their logs are in {LOGS}; squeue --me lists them."', ""])


def _submitted(job: Job, slurm: SlurmParameters, title: str, programs: Path) -> Iterator[str]:
    """Yield the lines that submit a job and note its number; `--parsable` may print a cluster's name behind it."""
    yield f"{job.name}=$(sbatch {' '.join(_options(job, slurm, title))} <<'END_OF_JOB'"
    yield from _body(job, slurm, programs)
    yield "END_OF_JOB"
    yield ")"
    yield f"{job.name}=${{{job.name}%%;*}}"
    yield f'echo "{job.name}: job ${job.name}, {len(job.runs)} {"run" if len(job.runs) == 1 else "runs"}"'


def _options(job: Job, slurm: SlurmParameters, title: str) -> Iterator[str]:
    needs, many = job.needs, len(job.runs) > 1
    yield "--parsable"
    yield f"--job-name={job.name}"
    yield f"--comment={shlex.quote(title)}"
    yield f"--output={LOGS}/%x-{'%A_%a' if many else '%j'}.log"
    if many:
        yield f"--array=0-{len(job.runs) - 1}"
    yield "--ntasks=1"
    yield f"--cpus-per-task={needs.all_cores}"
    yield f"--mem={needs.mebibytes}M"
    if needs.gpus:
        yield f"--gres=gpu:{needs.gpus}"
    yield f"--time={needs.minutes // 60}:{needs.minutes % 60:02}:00"
    yield f"--signal=TERM@{_SIGNAL_SECONDS}"
    waits = [("afterok", job.after), ("afterany", job.once_ended)]
    if listed := ",".join(f"{kind}:${name}" for kind, names in waits for name in names):
        yield f'--dependency="{listed}" --kill-on-invalid-dep=yes'
    yield from map(shlex.quote, slurm.options)


def _body(job: Job, slurm: SlurmParameters, programs: Path) -> Iterator[str]:
    """Yield the lines of what Slurm runs; of an array each task is one run."""
    yield "#!/usr/bin/env bash"
    yield "set -euo pipefail"
    yield f'export PATH={shlex.quote(str(programs))}:"$PATH"'
    yield f"export OMP_NUM_THREADS={job.needs.cores} SRUN_CPUS_PER_TASK={job.needs.all_cores}"
    yield from slurm.setup
    if len(job.runs) == 1:
        yield f"srun {shlex.join(job.runs[0])}"
        return
    yield 'case "$SLURM_ARRAY_TASK_ID" in'
    for number, words in enumerate(job.runs):
        yield f"  ({number}) srun {shlex.join(words)} ;;"
    yield f'  (*) echo "There is no run $SLURM_ARRAY_TASK_ID: they are 0 to {len(job.runs) - 1}." >&2; exit 2 ;;'
    yield "esac"
