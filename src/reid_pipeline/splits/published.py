"""Counts of a reading against those that were published."""

from collections.abc import Iterable, Sequence

import pandas as pd

from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.columns import DISTRACTOR_PID, PID, SUBSET, SUBSETS, TEST_SETS
from reid_pipeline.schema.errors import UserError


def check_counts(benchmark: Benchmark, reading: Reading, *, strict: bool = False) -> list[str]:
    """Return where images and identities are not as many as published, in the version read or else the nearest.

    Returns:
        a sentence per subset, or test set, that differs, and one on the version whose counts these are if there is
        one; nothing when all agree or nothing was published.

    Raises:
        UserError: a count differs, and `strict` is set.
    """
    if not benchmark.versions:
        return []
    sentences = _differences(reading.manifest, version_meant(benchmark.versions, reading.version, reading.manifest))
    if sentences:
        fitting = [version.name for version in benchmark.versions if not _differences(reading.manifest, version)]
        sentences += [f"These are just the counts of version {name!r}." for name in fitting[:1]]
    if strict and sentences:
        raise UserError(
            f"{benchmark.title} is not as published: {' '.join(sentences)} Complete the folder from the"
            " archive, or accept these counts with `ingestion.strict_counts: false`."
        )
    return sentences


def found_counts(manifest: pd.DataFrame, parts: Iterable[str]) -> dict[str, Counts]:
    """Count images and identities of subsets, or of test sets. Junk and distractors are no identities."""
    rows = {part: manifest[SUBSET] == part if part in SUBSETS else in_test_set(manifest, part) for part in parts}
    pids = {part: manifest.loc[found, PID] for part, found in rows.items()}
    return {part: Counts(len(found), found[found > DISTRACTOR_PID].nunique()) for part, found in pids.items()}


def in_test_set(table: pd.DataFrame, name: str) -> "pd.Series[bool]":
    """Return which rows are in the test set of that name."""
    return (" " + table[TEST_SETS] + " ").str.contains(f" {name} ", regex=False)


def version_meant(versions: Sequence[Version], name: str | None, manifest: pd.DataFrame) -> Version:
    """Return the version of that name, else the nearest by images, the first of several."""

    def distance(version: Version) -> int:
        found = found_counts(manifest, version.counts)
        return sum(abs(found[part].images - counts.images) for part, counts in version.counts.items())

    return next((version for version in versions if version.name == name), None) or min(versions, key=distance)


def _differences(manifest: pd.DataFrame, version: Version) -> list[str]:
    found = found_counts(manifest, version.counts)
    sentences = (_difference(part, found[part], counts, version.name) for part, counts in version.counts.items())
    return list(filter(None, sentences))


def _difference(part: str, found: Counts, published: Counts, version: str) -> str:
    """Return the sentence on a part that differs; empty where it does not."""
    given = f"{part if part in SUBSETS else f'test set {part}'} has {found.images:,} images"
    wanted = f"published ({version}): {published.images:,}"
    difference, unit = found.images - published.images, ""
    if published.identities is not None:
        given += f" of {found.identities:,} identities"
        wanted += f" of {published.identities:,}"
        if not difference:
            difference = (found.identities or 0) - published.identities
            unit = " identity" if abs(difference) == 1 else " identities"
    more = f"{abs(difference):,} {'more' if difference > 0 else 'fewer'}{unit}"
    return f"{given}; {wanted}, {more}." if difference else ""
