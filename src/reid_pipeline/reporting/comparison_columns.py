"""What the comparison's tables show of a row, and the sentences below them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reid_pipeline.reporting.published import MARKS
from reid_pipeline.reporting.published import METRICS as PUBLISHED_METRICS
from reid_pipeline.reporting.tables import METRICS, count, percent, points
from reid_pipeline.reporting.words import label_word, run_name
from reid_pipeline.schema.comparison import Comparison, ComparisonRow
from reid_pipeline.schema.errors import first_few

Row = TypeVar("Row")

_MAIN_METRICS = ("mAP", "rank1")
_DIFFERENCES_SHOWN, _SHORT_DIFFERENCES = 4, 2
_UNITS = {"measured": "measured, %", "published": "published, %", "difference": "difference, points"}


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of the table.

    Attributes:
        title: what stands above it, below the name of its kind.
        cell: what it shows of a row.
        kind: measured, published or difference; empty for others.
        words: text, which is set to the left.
        main: shown beside the published figures.
        always: shown even where no row has anything to show.
    """

    title: str
    cell: Callable[[Row], str]
    kind: str = ""
    words: bool = False
    main: bool = True
    always: bool = False

    @property
    def unit(self) -> str:
        """The kind and what its numbers are."""
        return _UNITS.get(self.kind, "")


def _never(row: Any) -> bool:
    del row
    return False


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A table to be shown.

    Attributes:
        title: what is in it.
        columns: from left to right.
        rows: what they show.
        faint: whether a row's difference may be chance; such rows are grey.
    """

    title: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    faint: Callable[[Row], bool] = _never

    def grid(self) -> list[list[str]]:
        """Return a header and the rows as text; what is above a figure says its kind."""
        figures = set(METRICS.values())
        header = [
            f"{column.kind} {column.title}" if column.title in figures else column.title for column in self.columns
        ]
        return [header, *([column.cell(row) for column in self.columns] for row in self.rows)]


def tables_of(comparison: Comparison) -> list[Table[ComparisonRow]]:
    """Return two tables: measured beside published, and everything that was measured.

    Columns that nothing could be shown in are left out; those of measured figures always stand.
    """
    rows = comparison.rows
    measured_rows = [row for place, row in enumerate(rows) if row.seeds and _is_new(row, rows[:place])]
    first = [_METHOD, _APART, _SEEDS, _LABELS]
    figures = _figure_columns(comparison)
    main = [*first, *(column for column in figures if column.main), *_COSTS, _NOTES]
    every = [*first, *(column for column in figures if column.kind == "measured")]
    return [
        Table("Measured and published", _shown(main, rows), rows),
        Table("All that was measured", _shown(every, rows), measured_rows),
    ]


def short_table(comparison: Comparison) -> Table[ComparisonRow]:
    """Return the table for a terminal."""
    figures = [column for column in _figure_columns(comparison) if column.main and not column.words]
    rows = comparison.rows
    return Table(title_of(comparison), _shown([_LABEL, _SEEDS, *figures, _COSTS[0]], rows), rows)


def _shown(columns: Sequence[Column[ComparisonRow]], rows: Sequence[ComparisonRow]) -> list[Column[ComparisonRow]]:
    return [column for column in columns if column.always or any(column.cell(row) for row in rows)]


def _is_new(row: ComparisonRow, earlier: Sequence[ComparisonRow]) -> bool:
    """Say whether these runs have no row yet; they have one for each published figure of their variant."""
    runs = ("method", "variant", "apart", "seeds")
    return not any(all(getattr(row, name) == getattr(other, name) for name in runs) for other in earlier)


def _figure_columns(comparison: Comparison) -> list[Column[ComparisonRow]]:
    told = [row.published for row in comparison.rows if row.published]
    published = [name for name in PUBLISHED_METRICS if any(each.value(name) is not None for each in told)]
    main = {*_MAIN_METRICS, *published}
    return [
        *(
            Column(METRICS[name], _mean_and_deviation(name), "measured", main=name in main, always=True)
            for name in METRICS
        ),
        *(Column(METRICS[name], _published(name), "published") for name in published),
        Column("mark", lambda row: row.published.mark if row.published else "", "published"),
        Column("published as", _published_as, "published", words=True),
        *(Column(METRICS[name], _difference(name), "difference") for name in published),
    ]


def title_of(comparison: Comparison) -> str:
    """Return what the table is about."""
    chosen = comparison.test_set
    return f"Methods on {comparison.benchmark}{f', test set {chosen}' if chosen else ''}"


def legend_of(comparison: Comparison) -> list[str]:
    """Return what the columns mean."""
    sentences = [
        "Seeds: how many (n), and which. Labels: whose identity labels training used.",
        "Measured: mean over the seeds, and for two seeds or more ± their standard deviation (N - 1). A cell"
        " is empty where the method was not run or there was nothing to score.",
        "Averaged are only runs whose data, protocol, recipe and parameters agree in everything but the seed."
        " Others have rows of their own, which say what differs.",
        "Training time is the mean over the seeds. Peak memory is the most that the process of a run had held"
        " in main memory when the method ended; other methods that it ran before are in it.",
    ]
    if not any(row.published for row in comparison.rows):
        return [*sentences, f"No published figures are known for {comparison.benchmark}."]
    marks = "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items())
    return [
        *sentences,
        f"Published figures were not measured here. Their marks: {marks}.",
        "Difference: measured mean minus published figure, where variant and protocol are the same.",
    ]


def duration(seconds: float | None) -> str:
    """Return a time in its two largest units: "12.3 s", "3 min 26 s", "2 h 11 min"; empty for None."""
    if seconds is None:
        return ""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h {rest} min" if hours else f"{minutes} min {left} s"


def _label(row: ComparisonRow) -> str:
    variant = _published_as(row)
    apart = first_few(row.apart, _SHORT_DIFFERENCES)
    return f"{_name(row)}{f' [{apart}]' if apart else ''}{f': {variant}' if variant else ''}"


def _name(row: ComparisonRow) -> str:
    return run_name(row.method, row.variant)


def _apart(row: ComparisonRow) -> str:
    return first_few(row.apart, _DIFFERENCES_SHOWN)


def _seeds(row: ComparisonRow) -> str:
    return f"{len(row.seeds)} ({first_few(row.seeds)})" if row.seeds else ""


def _labels(row: ComparisonRow) -> str:
    return label_word(row.label_use) if row.seeds else ""


def _mean_and_deviation(name: str) -> Callable[[ComparisonRow], str]:
    def cell(row: ComparisonRow) -> str:
        found = row.spread(name)
        if found.mean is None:
            return ""
        return percent(found.mean) if found.std is None else f"{percent(found.mean)} ± {percent(found.std)}"

    return cell


def _published(name: str) -> Callable[[ComparisonRow], str]:
    def cell(row: ComparisonRow) -> str:
        value = row.published.value(name) if row.published else None
        return "" if value is None else percent(value)

    return cell


def _published_as(row: ComparisonRow) -> str:
    return row.published.variant if row.published else ""


def _difference(name: str) -> Callable[[ComparisonRow], str]:
    def cell(row: ComparisonRow) -> str:
        value = row.difference.get(name)
        return "" if value is None else points(value)

    return cell


def _notes(row: ComparisonRow) -> str:
    source = [row.published.note] if row.published else []
    return "; ".join([*source, *row.notes])


def _size(row: ComparisonRow) -> str:
    size = row.peak_memory_bytes
    return "" if size is None else f"{size / 2**30:.2f} GiB"


def _counted(number: int | None) -> str:
    return "" if number is None else count(number)


_METHOD = Column("Method", _name, words=True, always=True)
_LABEL = Column("Method", _label, words=True, always=True)
_APART = Column("What differs", _apart, words=True)
_SEEDS = Column("Seeds", _seeds, always=True)
_LABELS = Column("Labels", _labels, words=True)
_COSTS = (
    Column[ComparisonRow]("Training", lambda row: duration(row.training_seconds)),
    Column("Peak memory", _size),
    Column[ComparisonRow]("Parameters", lambda row: _counted(row.num_parameters)),
    Column[ComparisonRow]("Trainable", lambda row: _counted(row.num_trainable_parameters)),
)
_NOTES = Column("Note", _notes, words=True)
