"""The table of bench/million.py: figures of all sizes, and how they grow."""

from typing import Any

from measures import exponent

KINDS = ("dbscan", "communities")


def table(runs: dict[int, dict[str, Any]], floors: list[dict[str, Any]], width: int) -> str:
    """Return the figures of all sizes, and how they grow."""
    largest = max(runs)
    mean = sum(each["seconds"] for each in floors) / len(floors)
    lines = [
        f"faiss.knn of 30, {largest:,} x {width}: " + " and ".join(f"{each['seconds']:,.0f} s" for each in floors),
        "| rows | search s | similarity s | kind | clusters s | all s | x faiss | peak GB | clusters, median, largest |"
        " noise | ARI |",
        "|---:|---:|---:|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for rows, run in runs.items():
        for kind in KINDS:
            of = run[kind]
            whole = run["graph"] + of["seconds"]
            ratio = f"{whole / mean:.2f}" if rows == largest and not run["went_on"] else ""
            lines.append(
                f"| {rows:,} | {run['search']:,.1f}{' (part)' if run['went_on'] else ''} |"
                f" {run['graph'] - run['search']:,.1f} | {kind} | {of['seconds']:,.1f} | {whole:,.1f} | {ratio} |"
                f" {of['peak']:.2f} | {of['clusters']:,}, {of['sizes'][2]:g}, {of['sizes'][-1]:g} | {of['noise']:.2%} |"
                f" {of['ari']:.3f} |"
            )
    lines += [
        f"{rows:,} rows: {run['features']:.2f} GB of features; a row is among the candidates of (median, 99 %, most)"
        f" {', '.join(f'{value:g}' for value in run['listed'])} rows, and similar to"
        f" {', '.join(f'{value:g}' for value in run['similar'])}"
        for rows, run in runs.items()
    ]
    return "\n".join([*lines, *growth(runs)])


def growth(runs: dict[int, dict[str, Any]]) -> list[str]:
    """Say with which power of the rows seconds and memory grow."""
    sizes = list(runs)
    parts: dict[str, list[float]] = {
        "search": [run["search"] for run in runs.values()],
        "similarity": [run["graph"] - run["search"] for run in runs.values()],
        "memory beside the features": [run["communities"]["peak"] - run["before"] for run in runs.values()],
    }
    parts |= {f"clusters of {kind}": [run[kind]["seconds"] for run in runs.values()] for kind in KINDS}
    return [f"{name}: rows^{exponent(sizes, [max(v, 1e-3) for v in values]):.2f}" for name, values in parts.items()]
