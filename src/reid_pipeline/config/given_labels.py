"""The file that `labels_from` names, and run cards of collections whose identities came from such a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_pipeline.config.overlays import Overlay
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.given_labels import CLUSTERS_FILE, LABELS_FROM, collection_and_labels
from reid_pipeline.schema.sample import whole_and_identities
from reid_pipeline.schema.user_paths import user_file

_REMEDY = f"Give the {CLUSTERS_FILE} of a run as it was edited, or a copy of it: docs/own_data.md."


def labels_file(given: str, project: Path) -> Path:
    """Return the file; a relative path begins at the `project`. Raises UserError where there is none."""
    return user_file(given, f"Parameter {LABELS_FROM} is", _REMEDY, folder=project)


def collection_of_card(overlay: Overlay | None, given: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return the collection, and the identities of a sample, that a run card is of; empty and None without one.

    Raises:
        UserError: its identities came from a file, and none is given.
    """
    whole, identities = whole_and_identities("" if overlay is None else overlay.benchmark)
    collection, labels = collection_and_labels(whole)
    if labels and overlay and given.get(LABELS_FROM) is None:
        raise UserError(
            f"Overlay {given['overlay']} is the run card of {overlay.benchmark!r}, whose identities come from a file:"
            f" give that one, too, --params {LABELS_FROM}=<{labels.rpartition('-')[0]}.csv>."
        )
    return collection, identities
