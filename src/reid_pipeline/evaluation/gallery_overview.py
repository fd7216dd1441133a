"""Who is in a gallery: its page, its identities as CSV, and what the terminal prints after a change."""

from pathlib import Path

from reid_pipeline.evaluation.gallery_answers import picture_of, promise
from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Changed
from reid_pipeline.reporting.formats import counted
from reid_pipeline.reporting.gallery_pages import GalleryContent, Shown, render_gallery
from reid_pipeline.schema.columns import IDENTITY, PATH

_LOOKED_AT = 20_000
"""Entries whose pictures are shown: the first ones of the first identities among them."""
_IDENTITIES, _PICTURES = 30, 8


def overview(changed: Changed) -> tuple[str, str, str]:
    """Return page, CSV of the identities, and sentences for the terminal."""
    gallery = changed.gallery
    identities = gallery.identities()
    content = GalleryContent(gallery.folder.name, changed.done, identities, _facts(gallery), _shown(gallery))
    size = f"{counted(len(gallery), 'entry', 'entries')} of {counted(len(identities), 'identity', 'identities')}"
    notes = [*changed.done, f"Gallery {gallery.folder.name} holds {size}. {promise(gallery)}"]
    csv = str(identities.to_csv(index=False, lineterminator="\n"))
    return render_gallery(content), csv, "\n".join(notes)


def _facts(gallery: Gallery) -> list[tuple[str, str]]:
    origin = gallery.origin
    of_model = "" if origin is None else str(origin.parameters.get("model", ""))
    facts = [("Promise", promise(gallery)), ("Model", f"{of_model} {gallery.model[:12]}".strip())]
    return facts if origin is None else [*facts, ("Labels that the model learnt from", origin.label_use)]


def _shown(gallery: Gallery) -> list[Shown]:
    entries = gallery.entries(gallery.ids[:_LOOKED_AT].tolist())
    shown = []
    for name, group in list(entries.groupby(IDENTITY, sort=False))[:_IDENTITIES]:
        first = group.head(_PICTURES)
        confirmed = "" if group["confirmed"].all() else "not confirmed"
        verdict = ", ".join(filter(None, [counted(len(group), "image"), confirmed]))
        lines = [Path(path).name for path in first[PATH]]
        shown.append(Shown(str(name), verdict, [picture_of(Path(path)) for path in first[PATH]], lines, asked=False))
    return shown
