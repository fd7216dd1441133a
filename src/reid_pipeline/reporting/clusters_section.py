"""What a report shows without one label: clusters, neighbours before and after, measures by epoch, warnings in words.

Bounded by what `evaluation.clusters` selects: about 450 thumbnails in 70 rows, 0.8 MB of a page at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_pipeline.reporting.contact_sheets import Picture, row_of, source_of
from reid_pipeline.reporting.figures import epochs, label_free_curves
from reid_pipeline.reporting.formats import count, counted, percent
from reid_pipeline.reporting.guard_notes import is_dominated, weak_notes
from reid_pipeline.reporting.page import Column, Table, charts
from reid_pipeline.schema.clusters import ClusterFacts, ContactSheet, Neighbours
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.records import EpochRecord, LabelFigures

GROUPS = {
    "largest": ("The largest clusters", "Does each show one individual? A very large one often holds several."),
    "tightest": ("The tightest clusters", "Their images are nearest to one another; near-duplicates come first."),
    "loosest": ("The loosest clusters", "Their images differ most: here individuals are mixed up first."),
    "split": ("Clusters that split", "One cluster by the clustering before the last of training, several by the last."),
    "merged": (
        "Clusters that merged",
        "Several clusters by the clustering before the last of training, one by the last.",
    ),
}
"""Title and explanation of each reason to show a cluster, in reading order."""
_MOST_DOUBTFUL, _LEAST_BALANCE, _LEAST_STABILITY = 0.25, 0.2, 0.5
"""Shares and scores beyond which a warning is given, beside those of `guard_notes`."""


@dataclass(frozen=True)
class ClusterContent:
    """The clusters that a page shows.

    Attributes:
        facts: of the run.
        before: of the zero_shot that it is compared with, if any; both show the neighbours of the same images.
        pictures: thumbnails by path, of all that the two show.
        folder: where clusters.csv and clusters.parquet lie, as seen from the page.
    """

    facts: ClusterFacts
    before: ClusterFacts | None
    pictures: Mapping[str, Picture]
    folder: str


def clusters_section(content: ClusterContent, history: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return the values of `clusters.html.j2`."""
    facts = content.facts
    curve = label_free_curves(history)
    return {
        "summary": summary(facts),
        "warnings": cluster_warnings(facts, content.before),
        "folder": content.folder,
        "curves": charts({"label_free": curve} if curve.data else {}),
        "measures": measures_table(facts, history),
        "groups": [group for name in GROUPS if (group := _group(name, content))["sheets"]],
        "neighbours": list(_neighbours(content)),
    }


def summary(facts: ClusterFacts) -> str:
    """Return in one sentence what was found."""
    if not facts.images:
        return "There are no training images, and so no clusters."
    figures = facts.figures
    cut = f", cut at a Jaccard distance of {figures.eps:.3g}" if figures.eps is not None else ""
    kind = f" ({facts.settings['kind']}{cut})" if "kind" in facts.settings else ""
    return (
        f"{counted(facts.images, 'training image')} in {counted(figures.clusters or 0, 'cluster')}{kind};"
        f" {count(_noise(facts))} in none, {count(facts.doubtful)} doubtful."
    )


def _noise(facts: ClusterFacts) -> int:
    return round((facts.figures.noise_share or 0) * facts.images)


def cluster_warnings(facts: ClusterFacts, before: ClusterFacts | None = None) -> list[str]:
    """Return a sentence for each figure that says that the clusters are not to be trusted."""
    figures = facts.figures
    if not facts.images:
        return []
    if (figures.clusters or 0) < 2:
        what = "All images that joined a cluster joined the same one" if figures.clusters else "No cluster was found"
        return [f"{what}: the clusters say nothing. There are too few images, or the clustering does not fit them."]
    largest, doubtful = figures.largest_cluster or 0.0, facts.doubtful / facts.images
    balance, stability = figures.camera_balance, figures.stability
    cases = {
        f"One cluster holds {percent(largest)} % of the images: most of them are taken for one individual.": (
            is_dominated(figures)
        ),
        f"{percent(doubtful)} % of the images are doubtful: look through them before the clusters are used.": (
            doubtful > _MOST_DOUBTFUL
        ),
        f"Clusters follow the cameras (balance {balance or 0:.2f}, 1 would be a mix as in the whole): one individual"
        " seen by two cameras is probably two clusters.": balance is not None and balance < _LEAST_BALANCE,
        f"The clusters changed much in the last epoch of training (adjusted Rand index {stability or 0:.2f}): another"
        " epoch may change them again.": stability is not None and stability < _LEAST_STABILITY,
        **_comparison(facts, before),
    }
    return [*weak_notes(figures), *(sentence for sentence, holds in cases.items() if holds)]


def _comparison(facts: ClusterFacts, before: ClusterFacts | None) -> dict[str, bool]:
    """Return a sentence on zero_shot's clusters, and whether these, found by the same settings, are better."""
    if before is None or before.settings != facts.settings:
        return {}
    ours, theirs = facts.figures.cluster_quality, before.figures.cluster_quality
    if ours is None or theirs is None:
        return {}
    sentence = (
        f"The cluster quality is below that of zero_shot ({ours:.2f}, from {theirs:.2f}): training has not helped."
    )
    return {sentence: round(ours, 2) < round(theirs, 2)}  # the same model, read from a file, may differ in rounding


def measures_table(facts: ClusterFacts, history: Sequence[EpochRecord]) -> Table:
    """Return the measures without labels: a row for each epoch that made clusters, and one for the exported model."""
    made: list[tuple[str, LabelFigures]] = [
        (f"epoch {epoch:g}", each)
        for epoch, each in zip(epochs(history), history, strict=True)
        if each.clusters is not None
    ]
    last = history[-1].after if history else None
    rows = [*made, *([] if last is None else [("after the last epoch", last)]), ("exported model", facts.figures)]

    def decimals(name: str) -> list[str]:
        values = [getattr(each, name) for _, each in rows]
        return ["" if value is None else f"{value:.3f}" for value in values]

    columns = [
        Column("Clusters of", [title for title, _ in rows], always=True),
        Column("Cluster quality", decimals("cluster_quality")),
        Column("Silhouette", decimals("silhouette")),
        Column("Stability", decimals("stability")),
        Column("Camera balance", decimals("camera_balance")),
        Column("Clusters", [count(each.clusters, "") for _, each in rows]),
        Column("Largest, %", [percent(each.largest_cluster, "") for _, each in rows]),
        Column("Noise, %", [percent(each.noise_share, "") for _, each in rows]),
    ]
    caption = (
        "Measures without labels. Those of an epoch are of the clusters that it was trained with, found before it."
        " Silhouette: on the Jaccard graph, mean over all images, noise counts 0. Cluster quality: the silhouette times"
        " the modularity of clusters found in one way for every training. Stability: adjusted Rand index to the"
        " clusters before, of the exported model between the last two of training. Camera balance: 0 if each cluster"
        " is of one camera, 1 if all mix them as the whole does."
    )
    return Table("measures without labels", columns, caption).without_empty_columns()


def clusters_text(facts: Sequence[ClusterFacts], names: Sequence[str]) -> str:
    """Return the figures of several runs' clusters for a terminal, and the warnings of the last."""
    figures = [each.figures for each in facts]
    columns = [
        Column("clusters of", names),
        Column("images", [count(each.images) for each in facts]),
        Column("clusters", [count(each.clusters or 0) for each in figures]),
        Column("largest, %", [percent(each.largest_cluster, "") for each in figures]),
        Column("noise, %", [percent(each.noise_share, "") for each in figures]),
        Column("doubtful", [count(each.doubtful) for each in facts]),
        Column(
            "cluster quality",
            ["" if each.cluster_quality is None else f"{each.cluster_quality:.2f}" for each in figures],
        ),
    ]
    before = facts[0] if len(facts) > 1 else None
    return "\n".join([*Table("clusters", columns).text(), *cluster_warnings(facts[-1], before)])


def _group(name: str, content: ClusterContent) -> dict[str, Any]:
    title, explanation = GROUPS[name]
    sheets = [_sheet(each, content.pictures) for each in content.facts.sheets if each.group == name]
    return {"id": f"clusters-{name}", "title": title, "explanation": explanation, "sheets": sheets}


def _sheet(sheet: ContactSheet, pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """Return caption and rows of a cluster."""
    rows = [
        {
            "title": _part_title(sheet, place),
            "source": source_of(row_of([pictures[path] for path in part.paths])),
            "alt": f"{counted(len(part.paths), 'image')}: {', '.join(part.paths)}",
        }
        for place, part in enumerate(sheet.parts)
    ]
    images = counted(sheet.images, "image")
    if sheet.distance is None:
        return {"caption": f"{images} in one cluster {'before' if sheet.group == 'split' else 'now'}", "rows": rows}
    facts = f"{images}, mean distance {sheet.distance:.3f}, silhouette {sheet.silhouette:.3f}"
    return {"caption": f"Cluster {sheet.parts[0].cluster}: {facts}", "rows": rows}


def _part_title(sheet: ContactSheet, place: int) -> str:
    part = sheet.parts[place]
    if sheet.distance is not None:
        return ""
    mostly = "in no cluster" if part.cluster < 0 else f"in cluster {part.cluster}"
    when = "now" if sheet.group == "split" else "before"
    return f"{when} together: {counted(part.images, 'image')}, most of them {mostly} of clusters.csv"


def _neighbours(content: ClusterContent) -> Iterator[dict[str, Any]]:
    """Yield each sampled image with its neighbours: of zero_shot, where that is known, and of the run."""
    name = content.facts.method
    sides = (
        [(name, content.facts)] if content.before is None else [("zero_shot", content.before), (name, content.facts)]
    )
    found = [(title, {each.path: each for each in facts.neighbours}) for title, facts in sides]
    for own in content.facts.neighbours:
        rows = [
            _neighbour_row(title, by_path[own.path], content.pictures)
            for title, by_path in found
            if own.path in by_path
        ]
        yield {"caption": own.path, "rows": rows}


def _neighbour_row(title: str, listed: Neighbours, pictures: Mapping[str, Picture]) -> dict[str, str]:
    together = sum(listed.together)
    return {
        "title": f"{title}: {together} of {len(listed.together)} in the same cluster",
        "source": source_of(row_of([pictures[path] for path in (listed.path, *listed.nearest)], asked=True)),
        "alt": f"{listed.path}, and the images nearest to it: {first_few(listed.nearest, len(listed.nearest))}",
    }
