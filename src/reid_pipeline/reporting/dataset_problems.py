"""What is wrong with a collection, in sentences: what it is, what it means, what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reid_pipeline.schema.summary import Cases, Copies, DatasetSummary, Duplicates, QueryFacts


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        title: a few words.
        what: a sentence with the counts.
        meaning: what it does to training or results.
        remedy: what to do.
        cases: the first of them: files or identities.
    """

    title: str
    what: str
    meaning: str
    remedy: str
    cases: Sequence[str] = ()


def problems(summary: DatasetSummary) -> list[Problem]:
    """Return everything in a summary that a reader should look at, the gravest first."""
    return [
        *(_count_warning(sentence) for sentence in summary.warnings),
        *_unreadable(summary),
        *_queries(summary),
        *_shared(summary.shared_identities),
        *_copies(summary.duplicates),
        *_left_out(summary.left_out.other),
    ]


def counted(number: int, one: str, several: str = "") -> str:
    """Return "1 file", "1,200 files"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def all_answered(queries: QueryFacts) -> bool:
    """Say whether every query has a match, in every draw."""
    return queries.num_valid == queries.num_queries and queries.worst is None


def _count_warning(sentence: str) -> Problem:
    return Problem(
        "Counts differ from the published ones",
        sentence,
        "Results on other images than the published ones cannot be compared with published results.",
        "Get the collection complete and in the version named here, or tell the difference with every"
        " result. ingestion.strict_counts: true turns this into an error.",
    )


def _unreadable(summary: DatasetSummary) -> Iterator[Problem]:
    number, skipped = summary.unreadable.count, len(summary.skipped)
    if number:
        yield Problem(
            "Files that cannot be decoded",
            f"{counted(number, 'file')} cannot be decoded; {skipped:,} of them left out of the split table.",
            "What is left out is neither trained on nor searched: results are of the other images.",
            "Replace them by good copies and run ingestion again. The summary lists all under skipped.",
            [f"{each.path}: {each.fault}" for each in summary.unreadable.first],
        )


def _queries(summary: DatasetSummary) -> Iterator[Problem]:
    for found, title in (
        (summary.queries, "Queries without a match"),
        (summary.dev_queries, "Dev queries without a match"),
    ):
        if found is None or all_answered(found):
            continue
        reasons = [found, *([found.worst] if found.worst else [])]
        remedies = []
        if any(each.absent_from_gallery for each in reasons):
            remedies.append("Identities absent from the gallery: check how the split was made.")
        if any(each.only_same_camera for each in reasons):
            remedies.append(
                "Matches of the own camera only: where cameras mean nothing, set evaluation.camera_filter: false."
            )
        yield Problem(
            title,
            " ".join(found.sentences),
            "Nothing in the gallery can answer them: they are left out of every metric.",
            " ".join(remedies),
        )


def _shared(shared: Cases) -> Iterator[Problem]:
    if shared.count:
        are = "identity is" if shared.count == 1 else "identities are"
        yield Problem(
            "Identities in both training and test",
            f"{shared.count:,} {are} in both training and test.",
            "Training has seen who is searched for: results are better than for strangers.",
            "Split by identity. Where it was asked for (splits.disjoint: false), say so with the results.",
            shared.first,
        )


def _copies(duplicates: Duplicates) -> Iterator[Problem]:
    told = {
        "conflicts": (
            "Identical files with different identities",
            "have different identities",
            "All but one label of a group are wrong: training is pulled both ways, and a right answer of the"
            " search counts as a mistake.",
            "Look at them, keep each picture under its right identity and remove the others.",
        ),
        "across": (
            "Identical files in different splits",
            "lie in different splits",
            "The test shows pictures that were trained on, or a query finds itself in the gallery.",
            "Remove the copies from all splits but one.",
        ),
        "within": (
            "Identical files in one split",
            "lie in one split",
            "A picture that is there twice weighs double, and its copies find each other without effort.",
            "Remove all but one, unless the collection was published so.",
        ),
    }
    for kind, (title, verb, meaning, remedy) in told.items():
        found: Copies = getattr(duplicates, kind)
        if not found.groups:
            continue
        which = ", ".join(f"{splits}: {groups:,}" for splits, groups in duplicates.between.items())
        where = f" ({which})" if kind == "across" else ""
        what = f"{counted(found.groups, 'group')} of identical files ({counted(found.files, 'file')})"
        verb = verb.replace("have", "has").replace("lie", "lies") if found.groups == 1 else verb
        cases = [" = ".join(paths) for paths in found.first]
        yield Problem(title, f"{what} {verb}{where}.", meaning, remedy, cases)


def _left_out(other: Cases) -> Iterator[Problem]:
    if other.count:
        yield Problem(
            "Images that no split uses",
            f"{counted(other.count, 'image')} of the manifest {'is' if other.count == 1 else 'are'} in no split.",
            "They are neither junk nor unreadable; distractors (pid 0) outside the gallery are such images.",
            "Check their identities and subsets in the manifest.",
            other.first,
        )
