"""The report of a run: one HTML page that loads nothing from anywhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reid_pipeline.reporting.breakdown import TextTable, breakdown_tables
from reid_pipeline.reporting.figures import cmc_curves, training_curves
from reid_pipeline.reporting.page import chart, exact_duration, flattened, rendered
from reid_pipeline.reporting.rank_lists import RankedQuery, describe, rank_list_strip
from reid_pipeline.reporting.records import epochs
from reid_pipeline.reporting.tables import METRICS, UNMEASURED, comparison_rows, count, difference_notes, percent
from reid_pipeline.reporting.words import compared_with, label_sentence, label_word, run_name
from reid_pipeline.schema.records import Breakdown, Differences, EpochRecord, Metrics, RunCard

_EXPLANATIONS = {
    "loss": "Mean of each epoch's steps, and the rate it was made with.",
    "clusters": "Each epoch clusters all training images anew; noise are the images that joined no cluster.",
    "cluster_sizes": "How many clusters have which size.",
    "agreement": "Pseudo-labels compared with the true identities after the fact.",
    "seconds": "Where the time of an epoch went.",
    "cmc": "The share of valid queries that have a true match among the first k images of the gallery.",
}


_HEADLINES = ("mAP", "rank1", "mINP")
_SHORT = 12


@dataclass(frozen=True)
class Headline:
    """A figure at the top.

    Attributes:
        name: of the figure.
        value: in %.
        gain: what it has over before, with its interval; empty where there is no before.
        since: words after the gain.
        uncertain: whether 0 lies inside the interval.
    """

    name: str
    value: str
    gain: str = ""
    since: str = ""
    uncertain: bool = False


@dataclass(frozen=True)
class RankLists:
    """Ranked lists under one heading; each strip has `source`, `alt`, `caption` and `average_precision`."""

    id: str
    title: str
    strips: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ReportContent:
    """What the page shows.

    Attributes:
        benchmark: name of the benchmark.
        method: name of the method this run is about.
        seed: of the run.
        metrics: results measured in this run, "before" first, this run's last.
        run_card: everything needed to make the run again; every entry is shown.
        history: one record per epoch; empty for a method that does not train.
        breakdown: where the figures come from; None shows no section.
        differences: to the zero_shot that comes "before"; None where it is not known.
        zero_shot_card: the run card of that zero_shot, where it is at hand: backbones that differ are told.
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

    @property
    def known_differences(self) -> Sequence[Differences]:
        """The differences, as tables take them."""
        return [self.differences] if self.differences else []


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
    label_use = content.result.label_use or content.run_card.label_use
    other = content.differences.other if content.differences else content.run_card.zero_shot
    return rendered(
        "report.html.j2",
        content=content,
        name=run_name(content.method, content.result.variant),
        labels=label_sentence(label_use, trains=bool(content.history)),
        compared=compared_with(content.run_card, other, content.zero_shot_card),
        metric_names=list(METRICS.values()),
        rows=comparison_rows(content.metrics, content.known_differences),
        notes=difference_notes(content.metrics, content.known_differences),
        headlines=_headlines(content),
        facts=_facts(content.run_card),
        cmc=chart("cmc", curve, _EXPLANATIONS["cmc"]) if curve.data else None,
        curves=[chart(name, figure, _EXPLANATIONS[name]) for name, figure in training_curves(content.history).items()],
        epoch_table=_epoch_table(content.history),
        breakdown=breakdown_tables(content.breakdown),
        rank_lists=_rank_lists(content),
        run_card=list(flattened(content.run_card.content())),
    )


def _headlines(content: ReportContent) -> list[Headline]:
    """Return mAP, Rank-1 and mINP of this run's method, each with what it was before (first test set)."""
    before, after = (each.model_copy(update={"test_sets": {}}) for each in (content.metrics[0], content.result))
    cards = [Headline(METRICS[name], percent(after.value(name))) for name in _HEADLINES]
    rows = comparison_rows([before, after], content.known_differences)
    if content.metrics[0] is content.result or not rows[-1].is_difference:
        return cards
    places = [list(METRICS).index(name) for name in _HEADLINES]
    return [
        replace(
            card,
            gain=rows[-1].cells[place],
            since=f"points from {rows[0].cells[place]}",
            uncertain=rows[-1].uncertain[place],
        )
        for card, place in zip(cards, places, strict=True)
    ]


def _facts(card: RunCard) -> list[tuple[str, str]]:
    """Return the few facts of the run card that belong at the top."""
    commit = (card.git_commit or "")[:_SHORT]
    changed = " with uncommitted changes" if commit and card.git_dirty else ""
    facts = {
        "Labels": label_word(card.label_use),
        "Device": card.device,
        "Precision": card.precision,
        "Wall time": exact_duration(card.wall_seconds),
        "Peak memory": f"{card.peak_memory_bytes / 2**30:.2f} GiB",
        "Commit": f"{commit}{changed}",
        "Data": card.data_hash[:_SHORT],
    }
    return [(name, value) for name, value in facts.items() if value]


def _epoch_table(history: Sequence[EpochRecord]) -> TextTable:
    """Return the numbers behind the curves: a row for each epoch."""
    agreements = [record.ground_truth for record in history]
    columns = {
        "Learning rate": [_text(record.learning_rate, ".3g") for record in history],
        "Loss": [_text(record.loss, ".4f") for record in history],
        "Clusters": [count(record.clusters) for record in history],
        "Noise, %": [percent(record.noise_share) for record in history],
        "ARI": [_text(each.ari if each else None, ".3f") for each in agreements],
        "NMI": [_text(each.nmi if each else None, ".3f") for each in agreements],
        "Seconds": [_text(record.seconds.get("epoch"), ".1f") for record in history],
    }
    shown = {name: cells for name, cells in columns.items() if any(cell != UNMEASURED for cell in cells)}
    rows = [[f"{epoch:g}", *cells] for epoch, *cells in zip(epochs(history), *shown.values(), strict=True)]
    caption = "One row per epoch. ARI and NMI: diagnostics only, never used in training."
    return TextTable("numbers of each epoch", caption, ["Epoch", *shown], rows)


def _text(value: float | None, form: str) -> str:
    return UNMEASURED if value is None else format(value, form)


def _rank_lists(content: ReportContent) -> list[RankLists]:
    groups = (
        RankLists("bad", "Queries that went worst", [_strip(each) for each in content.bad_queries]),
        RankLists("good", "Queries that went best", [_strip(each) for each in content.good_queries]),
    )
    return [group for group in groups if group.strips]


def _strip(ranked: RankedQuery) -> dict[str, str]:
    picture = base64.b64encode(rank_list_strip(ranked)).decode("ascii")
    return {
        "source": f"data:image/jpeg;base64,{picture}",
        "alt": describe(ranked),
        "caption": " ".join(ranked.query_caption.split()),
        "average_precision": percent(ranked.average_precision),
    }
