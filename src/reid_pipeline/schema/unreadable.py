"""The rule for images that cannot be decoded: `ingestion.on_unreadable`."""

import pandas as pd

from reid_pipeline.schema.columns import FAULT, PATH
from reid_pipeline.schema.errors import UserError, first_few


def readable(facts: pd.DataFrame, *, skip: bool) -> "pd.Series[bool]":
    """Return which images of a table with paths and faults can be decoded.

    Raises:
        UserError: there are others, and they are not skipped; the first few are named.
    """
    unreadable = facts[facts[FAULT] != ""]
    if len(unreadable) and not skip:
        cases = [f"{path} ({fault})" for path, fault in zip(unreadable[PATH], unreadable[FAULT], strict=True)]
        raise UserError(
            f"{len(unreadable)} of {len(facts)} images cannot be decoded: {first_few(cases)}. Replace them by"
            " good copies, or leave them out: --params ingestion.on_unreadable=skip"
        )
    return facts[FAULT] == ""
