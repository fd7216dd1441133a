"""Counts of a reading against those that were published."""

from collections.abc import Iterable, Sequence

import pandas as pd

from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.columns import DISTRACTOR_PID, PID, SUBSET, SUBSETS, TEST_SETS
from reid_pipeline.schema.errors import UserError


def compare_with_published(benchmark: Benchmark, reading: Reading) -> list[str]:
    """Say where images and identities are not as many as published.

    Counts are compared with those of the version that the reading names, else of the version that is nearest
    by images. Junk and distractors are images, and no identities. Linear in rows.

    Args:
        benchmark: what was published.
        reading: what was read.

    Returns:
        a sentence per subset, or test set, that differs, and one on the version whose counts these are if
        there is one; nothing when all agree or nothing was published.
    """
    if not benchmark.versions:
        return []
    version = version_meant(benchmark.versions, reading.version, reading.manifest)
    found = found_counts(reading.manifest, version.counts)
    sentences = [
        _difference(part, found[part], counts, version.name)
        for part, counts in version.counts.items()
        if not _agrees(found[part], counts)
    ]
    if sentences:
        fitting = [other.name for other in benchmark.versions if _fits(reading.manifest, other)]
        sentences += [f"These are just the counts of version {name!r}." for name in fitting[:1]]
    return sentences


def check_counts(benchmark: Benchmark, reading: Reading, *, strict: bool) -> list[str]:
    """Return what `compare_with_published` says, or refuse it.

    Args:
        benchmark: what was published.
        reading: what was read.
        strict: whether a difference is an error.

    Raises:
        UserError: a count differs, and `strict` is set.
    """
    sentences = compare_with_published(benchmark, reading)
    if strict and sentences:
        raise UserError(
            f"{benchmark.title} is not as published: {' '.join(sentences)} Complete the folder from the"
            " archive, or accept these counts with `ingestion.strict_counts: false`."
        )
    return sentences


def found_counts(manifest: pd.DataFrame, parts: Iterable[str]) -> dict[str, Counts]:
    """Count images and identities of subsets, or of test sets. Junk and distractors are no identities."""
    counts = {}
    for part in parts:
        if part in SUBSETS:
            rows = manifest[SUBSET] == part
        else:
            rows = (" " + manifest[TEST_SETS] + " ").str.contains(f" {part} ", regex=False)
        pids = manifest.loc[rows, PID]
        counts[part] = Counts(len(pids), pids[pids > DISTRACTOR_PID].nunique())
    return counts


def version_meant(versions: Sequence[Version], name: str | None, manifest: pd.DataFrame) -> Version:
    """Return the version of that name, else the nearest by images, the first of several."""
    named = [version for version in versions if version.name == name]

    def distance(version: Version) -> int:
        found = found_counts(manifest, version.counts)
        return sum(abs(found[part].images - counts.images) for part, counts in version.counts.items())

    return named[0] if named else min(versions, key=distance)


def _fits(manifest: pd.DataFrame, version: Version) -> bool:
    found = found_counts(manifest, version.counts)
    return all(_agrees(found[part], counts) for part, counts in version.counts.items())


def _agrees(found: Counts, published: Counts) -> bool:
    same = published.identities is None or found.identities == published.identities
    return found.images == published.images and same


def _difference(part: str, found: Counts, published: Counts, version: str) -> str:
    name = part if part in SUBSETS else f"test set {part}"
    given = f"{name} has {found.images:,} images"
    wanted = f"published ({version}): {published.images:,}"
    if published.identities is not None:
        given += f" of {found.identities:,} identities"
        wanted += f" of {published.identities:,}"
    if found.images != published.images:
        return f"{given}; {wanted}, {_by_how_many(found.images - published.images)}."
    by = (found.identities or 0) - (published.identities or 0)
    return f"{given}; {wanted}, {_by_how_many(by)} {'identity' if abs(by) == 1 else 'identities'}."


def _by_how_many(difference: int) -> str:
    return f"{abs(difference):,} {'more' if difference > 0 else 'fewer'}"
