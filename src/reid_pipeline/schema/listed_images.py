"""Image files that a user lists, and what is known of each."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pandas as pd

from reid_pipeline.schema.columns import IDENTITY


@dataclass(frozen=True)
class ListedImages:
    """Files to be embedded.

    Attributes:
        root: the folder that relative paths begin at.
        rows: `schema.tables.EMBEDDED_IMAGES`, in the order of the list; of a folder by path.
        notes: sentences on how it was read.
        given: what the user named, in full.
        by_folder: whether identities are the names of folders.
    """

    root: Path
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()
    given: str = ""
    by_folder: bool = False

    def without_folder_names(self) -> Self:
        """Return the images of nobody, where only folders named somebody."""
        return replace(self, rows=self.rows.assign(**{IDENTITY: ""}), by_folder=False) if self.by_folder else self
