"""Numbers, names of runs and sentences as pages print them. What was not measured is an em dash, never 0."""

from collections.abc import Mapping, Sequence

from reid_pipeline.schema.origin import LabelUse

UNMEASURED = "—"
METRICS: Mapping[str, str] = {"mAP": "mAP", "mINP": "mINP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10"}
FEW_QUERIES = 50  # below so many scored queries, pages say how few there are
LABELS: dict[LabelUse | None, str] = {
    "none": "none",
    "source": "of the source",
    "partial": "of some images",
    "all": "of all images",
    None: "not recorded",
}


def percent(value: float | None, absent: str = UNMEASURED) -> str:
    """Return a fraction as a percentage with one decimal and no sign: 0.4567 is "45.7"."""
    return absent if value is None else f"{100 * value:.1f}"


def decimals(value: float | None, absent: str = UNMEASURED) -> str:
    """Return a figure with three decimals: 0.4567 is "0.457"."""
    return absent if value is None else f"{value:.3f}"


def points(difference: float | None, absent: str = UNMEASURED) -> str:
    """Return a difference of fractions in percentage points, signed, with one decimal: "+20.1"."""
    if difference is None:
        return absent
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")  # noqa: RUF001


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


def few_queries(scored: Sequence[int | None], of: str = "") -> list[str]:
    """Return a sentence where fewer than `FEW_QUERIES` valid queries were scored in a result that was tested."""
    fewest = min((number for number in scored if number), default=FEW_QUERIES)
    if fewest >= FEW_QUERIES:
        return []
    queries = f"{'query' if fewest == 1 else 'queries'}{f' of {of}' if of else ''}"
    return [
        f"Only {fewest} {queries} {'was' if fewest == 1 else 'were'} scored: one query more or less moves"
        f" Rank-1 by {100 / fewest:.1f} points, and intervals over so few are rough themselves."
    ]
