"""What has changed between two runs of a method: in the figures, and in what they came from."""

from collections.abc import Sequence

from reid_pipeline.reporting.run_groups import run_facts
from reid_pipeline.reporting.tables import UNMEASURED, markdown_table
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.records import Metrics, Run

_CODE = ("reid_pipeline", "git_commit", "git_dirty", "python", "label_use", "weights")


def changes_markdown(earlier: Run, present: Run) -> str:
    """Return both runs' figures, their difference, and every fact of data, parameters or code that differs.

    Args:
        earlier: the first run.
        present: the second.
    """
    metrics = [_labelled(earlier, "earlier"), _labelled(present, "present")]
    facts = _differing(earlier, present)
    rows = [f"| {name} | {before} | {after} |" for name, before, after in facts]
    started = f"| started | {earlier.run_card.started} | {present.run_card.started} |"
    table = ["| | earlier | present |", "| --- | --- | --- |", started, *rows]
    heading = "What differs:" if facts else "Nothing else differs."
    return "\n".join([markdown_table(metrics), "", heading, "", *table, ""])


def _labelled(run: Run, word: str) -> Metrics:
    name = f"{run_name(run.method, run.variant)}, {word}"
    return run.metrics.model_copy(update={"method": name, "variant": ""})


def _differing(earlier: Run, present: Run) -> Sequence[tuple[str, str, str]]:
    both = []
    for run in (earlier, present):
        code = {name: _said(getattr(run.run_card, name)) for name in _CODE}
        packages = {f"packages.{name}": str(version) for name, version in run.run_card.packages.items()}
        both.append({**run_facts(run), **code, **packages})
    names = dict.fromkeys([*both[0], *both[1]])
    pairs = [(name, *(facts.get(name, UNMEASURED).replace("|", "\\|") for facts in both)) for name in names]
    return [(name, before, after) for name, before, after in pairs if before != after]


def _said(value: object) -> str:
    return UNMEASURED if value is None else str(value)
