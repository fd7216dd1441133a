"""Numbers, names of runs and sentences as pages print them. What was not measured is an em dash, never 0."""

from collections.abc import Mapping, Sequence

from reid_pipeline.schema.nested import leaves
from reid_pipeline.schema.origin import LabelUse
from reid_pipeline.schema.records import RunCard

UNMEASURED = "—"
METRICS: Mapping[str, str] = {"mAP": "mAP", "mINP": "mINP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10"}
FEW_QUERIES = 50
"""Below so many scored queries, pages say how few there are."""
_LABELS: dict[LabelUse | None, str] = {
    "none": "none",
    "source": "of the source",
    "partial": "of some images",
    "all": "of all images",
    None: "not recorded",
}
_LABEL_SENTENCES: dict[LabelUse | None, str] = {
    "source": "Training used the identity labels of the source it started from, and none of this benchmark.",
    "partial": "Training used the identity labels of some training images.",
    "all": "Training used the identity labels of all training images.",
    None: "This run did not record whether training used identity labels.",
}
_ZERO_SHOT = "zero_shot"


def percent(value: float | None, absent: str = UNMEASURED) -> str:
    """Return a fraction as a percentage with one decimal and no sign: 0.4567 is "45.7"."""
    return absent if value is None else f"{100 * value:.1f}"


def points(difference: float | None, absent: str = UNMEASURED) -> str:
    """Return a difference of fractions in percentage points, signed, with one decimal: "+20.1"."""
    if difference is None:
        return absent
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")  # noqa: RUF001


def interval_text(low: float, high: float) -> str:
    """Return an interval in percentage points: "−0.8 to +6.4"."""  # noqa: RUF002
    return f"{points(low)} to {points(high)}"


def count(value: float | None, absent: str = UNMEASURED) -> str:
    """Return a count with thousands separators."""
    return absent if value is None else f"{value:,.0f}"


def counted(number: int, one: str, several: str = "") -> str:
    """Return "1 file", "1,200 files"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def span(low: int, high: int) -> str:
    """Return "7", or "5–8"."""  # noqa: RUF002
    return str(low) if low == high else f"{low}–{high}"  # noqa: RUF001


def duration(seconds: float | None) -> str:
    """Return a time in its two largest units: "12.3 s", "3 min 26 s", "2 h 11 min"; empty for None."""
    if seconds is None:
        return ""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h {rest} min" if hours else f"{minutes} min {left} s"


def exact_duration(seconds: float) -> str:
    """Return seconds, and from two minutes on also hours, minutes and seconds."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{seconds:,.1f} s ({f'{hours} h ' if hours else ''}{minutes} min {left} s)"


def run_name(method: str, variant: str) -> str:
    """Return the method, and which variant of it: "pcl+small"."""
    return f"{method}+{variant}" if variant else method


def label_word(label_use: LabelUse | None) -> str:
    """Return whose identity labels training used, for a column."""
    return _LABELS[label_use]


def label_sentence(label_use: LabelUse | None, *, trains: bool) -> tuple[str, str]:
    """Return the same as a sentence, in two parts, of which the first is to be stressed."""
    if label_use != "none":
        return "", _LABEL_SENTENCES[label_use]
    diagnostics = " and, where shown, for diagnostics" if trains else ""
    stressed = f"No labels were used{' in training' if trains else ''}"
    return stressed, f": true identities were read only to score the results{diagnostics}."


def few_queries(scored: Sequence[int | None], of: str = "") -> list[str]:
    """Return a sentence where fewer than `FEW_QUERIES` queries were scored, and none elsewhere.

    `scored` are the valid queries of each result; 0 and None, where nothing was tested, do not count. `of` names
    the benchmark, where several are on the page.
    """
    fewest = min((number for number in scored if number), default=FEW_QUERIES)
    if fewest >= FEW_QUERIES:
        return []
    queries = f"{'query' if fewest == 1 else 'queries'}{f' of {of}' if of else ''}"
    return [
        f"Only {fewest} {queries} {'was' if fewest == 1 else 'were'} scored: one query more or less moves"
        f" Rank-1 by {100 / fewest:.1f} points, and intervals over so few are rough themselves."
    ]


def compared_with(run_card: RunCard, other: str | None, zero_shot: RunCard | None) -> list[str]:
    """Say which zero_shot a run is compared with, where it is not that of its benchmark, seed and conf/.

    `other` is the cell of zero_shot, as "<benchmark>/<folder>/seed_<n>"; `zero_shot` is its run card, where it is
    at hand: backbones that differ are named.
    """
    sentences = []
    if other and other != f"{run_card.benchmark}/{_ZERO_SHOT}/seed_{run_card.seed}":
        sentences.append(f"The zero_shot that it is compared with is that of {other}.")
    if zero_shot is not None and (differing := _backbone_differences(run_card, zero_shot)):
        sentences.append(f"The backbone is not that of zero_shot: {'; '.join(differing)}.")
    return sentences


def _backbone_differences(run_card: RunCard, zero_shot: RunCard) -> list[str]:
    own, theirs = (
        dict(leaves(card.parameters.get(card.method, {}).get("backbone") or {})) for card in (run_card, zero_shot)
    )
    return [
        f"{name} {own.get(name)} (zero_shot: {theirs.get(name)})"
        for name in dict.fromkeys([*own, *theirs])
        if own.get(name) != theirs.get(name)
    ]
