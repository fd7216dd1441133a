"""The report of a run: one HTML page that loads nothing from anywhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_pipeline.reporting.before_after import before_and_after, comparison_rows, difference_notes
from reid_pipeline.reporting.figures import cmc_curves, epochs, training_curves
from reid_pipeline.reporting.formats import METRICS, UNMEASURED, count, exact_duration, percent
from reid_pipeline.reporting.page import Headline, charts, flattened, rendered
from reid_pipeline.reporting.rank_lists import RankedQuery, describe, rank_list_strip
from reid_pipeline.reporting.tables import Column, Table
from reid_pipeline.reporting.words import compared_with, label_sentence, label_word, run_name
from reid_pipeline.schema.records import (
    Breakdown,
    CameraPair,
    Differences,
    EpochRecord,
    IdentityFigures,
    Metrics,
    RunCard,
)

Pairs = Mapping[tuple[int, int], CameraPair]

_HEADLINES = ("mAP", "rank1", "mINP")
_SHORT = 12
_IDENTITIES = 10


@dataclass(frozen=True)
class ReportContent:
    """What the page shows.

    Attributes:
        benchmark: name of the benchmark.
        method: name of the method this run is about.
        seed: of the run.
        metrics: results measured in this run, "before" first, this run's last.
        run_card: what is needed to make the run again; every entry is shown.
        history: one record per epoch; empty for a method that does not train.
        breakdown: where the figures come from; None shows no section.
        differences: to the zero_shot that comes "before"; None where it is not known.
        zero_shot_card: the run card of that zero_shot, where it is at hand: backbones that differ are named.
        bad_queries: ranked lists, worst first.
        good_queries: ranked lists, best first.
        description: one sentence on the method.
    """

    benchmark: str
    method: str
    seed: int
    metrics: Sequence[Metrics]
    run_card: RunCard
    history: Sequence[EpochRecord] = ()
    breakdown: Breakdown | None = None
    differences: Differences | None = None
    zero_shot_card: RunCard | None = None
    bad_queries: Sequence[RankedQuery] = ()
    good_queries: Sequence[RankedQuery] = ()
    description: str = ""

    @property
    def result(self) -> Metrics:
        """The metrics of this run."""
        own = [each for each in self.metrics if each.method == self.method]
        return (own or list(self.metrics))[-1]


def render_report(content: ReportContent) -> str:
    """Return the page's HTML source: plotly.js, figures and pictures are inside, about 5 MB.

    Every value is escaped. The page holds no address that a browser would load, and its content security
    policy forbids it to load one. The same content gives the same page.

    Raises:
        ValueError: no metrics.
    """
    if not content.metrics:
        raise ValueError("a report needs at least one result; got metrics=[]")
    curve = cmc_curves(content.metrics)
    differences = [content.differences] if content.differences else []
    label_use = content.result.label_use or content.run_card.label_use
    other = content.differences.other if content.differences else content.run_card.zero_shot
    queries = {"bad": content.bad_queries, "good": content.good_queries}
    return rendered(
        "report.html.j2",
        content=content,
        name=run_name(content.method, content.result.variant),
        labels=label_sentence(label_use, trains=bool(content.history)),
        compared=compared_with(content.run_card, other, content.zero_shot_card),
        table=before_and_after(comparison_rows(content.metrics, differences)),
        notes=difference_notes(content.metrics, differences),
        headlines=_headlines(content),
        facts=_facts(content.run_card),
        cmc=charts({"cmc": curve} if curve.data else {}),
        curves=charts(training_curves(content.history)),
        epoch_table=_epoch_table(content.history),
        breakdown=breakdown_tables(content.breakdown),
        strips={name: [_strip(each) for each in ranked] for name, ranked in queries.items() if ranked},
        run_card=list(flattened(content.run_card.content())),
    )


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
        "Labels": label_word(card.label_use),
        "Device": card.device,
        "Precision": card.precision,
        "Wall time": exact_duration(card.wall_seconds),
        "Peak memory": f"{card.peak_memory_bytes / 2**30:.2f} GiB",
        "Commit": f"{commit}{' with uncommitted changes' if commit and card.git_dirty else ''}",
        "Data": card.data_hash[:_SHORT],
    }
    return [(name, value) for name, value in facts.items() if value]


def _epoch_table(history: Sequence[EpochRecord]) -> Table[tuple[float, EpochRecord]]:
    """Return the numbers behind the curves: a row for each epoch."""
    column = Column[tuple[float, EpochRecord]]
    columns = [
        column("Epoch", lambda row: f"{row[0]:g}"),
        column("Learning rate", lambda row: f"{row[1].learning_rate:.3g}"),
        column("Loss", lambda row: f"{row[1].loss:.4f}"),
        column("Clusters", lambda row: count(row[1].clusters)),
        column("Noise, %", lambda row: percent(row[1].noise_share)),
        column("ARI", lambda row: f"{row[1].ground_truth.ari:.3f}" if row[1].ground_truth else UNMEASURED),
        column("NMI", lambda row: f"{row[1].ground_truth.nmi:.3f}" if row[1].ground_truth else UNMEASURED),
        column("Seconds", lambda row: f"{row[1].seconds['epoch']:.1f}" if "epoch" in row[1].seconds else UNMEASURED),
    ]
    caption = "One row per epoch. ARI and NMI: diagnostics only, never used in training."
    rows = list(zip(epochs(history), history, strict=True))
    return Table("numbers of each epoch", columns, rows, caption).without_empty_columns(UNMEASURED)


def _strip(ranked: RankedQuery) -> dict[str, str]:
    picture = base64.b64encode(rank_list_strip(ranked)).decode("ascii")
    return {
        "source": f"data:image/jpeg;base64,{picture}",
        "alt": describe(ranked),
        "caption": " ".join(ranked.query_caption.split()),
        "average_precision": percent(ranked.average_precision),
    }


def breakdown_tables(breakdown: Breakdown | None) -> list[Table[Any]]:
    """Return each table that has something to show."""
    if breakdown is None:
        return []
    tables: list[Table[Any]] = [
        _intervals(breakdown.intervals),
        _camera_pairs(breakdown.camera_pairs),
        _identities(breakdown.identities),
    ]
    return [table for table in tables if table.rows]


def _intervals(ends: Mapping[str, float]) -> Table[str]:
    columns = [
        Column[str]("Figure", lambda name: METRICS[name]),
        Column[str]("From", lambda name: percent(ends.get(f"{name}_low"))),
        Column[str]("To", lambda name: percent(ends.get(f"{name}_high"))),
    ]
    caption = "95 % intervals, by resampling the queries; in %. Model and gallery stay the same."
    return Table("intervals", columns, [name for name in METRICS if f"{name}_low" in ends], caption)


def _camera_pairs(pairs: Sequence[CameraPair]) -> Table[int]:
    """Return mAP and Rank-1 as a matrix, query cameras down, gallery cameras across."""
    found = {(pair.query_camera, pair.gallery_camera): pair for pair in pairs}
    across = {pair.gallery_camera: _camera(pair.gallery_camera, pair.gallery_camera_name) for pair in pairs}
    down = {pair.query_camera: _camera(pair.query_camera, pair.query_camera_name) for pair in pairs}
    first = Column[int]("Query", lambda query: down[query])
    columns = [first, *(_gallery_column(found, camera, across[camera]) for camera in sorted(across))]
    caption = "mAP / Rank-1 in %: a camera's queries (down) on one camera of the gallery (across)."
    return Table("pairs of cameras", columns, sorted(down), caption)


def _camera(number: int, name: str | None) -> str:
    return f"camera {number + 1 if name is None else name}"


def _gallery_column(pairs: Pairs, gallery: int, title: str) -> Column[int]:
    def cell(query: int) -> str:
        pair = pairs.get((query, gallery))
        return UNMEASURED if pair is None else f"{percent(pair.mAP)} / {percent(pair.rank1)}"

    return Column(title, cell)


def _identities(identities: Sequence[IdentityFigures]) -> Table[IdentityFigures]:
    column = Column[IdentityFigures]
    columns = [
        column("Identity", lambda each: f"pid {each.pid}" if each.identity is None else each.identity),
        column("mAP", lambda each: percent(each.mAP)),
        column("mINP", lambda each: percent(each.mINP)),
        column("Rank-1", lambda each: percent(each.rank1)),
        column("Valid queries", lambda each: str(each.num_valid_queries)),
    ]
    shown = identities[:_IDENTITIES]
    caption = f"The {len(shown)} identities that went worst, of {len(identities)}; in %."
    return Table("identities", columns, shown, caption)
