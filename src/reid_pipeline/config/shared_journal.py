"""The file that machines share of a study, where `tuning.storage` names one."""

from collections.abc import Mapping
from typing import Any

from reid_pipeline.schema.tuning import JOURNAL


def shared_journal(parameters: Mapping[str, Any]) -> str | None:
    """Return the path of `journal:///<path>`; None for a database, for none, and for what is refused later."""
    block = parameters.get("tuning")
    storage = block.get("storage") if isinstance(block, Mapping) else None
    return storage.removeprefix(JOURNAL) or None if isinstance(storage, str) and storage.startswith(JOURNAL) else None
