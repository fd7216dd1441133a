"""What a report shows without one label: clusters, neighbours before and after, measures by epoch, warnings in words.

Bounded by what `evaluation.clusters` selects: about 450 thumbnails in 70 rows, 1.5 MB of a page at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_pipeline.reporting.contact_sheets import Picture, row_of, source_of
from reid_pipeline.reporting.figures import epochs, label_free_curves
from reid_pipeline.reporting.formats import count, counted, percent
from reid_pipeline.reporting.page import Column, Table, charts
from reid_pipeline.schema.clusters import ClusterFacts, ContactSheet, Neighbours
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.records import EpochRecord

GROUPS = {
    "largest": ("The largest clusters", "Does each show one individual? A very large one often holds several."),
    "tightest": ("The tightest clusters", "Their images are nearest to one another; near-duplicates come first."),
    "loosest": ("The loosest clusters", "Their images differ most: here individuals are mixed up first."),
    "split": (
        "Clusters that split",
        "What the last epoch took for one individual, and the exported model for several.",
    ),
    "merged": (
        "Clusters that merged",
        "What the last epoch took for several individuals, and the exported model for one.",
    ),
}
"""Title and explanation of each reason to show a cluster, in reading order."""
_MOST_NOISE, _MOST_IN_ONE, _MOST_DOUBTFUL = 0.5, 0.5, 0.25
_LEAST_SILHOUETTE, _LEAST_BALANCE, _LEAST_STABILITY = 0.05, 0.2, 0.5


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
    noise = round((facts.noise_share or 0) * facts.images)
    cut = f", cut at a Jaccard distance of {facts.eps:.3g}" if facts.eps is not None else ""
    kind = f" ({facts.settings['kind']}{cut})" if "kind" in facts.settings else ""
    return (
        f"{counted(facts.images, 'training image')} in {counted(facts.clusters, 'cluster')}{kind};"
        f" {count(noise)} in none, {count(facts.doubtful)} doubtful."
    )


def cluster_warnings(facts: ClusterFacts, before: ClusterFacts | None = None) -> list[str]:
    """Return a sentence for each measure that says that the clusters are not to be trusted."""
    if not facts.images:
        return []
    if facts.clusters < 2:
        what = "No cluster was found" if not facts.clusters else "All images that joined a cluster joined the same one"
        return [
            f"{what}: the clusters say nothing. Too few images, or settings of the clustering that do not fit them."
        ]
    largest, noise = facts.largest_share or 0.0, facts.noise_share or 0.0
    doubtful, silhouette = facts.doubtful / facts.images, facts.silhouette or 0.0
    balance, stability = facts.camera_balance, facts.stability
    cases = {
        f"One cluster holds {percent(largest)} % of the images: most of them are taken for one individual.": (
            largest > _MOST_IN_ONE
        ),
        f"{percent(noise)} % of the images joined no cluster: the clusters speak of the others alone.": (
            noise > _MOST_NOISE
        ),
        f"The mean silhouette is {silhouette:.3f}: images are hardly nearer to their own cluster than to the next one."
        " The clusters may mean nothing.": silhouette < _LEAST_SILHOUETTE,
        f"{percent(doubtful)} % of the images are doubtful: look through them before the clusters are used.": (
            doubtful > _MOST_DOUBTFUL
        ),
        f"Clusters follow the cameras (balance {balance or 0:.2f}, 1 would be a mix as in the whole): one individual"
        " seen by two cameras is probably two clusters.": balance is not None and balance < _LEAST_BALANCE,
        f"The clusters are not those that the last epoch was trained with (adjusted Rand index {stability or 0:.2f}):"
        " another epoch may change them again.": stability is not None and stability < _LEAST_STABILITY,
        "By the silhouette the clusters are worse than those of zero_shot"
        f" ({silhouette:.3f}, from {before.silhouette or 0 if before else 0:.3f}): training has not helped here.": (
            _is_worse(facts, before)
        ),
    }
    return [sentence for sentence, holds in cases.items() if holds]


def _is_worse(facts: ClusterFacts, before: ClusterFacts | None) -> bool:
    """Return whether zero_shot's clusters, found by the same settings, have a greater silhouette."""
    if before is None or before.settings != facts.settings or None in (before.silhouette, facts.silhouette):
        return False
    return (before.silhouette or 0.0) > (facts.silhouette or 0.0)


def measures_table(facts: ClusterFacts, history: Sequence[EpochRecord]) -> Table:
    """Return the measures without labels: a row for each epoch that made clusters, and one for the exported model."""
    made = [(epoch, each) for epoch, each in zip(epochs(history), history, strict=True) if each.clusters is not None]
    rows = [(f"epoch {epoch:g}", each, each.clusters, each.largest_cluster) for epoch, each in made]
    rows.append(("exported model", facts, facts.clusters, facts.largest_share))

    def numbers(name: str) -> list[str]:
        values = [getattr(each, name, None) for _, each, *_ in rows]
        return ["" if value is None else f"{value:.3f}" for value in values]

    columns = [
        Column("", [title for title, *_ in rows], always=True),
        Column("Silhouette", numbers("silhouette")),
        Column("Stability", numbers("stability")),
        Column("Camera balance", numbers("camera_balance")),
        Column("Clusters", [count(clusters, "") for *_, clusters, _ in rows]),
        Column("Largest, %", [percent(share, "") for *_, share in rows]),
        Column("Noise, %", [percent(each.noise_share, "") for _, each, *_ in rows]),
    ]
    caption = (
        "Measures without labels. Of an epoch: of the clusters that it was trained with, found before it. Silhouette:"
        " on the Jaccard graph, mean over all images, noise counts 0. Stability: adjusted Rand index to the clusters of"
        " the epoch before. Camera balance: 0 if each cluster is of one camera, 1 if all mix them as the whole does."
    )
    return Table("measures without labels", columns, caption).without_empty_columns()


def clusters_text(facts: Sequence[ClusterFacts], names: Sequence[str]) -> str:
    """Return the measures of several runs' clusters for a terminal, and the warnings of the last."""
    columns = [
        Column("clusters of", names),
        Column("images", [count(each.images) for each in facts]),
        Column("clusters", [count(each.clusters) for each in facts]),
        Column("largest, %", [percent(each.largest_share, "") for each in facts]),
        Column("noise, %", [percent(each.noise_share, "") for each in facts]),
        Column("doubtful", [count(each.doubtful) for each in facts]),
        Column("silhouette", ["" if each.silhouette is None else f"{each.silhouette:.3f}" for each in facts]),
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
    if sheet.group == "split":
        return {"caption": f"A cluster of {images} before", "rows": rows}
    facts = "" if sheet.distance is None else f", mean distance {sheet.distance:.3f}, silhouette {sheet.silhouette:.3f}"
    return {"caption": f"Cluster {sheet.cluster}: {images}{facts}", "rows": rows}


def _part_title(sheet: ContactSheet, place: int) -> str:
    part = sheet.parts[place]
    if sheet.group == "split":
        return f"now cluster {part.cluster}: {counted(part.images, 'image')}"
    return f"before in a cluster of its own: {counted(part.images, 'image')}" if sheet.group == "merged" else ""


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
