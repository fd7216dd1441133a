"""What a gallery says of probes: ranked entries of a search and answers of an identification, as tables and pages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.gallery_probes import Probes, filters_of, hits_of_words
from reid_pipeline.gallery import Gallery, Hits
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.contact_sheets import HEIGHT, Picture, thumbnail
from reid_pipeline.reporting.formats import counted
from reid_pipeline.reporting.gallery_pages import AnswerContent, Shown, missing_picture, render_answers
from reid_pipeline.reporting.page import aligned
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.gallery_parameters import FilterParameters, IdentifyParameters, SearchParameters

PROBE, RANK, SCORE, ID, ANSWER = "probe", "rank", "score", "id", "answer"
_ENTRY = (IDENTITY, PATH, CAMERA, "time", "collection", "trackid")
_PRINTED = 12
"""Rows in the terminal."""
_ENTRIES, _HEIGHT = 10, 80
"""Pictures of entries beside a probe on a page, and how many pixels high they are."""
_KINDS = {"known": "match", "new": "mismatch", "unsure": ""}

Answers = tuple[pd.DataFrame, str, str, str]
"""Table, the same as CSV, page, and what the terminal prints."""


def search_answers(gallery: Gallery, probes: Probes, search: SearchParameters, given: FilterParameters) -> Answers:
    """Rank the entries for each probe, best first."""
    if probes.columns is None:
        hits = gallery.search(probes.vectors, search.top, filters=filters_of(given, probes))
    else:
        hits = hits_of_words(gallery, probes.vectors, probes.columns, search.top, given)
    table = search_table(gallery, probes, hits)
    remarks = [*probes.remarks, *_left_alone(probes, hits, given)]
    content = AnswerContent(
        name=gallery.folder.name,
        title="Search",
        lead="The entries that are most like each probe, the nearest first; the number is the cosine of the two"
        " embeddings. It ranks, and does not decide: who is known is the question of identify.",
        facts=_facts(gallery, given, len(probes.names)),
        shown=[_shown(gallery, probes, row, hits, ("", "")) for row in range(min(search.shown, len(probes.names)))],
        total=len(probes.names),
        warnings=remarks,
    )
    best = table.loc[table[RANK] == 1, [PROBE, IDENTITY, SCORE, PATH]].itertuples(index=False)
    rows = [[shown_path(probe), name, _number(score), shown_path(path)] for probe, name, score, path in best]
    printed = [[PROBE, "nearest", SCORE, PATH], *rows]
    return table, _csv(table), render_answers(content), _printed(printed, remarks)


def identify_answers(
    gallery: Gallery, probes: Probes, identify: IdentifyParameters, given: FilterParameters
) -> Answers:
    """Say of each probe who it is, that it is new, or that the gallery cannot tell, with the nearest entries."""
    cameras = list(probes.cameras)
    unseen = _without_camera(gallery, cameras)
    found = gallery.identify(probes.vectors, cameras=cameras, k=identify.nearest, filters=filters_of(given, probes))
    table = identify_table(gallery, probes, found)
    counts = found["answer"].value_counts()
    parts = [f"{counts.get(answer, 0):,} {answer}" for answer in _KINDS]
    unconfirmed = int(((found["answer"] != "new") & ~found["confirmed"]).sum())
    hits, count = _hits(found), min(identify.shown, len(found))
    remarks = [*probes.remarks, *unseen, *_left_alone(probes, hits, given, ": they are new since nobody is left")]
    if unconfirmed:
        remarks.append(
            f"{unconfirmed:,} of the answers name clusters that nobody has confirmed, and promise nothing: rename these"
            " when you know who they are."
        )
    verdicts = [_verdict(*each) for each in found[[ANSWER, IDENTITY, SCORE]].head(count).itertuples(index=False)]
    shown = [_shown(gallery, probes, row, hits, verdict) for row, verdict in enumerate(verdicts)]
    content = AnswerContent(
        name=gallery.folder.name,
        title="Who is this?",
        lead=f"{counted(len(found), 'probe')}: {', '.join(parts)}. {promise(gallery)}",
        facts=_facts(gallery, given, len(found)),
        shown=shown,
        total=len(found),
        warnings=remarks,
    )
    listed = table[[PROBE, ANSWER, IDENTITY, SCORE]].itertuples(index=False)
    rows = [[shown_path(probe), answer, name, _number(score)] for probe, answer, name, score in listed]
    text = [f"{', '.join(parts)}. {promise(gallery)}", *remarks]
    return table, _csv(table), render_answers(content), _printed([[PROBE, "answer", IDENTITY, SCORE], *rows], text)


def identify_table(gallery: Gallery, probes: Probes, found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each probe: the answer, its score and threshold, the nearest entry, and others near."""
    nearest = [ids[0] if ids else -1 for ids in found["nearest"]]
    known = [each for each in nearest if each >= 0]
    entries = gallery.entries(known)[list(_ENTRY)]
    at = np.full(len(nearest), -1)
    at[[place for place, each in enumerate(nearest) if each >= 0]] = np.arange(len(known))
    evidence = {
        f"nearest_{name}": [entries[name].iloc[place] if place >= 0 else None for place in at] for name in _ENTRY
    }
    listed = zip(found["nearest"], found["nearest_scores"], strict=True)
    others = [_others(gallery, ids, scores) for ids, scores in listed]
    columns = [ANSWER, IDENTITY, SCORE, "threshold", "confirmed"]
    head = found[columns].reset_index(drop=True).astype({ANSWER: "str", IDENTITY: "str"})
    probe = pd.Series(list(probes.names), dtype="str", name=PROBE)
    return pd.concat([probe, head, pd.DataFrame(evidence), pd.Series(others, name="others", dtype="str")], axis=1)


def promise(gallery: Gallery) -> str:
    """Return what identify promises, in a sentence or two."""
    made = gallery.calibration
    if made is None:
        return "It is not calibrated: identify needs a threshold, which the pipeline calibrate sets."
    if not gallery.is_calibrated:
        return (
            "It has changed since it was calibrated: identify computes the threshold anew, for a false-alarm rate of"
            f" {100 * made.false_alarm:g} %."
        )
    unsure = apart = ""
    if made.unsure is not None and made.unsure_threshold is not None:
        unsure = f"; unsure is what scores above {made.unsure_threshold:.4f}, at most {100 * made.unsure:g} %"
    if made.other_cameras:
        apart = " Images of one camera are not compared."
    return (
        f"Known is what scores above {made.threshold:.4f}: of newcomers like the {made.identities:,} confirmed"
        f" identities at most {100 * made.false_alarm:g} % do, on average{unsure}.{apart}"
    )


def _without_camera(gallery: Gallery, cameras: Sequence[str]) -> list[str]:
    """Return a sentence on probes that meet entries of their own camera, which calibration left out.

    Raises:
        UserError: all do.
    """
    made, unknown = gallery.calibration, sum(not camera for camera in cameras)
    if made is None or not made.other_cameras or not unknown:
        return []
    if unknown == len(cameras):
        raise UserError(
            f"Gallery {gallery.folder.name} was calibrated without pairs of one camera (calibrate.other_cameras), and"
            " no picture that is asked about has a camera. Give a table with the columns path and camera; or calibrate"
            " anew, with calibrate.other_cameras=false."
        )
    return [
        f"{unknown:,} of {len(cameras):,} probes have no camera: entries of theirs were not left out, as they were in"
        " calibration, so the promise does not hold for these."
    ]


def _left_alone(probes: Probes, hits: Hits, given: FilterParameters, then: str = "") -> list[str]:
    """Return a sentence on the probes that the filter leaves no entry for, and what follows, if there are any."""
    without = [name for name, ids in zip(probes.names, hits.ids, strict=True) if (ids < 0).all()]
    if not without:
        return []
    timed = " Entries without a time meet no filter of time." if given.since or given.before else ""
    return [f"The filter leaves no entry for {first_few(without)}{then}.{timed}"]


def _others(gallery: Gallery, ids: Sequence[int], scores: Sequence[float]) -> str:
    """Return who else is near: the best of each identity after the first."""
    names = gallery.entries(ids)[IDENTITY].tolist() if ids else []
    best: dict[str, float] = {}
    for name, score in zip(names, scores, strict=True):
        best.setdefault(name, score)
    return "; ".join(f"{name} {score:.3f}" for name, score in list(best.items())[1:])


def _hits(found: pd.DataFrame) -> Hits:
    width = max([1, *map(len, found["nearest"])])
    ids, scores = np.full((len(found), width), -1), np.full((len(found), width), np.nan, dtype=np.float32)
    for row, (those, theirs) in enumerate(zip(found["nearest"], found["nearest_scores"], strict=True)):
        ids[row, : len(those)], scores[row, : len(those)] = those, theirs
    return Hits(ids, scores)


def _verdict(answer: str, name: str, score: float) -> tuple[str, str]:
    """Return an answer in words, and its CSS class."""
    who = {"known": f": {name}", "unsure": f": perhaps {name}"}.get(answer, "")
    return f"{answer}{who} ({_number(score) or 'nobody to compare with'})", _KINDS[answer]


def shown_path(path: str) -> str:
    """Return a path as people read it: relative to where the run was started, if below it."""
    whole, here = Path(path), Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else path


def _number(score: float) -> str:
    return "" if np.isnan(score) else f"{score:.3f}"


def search_table(gallery: Gallery, probes: Probes, hits: Hits) -> pd.DataFrame:
    """Return a row for each probe and rank: probe, rank from 1, score (cosine), the entry, and its id."""
    probe, rank = np.nonzero(hits.ids >= 0)
    ids = hits.ids[probe, rank]
    types = {name: "int64" if name == "trackid" else "str" for name in _ENTRY}
    entries = gallery.entries(ids)[list(_ENTRY)].reset_index(drop=True).astype(types)
    head = {
        PROBE: pd.Series([probes.names[row] for row in probe.tolist()], dtype="str"),
        RANK: rank + 1,
        SCORE: hits.scores[probe, rank].astype(np.float64),
    }
    return pd.concat([pd.DataFrame(head), entries, pd.DataFrame({ID: ids})], axis=1)


def picture_of(file: Path, height: int = HEIGHT) -> Picture:
    """Return the thumbnail of a picture, uint8 [H, W, 3]; a grey tile where the file is gone or damaged."""
    try:
        return thumbnail(read_image(file), height)
    except UserError:
        return missing_picture()


def _shown(gallery: Gallery, probes: Probes, row: int, hits: Hits, verdict: tuple[str, str]) -> Shown:
    """Return a probe with its nearest entries, as the page shows it."""
    ids = hits.ids[row][hits.ids[row] >= 0][:_ENTRIES]
    entries, file = gallery.entries(ids), probes.files[row]
    scores = hits.scores[row][: len(ids)]
    lines = [
        " ".join(filter(None, [name, camera, _number(score)]))
        for name, camera, score in zip(entries[IDENTITY], entries[CAMERA], scores, strict=True)
    ]
    pictures = [picture_of(Path(path), _HEIGHT) for path in entries[PATH]]
    asked = [] if file is None else [picture_of(file, _HEIGHT)]
    title = shown_path(probes.names[row])
    return Shown(title, verdict[0], [*asked, *pictures], lines, kind=verdict[1], asked=file is not None)


def _facts(gallery: Gallery, given: FilterParameters, count: int) -> list[tuple[str, str]]:
    filters = {name: value for name, value in given.model_dump().items() if value}
    words = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in filters.items()}
    return [
        ("Probes", str(count)),
        ("Model", gallery.model[:12]),
        *((f"Filter {name}", text) for name, text in words.items()),
    ]


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n", float_format="%.6f"))


def _printed(rows: list[list[str]], remarks: Sequence[str]) -> str:
    more = len(rows) - 1 - _PRINTED
    return "\n".join([*aligned(rows[: _PRINTED + 1]), *([f"and {more} more"] if more > 0 else []), *remarks])
