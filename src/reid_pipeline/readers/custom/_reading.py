"""From rows of text to the manifest, for every form."""

import pandas as pd

from reid_pipeline.readers.custom._identities import number_identities
from reid_pipeline.readers.custom._numbers import camera_names, numbered
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._subsets import SPLIT_WORDS, subsets_of
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, SUBSET, TEST_SETS, TRACKID, VIEWID


def reading_of(
    rows: Rows, path: "pd.Series[str]", notes: list[str], *, allowed: tuple[str, ...] = SPLIT_WORDS
) -> Reading:
    """Conclude the manifest from rows of text.

    Args:
        rows: columns pid and, where there are such, split, camid, viewid and trackid.
        path: the file of each row.
        notes: what was noted so far.
        allowed: words of the split column, for messages.

    Raises:
        UserError: see the functions that conclude each column.
    """
    subset, subset_notes = subsets_of(rows, allowed=allowed)
    identity, pid, pid_notes = number_identities(rows, subset)
    columns: dict[str, pd.Series] = {
        PATH: path,
        IDENTITY: identity,
        SUBSET: subset,
        TEST_SETS: pd.Series("", index=path.index, dtype="str"),
        PID: pid,
    }
    number_notes = []
    for name in (CAMID, VIEWID, TRACKID):
        columns[name], said = numbered(rows, name)
        number_notes += said
    columns[CAMERA] = camera_names(rows)
    manifest = pd.DataFrame(columns).sort_values(PATH, ignore_index=True)
    return Reading(manifest, notes=(*notes, *subset_notes, *pid_notes, *number_notes))
