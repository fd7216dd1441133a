"""Some identities of a manifest, before any image is opened: a sample that runs in minutes."""

from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import DISTRACTOR_PID, FAULT, NO_LABEL, PATH, PID, SHA256, SPLIT, SUBSET
from reid_pipeline.schema.parameters import SplitParameters
from reid_pipeline.schema.sample import IMAGES_EACH, SAMPLE, SampledSide, SampleFacts
from reid_pipeline.splits.normalise import dropped_without_viewpoint, normalise_splits
from reid_pipeline.splits.sampling import by_hash, sampled_identities

_LEARNT = ("train", "dev_query", "dev_gallery")
_ASKED = ("query", "test")


def sampled_manifest(
    manifest: pd.DataFrame, parameters: SplitParameters, identities: int, *, drop_without_viewpoint: bool = False
) -> tuple[pd.DataFrame, SampleFacts]:
    """Return the rows of so many training and as many test identities, all images of each, and what they are of.

    Which identities are trained on and which are tested is as in the whole, whose splits need no image. The identities
    are sampled by the hash of their pid with `splits.seed` (ADR 9), so that fewer are among more. Tested are identities
    with a query; those that the gallery alone shows, distractors and junk come in the share in which the tested do,
    and unlabelled images in that of the trained; where no identity is known, `IMAGES_EACH` images for each asked for.
    Where the collection gives no split, twice as many are sampled, and parted as `splits.test_fraction` says.
    With `drop_without_viewpoint` images are dropped first: those that the whole drops, which knows who has a viewpoint.

    Raises:
        UserError: the whole cannot be split (see `normalise_splits`).
    """
    tables = normalise_splits(manifest, _unopened(manifest), parameters, drop_without_viewpoint=drop_without_viewpoint)
    whole = tables.split_table
    if drop_without_viewpoint:
        manifest = manifest[~dropped_without_viewpoint(manifest)]
    split = manifest[PATH].map(whole.set_index(PATH)[SPLIT])
    learnt = split.isin(_LEARNT) | (split.isna() & (manifest[SUBSET] == "train"))
    named = manifest[PID] > DISTRACTOR_PID
    asked = named & manifest[PID].isin(manifest.loc[split.isin(_ASKED), PID]) & ~learnt
    trained, tested = _numbers(manifest, learnt & named, asked, parameters, identities)
    taken = pd.Series(data=False, index=manifest.index)
    sides = []
    for side, known, count in ((learnt, learnt & named, trained), (~learnt, asked, tested)):
        pids, selected = _identities(manifest[known], count, parameters.seed)
        taken |= known & manifest[PID].isin(selected)
        share = len(selected) / len(pids) if len(pids) else min(1.0, identities * IMAGES_EACH / max(1, side.sum()))
        taken |= manifest.index.isin(_share_of_others(manifest[side & ~known], share, parameters.seed).index)
        sides.append((side, SampledSide(identities=len(selected), of_identities=len(pids), images=0, of_images=0)))
    taken |= (manifest[SUBSET] == "unassigned") & named & manifest[PID].isin(manifest.loc[taken, PID])
    train, test = (
        counts.model_copy(update={"images": int((taken & side).sum()), "of_images": int(side.sum())})
        for side, counts in sides
    )
    return manifest[taken].reset_index(drop=True), SampleFacts(train=train, test=test, **_training(whole))


def noted_sample(split_table: pd.DataFrame) -> SampleFacts | None:
    """Return what a split table, or rows of one, are a sample of; None for those of a whole benchmark."""
    noted = split_table.attrs.get(SAMPLE)
    return None if noted is None else SampleFacts.model_validate(noted)


def with_sample(split_table: pd.DataFrame, sample: Any) -> pd.DataFrame:
    """Note in a split table what it is a sample of; `sample` as reading.json has it, None for the whole."""
    if sample is not None:
        split_table.attrs[SAMPLE] = SampleFacts.model_validate(sample).model_dump(mode="json")
    return split_table


def _unopened(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return facts of image files by which every one can be decoded."""
    return pd.DataFrame({PATH: manifest[PATH], SHA256: "0" * 64, FAULT: ""})


def _numbers(
    manifest: pd.DataFrame,
    learnt: "pd.Series[bool]",
    asked: "pd.Series[bool]",
    parameters: SplitParameters,
    identities: int,
) -> tuple[int, int]:
    """Return how many identities are sampled to train on, and how many to test on."""
    parted = not (manifest[SUBSET] == "train").any() and (manifest.loc[learnt, SUBSET] == "unassigned").any()
    if not parted or not parameters.disjoint:
        return identities, identities
    there = int(manifest.loc[learnt | asked, PID].nunique())
    both = min(2 * identities, there)
    tested = min(max(1, round(parameters.test_fraction * both)), max(both - 1, 0))
    return both - tested, tested


def _identities(rows: pd.DataFrame, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all pids, and those sampled."""
    return rows[PID].unique(), sampled_identities(rows, count, seed, SAMPLE)


def _share_of_others(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Return a share of what is sampled otherwise: identities of the gallery alone, and images without an identity."""
    alone = rows[rows[PID] > DISTRACTOR_PID]
    _, selected = _identities(alone, round(share * alone[PID].nunique()), seed)
    found = [alone[alone[PID].isin(selected)]]
    for _, images in rows[rows[PID] <= DISTRACTOR_PID].groupby(PID):
        found.append(by_hash(images, seed, SAMPLE)[: round(share * len(images))])
    return pd.concat(found)


def _training(whole: pd.DataFrame) -> dict[str, Any]:
    """Return the size of the whole: images to train and to test on, and how many identities have how many."""
    train = whole[whole[SPLIT] == "train"]
    images = train.loc[train["label"] > NO_LABEL, PID].value_counts()
    found = images.value_counts().sort_index()
    return {
        "training_images": len(train),
        "test_images": int(whole[SPLIT].isin(("query", "gallery", "test")).sum()),
        "images_per_identity": tuple(zip(found.index.tolist(), found.tolist(), strict=True)),
    }
