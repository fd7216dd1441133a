"""The report of a run: one HTML page, pictures inside; plotly.js, which draws its figures, lies beside the pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reid_pipeline.reporting.before_after import before_and_after, comparison_rows, difference_notes
from reid_pipeline.reporting.clusters_section import ClusterContent, clusters_section
from reid_pipeline.reporting.explained_section import ExplainedContent, explained_section
from reid_pipeline.reporting.figures import cmc_curves, epochs, training_curves
from reid_pipeline.reporting.formats import (
    LABELS,
    METRICS,
    UNMEASURED,
    count,
    decimals,
    exact_duration,
    percent,
    run_name,
)
from reid_pipeline.reporting.guard_notes import dominated_notes, exported_model, exported_notes, label_warnings
from reid_pipeline.reporting.open_set_section import open_set_section
from reid_pipeline.reporting.page import Column, Headline, Table, charts, flattened, rendered
from reid_pipeline.reporting.rank_lists import RankedQuery, ranked_list
from reid_pipeline.reporting.untested import HOW_TO_TEST, is_untested, why_untested
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.origin import LabelUse
from reid_pipeline.schema.records import Breakdown, Differences, EpochRecord, Metrics, RunCard
from reid_pipeline.schema.sample import caution, in_words

_LABEL_SENTENCES: dict[LabelUse | None, str] = {
    "source": "Training used the identity labels of the source it started from, and none of this benchmark.",
    "partial": "Training used the identity labels of some training images.",
    "all": "Training used the identity labels of all training images.",
    None: "This run did not record whether training used identity labels.",
}
_HEADLINES = ("mAP", "rank1", "mINP")
_SHORT = 12
_IDENTITIES = 10


@dataclass(frozen=True)
class ReportContent:
    """What the page shows.

    Attributes:
        metrics: results measured in this run, "before" first, this run's last.
        history: empty for a method that does not train.
        differences: to the zero_shot that comes "before"; None where it is not known.
        bad_queries, good_queries: ranked lists, worst or best first.
        description: one sentence on the method.
        clusters: of the training images.
        explanations: what is drawn of the model's space, and of where it looks.
    """

    benchmark: str
    method: str
    seed: int
    metrics: Sequence[Metrics]
    run_card: RunCard
    history: Sequence[EpochRecord] = ()
    breakdown: Breakdown | None = None
    differences: Differences | None = None
    bad_queries: Sequence[RankedQuery] = ()
    good_queries: Sequence[RankedQuery] = ()
    description: str = ""
    clusters: ClusterContent | None = None
    explanations: ExplainedContent | None = None

    @property
    def result(self) -> Metrics:
        """The metrics of this run."""
        own = [each for each in self.metrics if each.method == self.method]
        return (own or list(self.metrics))[-1]


def render_report(content: ReportContent) -> str:
    """Return the page's HTML source, about half a megabyte. The same content gives the same page.

    Raises:
        ValueError: no metrics.
    """
    if not content.metrics:
        raise ValueError("a report needs at least one result; got metrics=[]")
    curve = cmc_curves(content.metrics)
    differences = [content.differences] if content.differences else []
    label_use = content.result.label_use or content.run_card.label_use
    other = content.differences.other if content.differences else content.run_card.zero_shot
    usual = f"{content.run_card.benchmark}/{ZERO_SHOT}/seed_{content.run_card.seed}"
    sentence = f"The zero_shot that it is compared with is that of {other}."
    untested = _untested(content)
    queries = {"bad": content.bad_queries, "good": content.good_queries}
    return rendered(
        "report.html.j2",
        content=content,
        name=run_name(content.method, content.result.variant),
        benchmark=in_words(content.benchmark),
        caution=caution(content.benchmark),
        labels=_label_sentence(label_use, trains=bool(content.history), tested=not untested),
        compared=[sentence] if other and other != usual else [],
        table=before_and_after(comparison_rows(content.metrics, differences)),
        notes=[*difference_notes(content.metrics, differences), *_cluster_notes(content.history)],
        headlines=[] if untested else _headlines(content),
        untested=untested,
        clusters=clusters_section(content.clusters, content.history) if content.clusters else None,
        facts=_facts(content.run_card),
        cmc=charts({"cmc": curve} if curve.data else {}),
        curves=charts(training_curves(content.history)),
        epoch_table=_epoch_table(content.history),
        open_set=open_set_section(content.metrics, content.breakdown.open_set if content.breakdown else None),
        breakdown=breakdown_tables(content.breakdown),
        explained=explained_section(content.explanations) if content.explanations else None,
        ranked={name: [ranked_list(each) for each in ranked] for name, ranked in queries.items() if ranked},
        run_card=flattened(content.run_card.content()),
    )


def _untested(content: ReportContent) -> list[str]:
    """Return why nothing was tested, what stands here instead, and how to test; empty where something was."""
    if not is_untested(content.result):
        return []
    shown = "the clusters of the training images, neighbours before and after, and measures that need no labels"
    instead = [f"This page shows instead what can be judged without: {shown}."] if content.clusters else []
    return [why_untested(content.run_card), *instead, HOW_TO_TEST, *_cluster_notes(content.history)]


def _label_sentence(label_use: LabelUse | None, *, trains: bool, tested: bool) -> tuple[str, str]:
    """Return whose identity labels training used, in two parts, of which the first is to be stressed."""
    if label_use != "none":
        return "", _LABEL_SENTENCES[label_use]
    if not tested:
        return f"No labels were used{' in training' if trains else ''}.", ""
    diagnostics = " and, where shown, for diagnostics" if trains else ""
    stressed = f"No labels were used{' in training' if trains else ''}"
    return stressed, f": true identities were read only to score the results{diagnostics}."


def _headlines(content: ReportContent) -> list[Headline]:
    """Return mAP, Rank-1 and mINP of this run's method, each with what it was before (first test set)."""
    before, after = (each.model_copy(update={"test_sets": {}}) for each in (content.metrics[0], content.result))
    cards = [Headline(METRICS[name], percent(after.value(name))) for name in _HEADLINES]
    first, *_, last = comparison_rows([before, after], [content.differences] if content.differences else [])
    if content.metrics[0] is content.result or not last.is_difference:
        return cards
    places = [list(METRICS).index(name) for name in _HEADLINES]
    return [
        card._replace(note=f"points from {first.cells[i]}", gain=last.cells[i], uncertain=last.uncertain[i])
        for card, i in zip(cards, places, strict=True)
    ]


def _facts(card: RunCard) -> list[tuple[str, str]]:
    """Return the few facts of the run card that belong at the top."""
    commit = (card.git_commit or "")[:_SHORT]
    facts = {
        "Labels": LABELS[card.label_use],
        "Started from": card.init_from or "",
        "Exported": _exported(card),
        "Device": card.device,
        "Precision": card.precision,
        "Wall time": exact_duration(card.wall_seconds),
        "Peak memory": f"{card.peak_memory_bytes / 2**30:.2f} GiB",
        "Commit": f"{commit}{' with uncommitted changes' if commit and card.git_dirty else ''}",
        "Data": card.data_hash[:_SHORT],
    }
    return [(name, value) for name, value in facts.items() if value]


def _exported(card: RunCard) -> str:
    if card.exported is None:
        return ""
    epoch = card.exported.epoch
    return f"model after epoch {epoch} of {card.exported.epochs}" if epoch else "encoder before training"


def _measured_images(history: Sequence[EpochRecord]) -> str:
    """Return how the agreement was measured: where not all images have an identity, over those that have one."""
    known = next((each.ground_truth_images for each in history if each.ground_truth_images is not None), None)
    if known is None:
        return "never used in training"
    return f"over the {known:,} images whose identity is known, of clusters as found, before anything known fixes them"


def _epoch_table(history: Sequence[EpochRecord]) -> Table:
    """Return the numbers behind the curves: a row for each epoch."""
    truths = [record.ground_truth for record in history]
    seconds = [record.seconds.get("epoch") for record in history]
    columns = [
        Column("Epoch", [f"{epoch:g}" for epoch in epochs(history)]),
        Column("Learning rate", [f"{record.learning_rate:.3g}" for record in history]),
        Column("Loss", [f"{record.loss:.4f}" for record in history]),
        Column("Clusters", [count(record.clusters) for record in history]),
        Column("Clustered in epoch", [count(record.clustered_in) for record in history]),
        Column("Embedded anew, %", [percent(record.embedded_share) for record in history]),
        Column("Noise, %", [percent(record.noise_share) for record in history]),
        Column("Largest cluster, %", [percent(record.largest_cluster) for record in history]),
        Column("Cluster quality", [decimals(record.cluster_quality) for record in history]),
        Column("ARI", [decimals(truth.ari if truth else None) for truth in truths]),
        Column("NMI", [decimals(truth.nmi if truth else None) for truth in truths]),
        Column("Seconds", [UNMEASURED if each is None else f"{each:.1f}" for each in seconds]),
    ]
    caption = f"One row per epoch. ARI and NMI: diagnostics only, {_measured_images(history)}."
    return Table("numbers of each epoch", columns, caption).without_empty_columns(UNMEASURED)


def _cluster_notes(history: Sequence[EpochRecord]) -> list[str]:
    """Return which model is exported and why, and warnings of pseudo labels."""
    exported = exported_model(history)
    notes = label_warnings(history) if exported is None else exported_notes(exported)
    return [*notes, *dominated_notes(history, epochs(history))]


def breakdown_tables(breakdown: Breakdown | None) -> list[Table]:
    """Return each table that has something to show."""
    makers: tuple[Callable[[Breakdown], Table], ...] = (_intervals, _camera_pairs, _identities)
    return [table for make in makers if (table := make(breakdown)).rows] if breakdown else []


def _intervals(breakdown: Breakdown) -> Table:
    ends = breakdown.intervals
    names = [name for name in METRICS if f"{name}_low" in ends]
    columns = [
        Column("Figure", [METRICS[name] for name in names]),
        Column("From", [percent(ends.get(f"{name}_low")) for name in names]),
        Column("To", [percent(ends.get(f"{name}_high")) for name in names]),
    ]
    caption = "95 % intervals, by resampling the queries; in %. Model and gallery stay the same."
    return Table("intervals", columns, caption)


def _camera_pairs(breakdown: Breakdown) -> Table:
    """Return mAP and Rank-1 as a matrix, query cameras down, gallery cameras across."""
    pairs = breakdown.camera_pairs
    found = {(pair.query_camera, pair.gallery_camera): f"{percent(pair.mAP)} / {percent(pair.rank1)}" for pair in pairs}
    down = {pair.query_camera: _camera(pair.query_camera, pair.query_camera_name) for pair in pairs}
    across = {pair.gallery_camera: _camera(pair.gallery_camera, pair.gallery_camera_name) for pair in pairs}
    columns = [
        Column(title, [found.get((query, gallery), UNMEASURED) for query in sorted(down)])
        for gallery, title in sorted(across.items())
    ]
    caption = "mAP / Rank-1 in %: a camera's queries (down) on one camera of the gallery (across)."
    return Table("pairs of cameras", [Column("Query", [down[query] for query in sorted(down)]), *columns], caption)


def _camera(number: int, name: str | None) -> str:
    return f"camera {number + 1 if name is None else name}"


def _identities(breakdown: Breakdown) -> Table:
    shown = breakdown.identities[:_IDENTITIES]
    columns = [
        Column("Identity", [f"pid {each.pid}" if each.identity is None else each.identity for each in shown]),
        Column("mAP", [percent(each.mAP) for each in shown]),
        Column("mINP", [percent(each.mINP) for each in shown]),
        Column("Rank-1", [percent(each.rank1) for each in shown]),
        Column("Valid queries", [str(each.num_valid_queries) for each in shown]),
    ]
    caption = f"The {len(shown)} identities that went worst, of {len(breakdown.identities)}; in %."
    return Table("identities", columns, caption)
