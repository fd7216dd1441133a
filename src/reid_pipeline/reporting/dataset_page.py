"""The dataset page: what a collection holds and what is wrong with it, as HTML and for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from reid_pipeline.reporting.dataset_figures import dataset_figures
from reid_pipeline.reporting.dataset_problems import Problem, all_answered, counted, problems
from reid_pipeline.reporting.page import chart, rendered
from reid_pipeline.reporting.tables import UNMEASURED, aligned, count
from reid_pipeline.schema.summary import DatasetSummary

Grid = list[list[str]]

_LINE = 160  # characters of a sentence in the terminal
_TEXT_SUBSETS, _TEXT_PROBLEMS, _TEXT_NOTES = 6, 6, 2
_EXPLANATIONS = {
    "images_per_identity": "How many identities have how many images.",
    "images_per_camera": "How many images each camera took, split by split.",
    "image_sizes": "Width and height of every image that can be decoded, as displayed.",
}
_DIFFERENCE = "Difference"


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `differs` marks one that is not as published."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Section:
    """A table of the page, with sentences below it."""

    id: str
    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    below: Sequence[str]


def render_dataset_page(summary: DatasetSummary) -> str:
    """Return the page's HTML source: plotly.js, figures and pictures are inside, about 5 MB.

    Every value is escaped. The page holds no address that a browser would load, and its content security
    policy forbids it to load one. The same summary gives the same page.
    """
    figures = dataset_figures(summary)
    return rendered(
        "dataset.html.j2",
        benchmark=summary.benchmark,
        version=summary.version,
        headlines=_headlines(summary),
        facts=_facts(summary),
        problems=problems(summary),
        sections=_sections(summary),
        charts=[chart(name, figure, _EXPLANATIONS[name]) for name, figure in figures.items()],
        notes=summary.notes,
    )


def dataset_text(summary: DatasetSummary) -> str:
    """Return the same in short for a terminal, in 40 lines at most."""
    found = problems(summary)
    counts = _counts_grid(summary)
    subsets = [*aligned(counts[: _TEXT_SUBSETS + 1]), *_more(len(counts) - 1 - _TEXT_SUBSETS, "subset")]
    few = [_problem_line(problem) for problem in found[:_TEXT_PROBLEMS]]
    listed = [*few, *_more(len(found) - _TEXT_PROBLEMS, "problem")]
    problem_lines = [f"{counted(len(found), 'problem')}:", *listed] if found else ["No problem was found."]
    notes = [f"Note: {note}" for note in summary.notes[:_TEXT_NOTES]]
    parts = [
        [_title(summary)],
        subsets,
        aligned(_splits_grid(summary)),
        [*_query_sentences(summary, valid_only=True), _sizes_said(summary), *_drawn_said(summary)],
        [*problem_lines, *notes, *_more(len(summary.notes) - _TEXT_NOTES, "note")],
    ]
    return "\n\n".join("\n".join(_printable(line) for line in part) for part in parts)


def _headlines(summary: DatasetSummary) -> list[tuple[str, str, str]]:
    """Return name, value and note of the figures at the top."""
    cameras = summary.cameras
    published = cameras.published
    note = f"published: {published}" if published and published != cameras.found else ""
    return [
        ("Images", count(summary.images), "in the split table"),
        ("Identities", count(summary.identities), ""),
        ("Cameras", count(cameras.found), note),
        ("Problems", count(len(problems(summary))), ""),
    ]


def _facts(summary: DatasetSummary) -> list[tuple[str, str]]:
    benchmark = summary.benchmark
    facts = {
        "Reader": summary.reader,
        "Data": summary.data_hash[:12],
        "Reference": benchmark.reference,
        "Licence": benchmark.licence,
        "Source": benchmark.source,
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _sections(summary: DatasetSummary) -> list[Section]:
    """Return the page's tables: an id, a title, a caption, the grid and sentences below it."""
    version = summary.counts.version
    against = "No counts are published"
    if version is not None:
        against = " ".join(["Compared with the published counts", *([f"of {version}"] if version else [])])
    sections = [
        ("published", "Found and published", f"{against}; junk is counted as published.", _counts_grid),
        ("splits", "Splits", "As used: without junk and without files that cannot be decoded.", _splits_grid),
        ("spread", "Images per identity", "Of the identities in each split.", _spread_grid),
        ("sizes", "The most frequent sizes", _sizes_said(summary), _sizes_grid),
        ("modes", "Modes", "Of the stored pictures; all are read as RGB.", _modes_grid),
        ("rules", "How the splits came about", "What decided the split of how many images.", _rules_grid),
    ]
    below = {"splits": [*_query_sentences(summary), *_one_camera(summary)], "rules": _drawn_said(summary)}
    tables = [
        Section(
            id=name,
            title=title,
            caption=caption,
            header=grid[0],
            rows=[[Cell(text, _differs(grid[0][place], text)) for place, text in enumerate(row)] for row in grid[1:]],
            below=below.get(name, []),
        )
        for name, title, caption, make in sections
        for grid in [make(summary)]
    ]
    return [table for table in tables if table.rows or table.below]


def _differs(title: str, text: str) -> bool:
    return title == _DIFFERENCE and text not in {"0", UNMEASURED}


def _counts_grid(summary: DatasetSummary) -> Grid:
    counts = summary.counts
    if counts.version is None:
        bare = [[each.subset, count(each.images), count(each.identities)] for each in counts.subsets]
        return [["Subset", "Images", "Identities"], *bare]
    header = ["Subset", "Images", "Published", _DIFFERENCE, "Identities", "Published", _DIFFERENCE]
    rows = [
        [
            each.subset,
            count(each.images),
            count(each.published_images),
            _signed(each.image_difference),
            count(each.identities),
            count(each.published_identities),
            _signed(each.identity_difference),
        ]
        for each in counts.subsets
    ]
    return [header, *rows]


def _splits_grid(summary: DatasetSummary) -> Grid:
    header = ["Split", "Images", "Identities", "Cameras", "One camera only", "Distractors", "Unlabelled"]
    rows = [
        [
            name,
            count(facts.images),
            count(facts.identities),
            count(facts.cameras),
            count(facts.one_camera.count if facts.one_camera else None),
            count(facts.distractors),
            count(facts.unlabelled),
        ]
        for name, facts in summary.splits.items()
    ]
    return [header, *rows]


def _spread_grid(summary: DatasetSummary) -> Grid:
    told = {name: facts.images_per_identity for name, facts in summary.splits.items()}
    rows = [
        [
            name,
            *map(_short, (each.min, each.first_quartile, each.median, each.mean)),
            *map(_short, (each.third_quartile, each.max)),
        ]
        for name, each in told.items()
        if each
    ]
    return [["Split", "Least", "First quartile", "Median", "Mean", "Third quartile", "Most"], *rows]


def _short(value: float) -> str:
    """Return a number with two decimals at most: "1,234.5"."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _sizes_grid(summary: DatasetSummary) -> Grid:
    common = summary.sizes.common if summary.sizes else []
    rows = [[f"{size.width} x {size.height}", count(size.images)] for size in common]
    return [["Width x height", "Images"], *rows]


def _modes_grid(summary: DatasetSummary) -> Grid:
    return [["Mode", "Images"], *([mode, count(number)] for mode, number in summary.modes.items())]


def _rules_grid(summary: DatasetSummary) -> Grid:
    rules = summary.rules.items()
    return [["Rule", "Images"], *([rule.replace("_", " "), count(number)] for rule, number in rules)]


def _drawn_said(summary: DatasetSummary) -> list[str]:
    """Return sentences on galleries and on junk."""
    sentences = []
    for drawn in summary.galleries:
        least, most = min(drawn.images), max(drawn.images)
        images = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        name = f" of test set {drawn.test_set}" if drawn.test_set else ""
        sentences.append(f"Drawn galleries{name}: {drawn.repeats}, of {images} images each.")
    if summary.junk:
        sentences.append(f"{counted(summary.junk, 'junk image')} dropped.")
    return sentences


def _sizes_said(summary: DatasetSummary) -> str:
    sizes = summary.sizes
    if not sizes:
        return "No image can be decoded."
    width, height = sizes.width, sizes.height
    modes = ", ".join(f"{mode} {number:,}" for mode, number in summary.modes.items())
    return (
        f"{counted(sizes.distinct, 'size')}: {width.min} to {width.max} wide,"
        f" {height.min} to {height.max} high, median {width.median:g} x {height.median:g} pixels;"
        f" modes: {modes}."
    )


def _query_sentences(summary: DatasetSummary, *, valid_only: bool = False) -> list[str]:
    """Return what is to say of the queries; what is a problem is also listed among those."""
    found = [each for each in (summary.queries, summary.dev_queries) if each]
    if not found:
        return ["There are no queries: nothing can be evaluated."]
    shown = [each for each in found if all_answered(each) or not valid_only]
    return [sentence for each in shown for sentence in each.sentences]


def _one_camera(summary: DatasetSummary) -> list[str]:
    """Return who is seen by one camera alone: nobody can learn or search them across cameras."""
    said = []
    for name, facts in summary.splits.items():
        alone = facts.one_camera
        if alone and alone.count:
            first = ", ".join(alone.first)
            number = counted(alone.count, "identity", "identities")
            said.append(f"Seen by one camera only in {name}: {number}, such as {first}.")
    return said


def _problem_line(problem: Problem) -> str:
    return f"! {problem.what}" + (f" Such as {', '.join(problem.cases[:2])}." if problem.cases else "")


def _title(summary: DatasetSummary) -> str:
    name = " ".join(part for part in (summary.benchmark.title, summary.version) if part)
    reader = f"reader {summary.reader}, " if summary.reader else ""
    cameras = summary.cameras.found
    return (
        f"{name} ({reader}data {summary.data_hash[:12]}): {counted(summary.images, 'image')},"
        f" {counted(summary.identities, 'identity', 'identities')},"
        f" {counted(cameras, 'camera') if cameras else 'no cameras'}"
    )


def _signed(difference: int | None) -> str:
    if difference is None:
        return UNMEASURED
    return f"{difference:+,}".replace("-", "−") if difference else "0"  # noqa: RUF001


def _more(number: int, what: str) -> list[str]:
    return [f"and {counted(number, f'more {what}')}, see the page"] if number > 0 else []


def _printable(line: str) -> str:
    """Return a line that fits, without characters that would steer the terminal."""
    text = "".join(letter if letter.isprintable() else "?" for letter in line)
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"
