"""What has changed between two runs of a method: in the figures, and in what they came from."""

from collections.abc import Sequence

from reid_pipeline.reporting.records import Record
from reid_pipeline.reporting.run_groups import run_facts
from reid_pipeline.reporting.tables import UNMEASURED, markdown_table

_CODE = ("reid_pipeline", "git_commit", "git_dirty", "python")


def changes_markdown(earlier: Record, present: Record) -> str:
    """Return both runs' figures, their difference, and every fact of data, parameters and code that differs.

    Args:
        earlier: the first run's `metrics` and `run_card`.
        present: the second's.
    """
    metrics = [
        {**run["metrics"], "method": f"{run['metrics']['method']}, {word}"}
        for word, run in (("earlier", earlier), ("present", present))
    ]
    runs = [str(run["run_card"].get("started", UNMEASURED)) for run in (earlier, present)]
    facts = _differing(earlier, present)
    rows = [f"| {name} | {before} | {after} |" for name, before, after in facts]
    table = ["| | earlier | present |", "| --- | --- | --- |", f"| started | {' | '.join(runs)} |", *rows]
    heading = "What differs:" if facts else "Nothing else differs."
    return "\n".join([markdown_table(metrics), "", heading, "", *table, ""])


def _differing(earlier: Record, present: Record) -> Sequence[tuple[str, str, str]]:
    both = []
    for run in (earlier, present):
        card = run["run_card"]
        code = {name: str(card.get(name)) for name in _CODE}
        packages = {f"packages.{name}": str(version) for name, version in card.get("packages", {}).items()}
        both.append({**run_facts(run), **code, **packages})
    names = dict.fromkeys([*both[0], *both[1]])
    pairs = [(name, *(facts.get(name, UNMEASURED).replace("|", "\\|") for facts in both)) for name in names]
    return [(name, before, after) for name, before, after in pairs if before != after]
