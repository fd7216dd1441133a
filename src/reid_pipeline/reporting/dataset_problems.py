"""What is wrong with a collection, in sentences: what it is, what it means, what to do."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from reid_pipeline.reporting.formats import counted
from reid_pipeline.schema.summary import DatasetSummary, DeepPictures, Duplicates, QueryFacts


class Problem(NamedTuple):
    """One finding: its title, a sentence with the counts, what it does to results, what to do, the first cases.

    `paths` are the images that are shown of each case; empty where the cases are words.
    """

    title: str
    what: str
    meaning: str
    remedy: str
    cases: Sequence[str] = ()
    paths: Sequence[Sequence[str]] = ()

    @property
    def shown(self) -> list[tuple[str, Sequence[str]]]:
        """Each case, and the paths of its images."""
        return [*zip(self.cases, self.paths or [()] * len(self.cases), strict=True)]


_LARGEST_16_BIT = 65535
_FEW_IMAGES = 10
"""Of fewer, a half says nothing."""
_COPIES = {
    "conflicts": (
        "Identical files with different identities",
        ("has", "have", "different identities"),
        "All but one label of a group are wrong: training is pulled both ways, and a right answer of the"
        " search counts as an error.",
        "Look at them, leave each picture under its right identity and remove the others.",
    ),
    "across": (
        "Identical files in different splits",
        ("lies", "lie", "in different splits"),
        "The test shows pictures that were trained on, or a query finds itself in the gallery.",
        "Remove the copies from all splits but one.",
    ),
    "within": (
        "Identical files in one split",
        ("lies", "lie", "in one split"),
        "A picture that is there twice weighs double, and its copies find each other without effort.",
        "Remove all but one, unless the collection was published so.",
    ),
}


def problems(summary: DatasetSummary, images: Mapping[str, Sequence[str]] | None = None) -> list[Problem]:
    """Return all in a summary that a reader should look at, the gravest first; `images` are some of an identity's."""
    of_identity = images or {}
    warnings = [
        Problem(
            "Counts differ from the published ones",
            sentence,
            "Results on other images than the published ones cannot be compared with published results.",
            "Get the collection complete and in the version named here, or report the difference with every"
            " result. ingestion.strict_counts: true turns this into an error.",
        )
        for sentence in summary.warnings
    ]
    found = [
        _faulty_images(summary, of_identity), _dark_pictures(summary.deep), _training_identities(summary, of_identity),
        _copies(summary.duplicates),
    ]  # fmt: skip
    return [*warnings, *chain.from_iterable(found), *_unused_images(summary)]


def all_answered(queries: QueryFacts) -> bool:
    """Say whether every query has a match, in every gallery sampled."""
    return queries.num_valid == queries.num_queries and queries.worst is None


def named_identities(summary: DatasetSummary) -> list[str]:
    """Return the identities whose images a problem is about."""
    train = summary.splits.get("train")
    spread = None if train is None else train.images_per_identity
    return [*summary.shared_identities.first, *([spread.largest] if spread and spread.largest else [])]


def _faulty_images(summary: DatasetSummary, images: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    unreadable, shared = summary.unreadable, summary.shared_identities
    if unreadable.count:
        yield Problem(
            "Files that cannot be decoded",
            f"{counted(unreadable.count, 'file')} cannot be decoded; {len(summary.skipped):,} of them left out of the"
            " split table.",
            "What is left out is neither trained on nor searched: results are of the other images.",
            "Replace them by good copies and run ingestion again. The summary lists all under skipped.",
            [f"{each.path}: {each.fault}" for each in unreadable.first],
            [[each.path] for each in unreadable.first],
        )
    for prefix, found in (("Queries", summary.queries), ("Dev queries", summary.dev_queries)):
        if found is not None and not all_answered(found):
            examples = [path for paths in found.examples.values() for path in paths]
            yield Problem(
                f"{prefix} without a match",
                " ".join(found.sentences),
                "Nothing in the gallery can answer them: they are left out of every metric.",
                " ".join(_query_remedies(found)),
                examples,
                [[path] for path in examples],
            )
    if shared.count:
        yield Problem(
            "Identities in both training and test",
            f"{counted(shared.count, 'identity is', 'identities are')} in both training and test.",
            "Training has seen who is searched for: results are better than for strangers.",
            "Split by identity. Where it was asked for (splits.disjoint: false), say so with the results.",
            shared.first,
            [images.get(identity, ()) for identity in shared.first],
        )


def _dark_pictures(deep: DeepPictures | None) -> Iterator[Problem]:
    """Say that 16-bit pictures leave most of their range unused."""
    if deep is not None and 2 * deep.brightest < deep.white_value:
        found = min(2 ** max(deep.brightest.bit_length(), 1) - 1, _LARGEST_16_BIT)
        yield Problem(
            "16-bit pictures that are nearly black",
            f"{counted(deep.images, 'picture has', 'pictures have')} 16 bits, and the brightest value in any of them is"
            f" {deep.brightest:,}, where {deep.white_value:,} is white (ingestion.white_value).",
            f"They are read with {255 * deep.brightest // deep.white_value + 1} of 256 levels of grey: thermal and"
            " machine vision cameras often fill 10, 12 or 14 of the 16 bits.",
            f"Give the value that is white, for 12 bits 4095: --params ingestion.white_value={found}. It holds for"
            " training, search and pages, and stays with the model.",
        )


def _training_identities(summary: DatasetSummary, shown: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """Yield what keeps a method from learning identities: one alone, one image each, one with most images."""
    train = summary.splits.get("train")
    spread = None if train is None else train.images_per_identity
    if spread is None:
        return
    images, identities = (sum(each) for each in zip(*((n * m, m) for n, m in spread.histogram), strict=True))
    single = dict(spread.histogram).get(1, 0)
    if identities == 1:
        yield Problem(
            "One training identity",
            f"All {images:,} labelled training images show one identity, {spread.largest or 'unnamed'}.",
            "There is nobody to tell it apart from: methods with labels refuse to train.",
            "Add images of other identities, or check the folder, list or column that identities are read from.",
        )
    elif 2 * single > identities:
        whole = "Each" if single == identities else f"{single:,}"
        yield Problem(
            "Training identities with a single image",
            f"{whole} of the {identities:,} training identities {'has' if whole == 'Each' else 'have'} a single image.",
            "One picture does not show what stays the same in an individual: batches repeat it, clustering finds no"
            " second one.",
            "Add images of the same individuals. If one individual has several names, mend these.",
        )
    if identities > 1 and images >= _FEW_IMAGES and 2 * spread.max > images:
        yield Problem(
            "One identity with most of the training images",
            f"{spread.max:,} of {images:,} labelled training images show one identity, {spread.largest or 'unnamed'}.",
            "Without labels, one individual is most of what is clustered; with labels, the others have few images.",
            "Leave some of its images out, or check that its name does not stand for several individuals or for none.",
            [name for name in shown if name == spread.largest],
            [paths for name, paths in shown.items() if name == spread.largest],
        )


def _query_remedies(queries: QueryFacts) -> Iterator[str]:
    reasons = list(filter(None, [queries, queries.worst]))
    if any(each.absent_from_gallery for each in reasons):
        yield "Identities absent from the gallery: check how the split was made."
    if any(each.only_same_camera for each in reasons):
        yield "Matches of the own camera only: where cameras mean nothing, set evaluation.camera_filter: false."


def _copies(duplicates: Duplicates) -> Iterator[Problem]:
    splits = ", ".join(f"{splits}: {groups:,}" for splits, groups in duplicates.between.items())
    for kind, (title, (one, several, where), meaning, remedy) in _COPIES.items():
        found = getattr(duplicates, kind)
        if found.groups:
            what = f"{counted(found.groups, 'group')} of identical files ({counted(found.files, 'file')})"
            which = f" ({splits})" if kind == "across" else ""
            sentence = f"{what} {one if found.groups == 1 else several} {where}{which}."
            cases = [" = ".join(paths) for paths in found.first]
            yield Problem(title, sentence, meaning, remedy, cases, [paths[:1] for paths in found.first])


def _unused_images(summary: DatasetSummary) -> Iterator[Problem]:
    other = summary.left_out.other
    if other.count:
        yield Problem(
            "Images that no split uses",
            f"{counted(other.count, 'image')} of the manifest {'is' if other.count == 1 else 'are'} in no split.",
            "They are neither junk nor unreadable; distractors (pid 0) outside the gallery are such images.",
            "Check their identities and subsets in the manifest.",
            other.first,
            [[path] for path in other.first],
        )
