"""The dataset page: what a collection holds and what is wrong with it, as HTML and for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from reid_pipeline.reporting.dataset_pictures import DatasetPictures
from reid_pipeline.reporting.dataset_problems import Problem, all_answered, problems
from reid_pipeline.reporting.figures import bars
from reid_pipeline.reporting.formats import UNMEASURED, count, counted, span
from reid_pipeline.reporting.page import Column, Headline, Table, aligned, charts, rendered
from reid_pipeline.schema.summary import DatasetSummary, SplitFacts

_LINE = 160  # characters of a sentence in the terminal
_TEXT_SUBSETS, _TEXT_PROBLEMS, _TEXT_NOTES = 6, 6, 2
_IDENTITY_BINS = 30


def render_dataset_page(summary: DatasetSummary, pictures: DatasetPictures | None = None) -> str:
    """Return the page's HTML source. The same summary and pictures give the same page."""
    shown = pictures or DatasetPictures()
    benchmark, found = summary.benchmark, problems(summary, shown.identities)
    facts = {"Sample": summary.sample.sentence if summary.sample else "", "Reader": summary.reader}
    facts |= {"Data": summary.data_hash[:12], "Reference": benchmark.reference}
    facts |= {"Licence": benchmark.licence, "Source": benchmark.source}
    cameras, published = summary.cameras.found, summary.cameras.published
    note = f"published: {published}" if published and published != cameras else ""
    headlines = [
        Headline("Images", count(summary.images), "in the split table"),
        Headline("Identities", count(summary.identities)),
        Headline("Cameras", count(cameras), note),
        Headline("Problems", count(len(found))),
    ]
    return rendered(
        "dataset.html.j2",
        benchmark=benchmark,
        version=summary.version,
        headlines=headlines,
        facts=[(name, value) for name, value in facts.items() if value],
        problems=[(problem, _cases(problem, shown)) for problem in found],
        sheets=shown.sheets(),
        sections=[section for section in _sections(summary) if section[1].rows or section[2]],
        charts=charts(dataset_figures(summary)),
        notes=summary.notes,
    )


def dataset_text(summary: DatasetSummary) -> str:
    """Return the same in short for a terminal, in 40 lines at most."""
    found, subsets = problems(summary), _counts_table(summary)
    shown = found[:_TEXT_PROBLEMS]
    listed = [f"! {each.what}" + (f" Such as {', '.join(each.cases[:2])}." if each.cases else "") for each in shown]
    notes = [f"Note: {note}" for note in summary.notes[:_TEXT_NOTES]]
    parts = [
        [_title(summary)],
        [*aligned(subsets.grid()[: _TEXT_SUBSETS + 1]), *_more(len(subsets.rows) - _TEXT_SUBSETS, "subset")],
        _splits_table(summary).text(),
        [*_query_sentences(summary, valid_only=True), _sizes_sentence(summary), *_rules_sentences(summary)],
        [
            f"{counted(len(found), 'problem')}:" if found else "No problem was found.",
            *listed,
            *_more(len(found) - _TEXT_PROBLEMS, "problem"),
            *notes,
            *_more(len(summary.notes) - _TEXT_NOTES, "note"),
        ],
    ]
    return "\n\n".join("\n".join(_printable(line) for line in part) for part in parts)


def _cases(problem: Problem, pictures: DatasetPictures) -> list[tuple[str, list[dict[str, str]]]]:
    """Return each case in words, and its images."""
    return [(case, pictures.images(paths)) for case, paths in problem.shown]


def _sections(summary: DatasetSummary) -> list[tuple[str, Table, list[str]]]:
    """Return id, table and sentences below it of each section of the page."""
    sizes = [(f"{size.width} x {size.height}", size.images) for size in (summary.sizes.common if summary.sizes else ())]
    rules = [(rule.replace("_", " "), number) for rule, number in summary.rules.items()]
    decided = "What decided the split of how many images."
    modes = "Of the stored pictures; all are read as RGB."
    return [
        ("published", _counts_table(summary), []),
        ("splits", _splits_table(summary), [*_query_sentences(summary), *_one_camera_sentences(summary)]),
        ("spread", _spread_table(summary), []),
        ("sizes", _images_table("The most frequent sizes", "Width x height", sizes, _sizes_sentence(summary)), []),
        ("modes", _images_table("Modes", "Mode", [*summary.modes.items()], modes), []),
        ("rules", _images_table("How the splits came about", "Rule", rules, decided), _rules_sentences(summary)),
    ]


def _counts_table(summary: DatasetSummary) -> Table:
    version, subsets = summary.counts.version, summary.counts.subsets
    subset = Column("Subset", [each.subset for each in subsets])
    images = Column("Images", _counts(each.images for each in subsets))
    identities = Column("Identities", _counts(each.identities for each in subsets))
    if version is None:
        caption = "No counts are published; junk is counted as published."
        if summary.sample:
            caption = "Of the sample. The whole was compared with the published counts when it was listed."
        return Table("Found and published", [subset, images, identities], caption)
    columns = [
        subset,
        images,
        Column("Published", _counts(each.published_images for each in subsets)),
        _difference_column([each.image_difference for each in subsets]),
        identities,
        Column("Published", _counts(each.published_identities for each in subsets)),
        _difference_column([each.identity_difference for each in subsets]),
    ]
    against = f"Compared with the published counts{f' of {version}' if version else ''}"
    return Table("Found and published", columns, f"{against}; junk is counted as published.")


def _counts(numbers: Iterable[int | None]) -> list[str]:
    return [count(number) for number in numbers]


def _difference_column(numbers: Sequence[int | None]) -> Column:
    signed = [UNMEASURED if each is None else f"{each:+,}" if each else "0" for each in numbers]
    marks = ["mismatch" if number else "" for number in numbers]
    return Column("Difference", [text.replace("-", "−") for text in signed], marks=marks)  # noqa: RUF001


def _splits_table(summary: DatasetSummary) -> Table:
    splits = summary.splits.values()
    columns = [
        Column("Split", [*summary.splits]),
        Column("Images", _counts(split.images for split in splits)),
        Column("Identities", _counts(split.identities for split in splits)),
        Column("Cameras", _counts(split.cameras for split in splits)),
        Column("One camera only", _counts(split.one_camera.count if split.one_camera else None for split in splits)),
        Column("Distractors", _counts(split.distractors for split in splits)),
        Column("Unlabelled", _counts(split.unlabelled for split in splits)),
    ]
    return Table("Splits", columns, "As used: without junk and without files that cannot be decoded.")


def _spread_table(summary: DatasetSummary) -> Table:
    spreads = {name: split.images_per_identity for name, split in summary.splits.items() if split.images_per_identity}
    titles = ("Least", "First quartile", "Median", "Mean", "Third quartile", "Most")
    fields = ("min", "first_quartile", "median", "mean", "third_quartile", "max")
    columns = [Column("Split", [*spreads])]
    for title, field in zip(titles, fields, strict=True):
        texts = [f"{getattr(each, field):,.2f}" for each in spreads.values()]
        columns.append(Column(title, [text.rstrip("0").rstrip(".") for text in texts]))
    return Table("Images per identity", columns, "Of the identities in each split.")


def _images_table(title: str, first: str, rows: Sequence[tuple[str, int]], caption: str) -> Table:
    columns = [Column(first, [name for name, _ in rows]), Column("Images", _counts(images for _, images in rows))]
    return Table(title, columns, caption)


def _rules_sentences(summary: DatasetSummary) -> list[str]:
    """Return sentences on galleries, on junk and on images without a viewpoint."""
    sentences = []
    for sampled in summary.galleries:
        images = " to ".join(f"{number:,}" for number in sorted({min(sampled.images), max(sampled.images)}))
        name = f" of test set {sampled.test_set}" if sampled.test_set else ""
        sentences.append(f"Drawn galleries{name}: {sampled.repeats}, of {images} images each.")
    if summary.junk:
        sentences.append(f"{counted(summary.junk, 'junk image')} dropped.")
    if viewless := summary.left_out.without_viewpoint:
        where = ", ".join(f"{images:,} of {subset}" for subset, images in viewless.items())
        sentences.append(f"Dropped for want of a viewpoint (ingestion.without_viewpoint: drop): {where}.")
    return sentences


def _sizes_sentence(summary: DatasetSummary) -> str:
    sizes = summary.sizes
    if not sizes:
        return "No image can be decoded."
    width, height = sizes.width, sizes.height
    modes = ", ".join(f"{mode} {number:,}" for mode, number in summary.modes.items())
    return (
        f"{counted(sizes.distinct, 'size')}: {width.min} to {width.max} wide, {height.min} to {height.max} high,"
        f" median {width.median:g} x {height.median:g} pixels; modes: {modes}."
    )


def _query_sentences(summary: DatasetSummary, *, valid_only: bool = False) -> list[str]:
    """Return sentences on the queries; what is a problem is also listed among those."""
    found = [each for each in (summary.queries, summary.dev_queries) if each]
    if not found:
        return ["There are no queries: nothing can be evaluated."]
    return [sentence for each in found if all_answered(each) or not valid_only for sentence in each.sentences]


def _one_camera_sentences(summary: DatasetSummary) -> list[str]:
    """Return who is seen by one camera alone: nobody can learn or search them across cameras."""
    return [
        f"Seen by one camera only in {name}: {counted(alone.count, 'identity', 'identities')}, such as"
        f" {', '.join(alone.first)}."
        for name, facts in summary.splits.items()
        if (alone := facts.one_camera) and alone.count
    ]


def _title(summary: DatasetSummary) -> str:
    name = " ".join(part for part in (summary.benchmark.title, summary.version) if part)
    reader = f"reader {summary.reader}, " if summary.reader else ""
    cameras = summary.cameras.found
    of = f", a sample of {summary.sample.train.identities} training identities" if summary.sample else ""
    return (
        f"{name}{of} ({reader}data {summary.data_hash[:12]}): {counted(summary.images, 'image')},"
        f" {counted(summary.identities, 'identity', 'identities')},"
        f" {counted(cameras, 'camera') if cameras else 'no cameras'}"
    )


def _more(number: int, what: str) -> list[str]:
    return [f"and {counted(number, f'more {what}')}, see the page"] if number > 0 else []


def _printable(line: str) -> str:
    """Return a line that fits, without characters that would steer the terminal."""
    text = "".join(letter if letter.isprintable() else "?" for letter in line)
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


def dataset_figures(summary: DatasetSummary) -> dict[str, go.Figure]:
    """Return the figures that have something to show, by name, in reading order."""
    splits, sizes = summary.splits, summary.sizes
    figures = {}
    if any(facts.images_per_identity for facts in splits.values()):
        figures["images_per_identity"] = _images_per_identity(splits)
    if any(facts.images_per_camera for facts in splits.values()):
        figures["images_per_camera"] = _images_per_camera(splits)
    if sizes:
        groups = {name: [getattr(each, name) for each in sizes.histogram] for name in ("width", "height")}
        spans = [span(each.low, each.high) for each in sizes.histogram]
        figures["image_sizes"] = bars("Image sizes", spans, groups, axes=("Pixels", "Images (count)"))
    return figures


def _images_per_identity(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return how many identities of each split have how many images, in bins of equal width."""
    known = {name: found.histogram for name, facts in splits.items() if (found := facts.images_per_identity)}
    most = max(images for histogram in known.values() for images, _ in histogram)
    step = -(-most // _IDENTITY_BINS)
    starts = range(1, most + 1, step)
    groups = {name: [0] * len(starts) for name in known}
    for name, histogram in known.items():
        for images, number in histogram:
            groups[name][(images - 1) // step] += number
    axes = ("Images of the identity", "Identities (count)")
    return bars("Images per identity", [span(start, start + step - 1) for start in starts], groups, axes=axes)


def _images_per_camera(splits: Mapping[str, SplitFacts]) -> go.Figure:
    """Return the images of each camera and split; cameras by name, in the order of numbers if all are whole ones."""
    names = {camera for facts in splits.values() for camera in facts.images_per_camera}
    cameras = sorted(names, key=int if all(name.isdecimal() for name in names) else None)
    groups = {name: [facts.images_per_camera.get(camera, 0) for camera in cameras] for name, facts in splits.items()}
    shown = [escape(camera, quote=False) for camera in cameras]  # plotly would read tags in it
    return bars("Images per camera", shown, groups, axes=("Camera", "Images (count)"))
