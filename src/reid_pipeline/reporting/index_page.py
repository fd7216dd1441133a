"""The index: all pages of a results folder, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from reid_pipeline.reporting.formats import counted
from reid_pipeline.reporting.page import rendered
from reid_pipeline.schema.errors import printable
from reid_pipeline.schema.sample import in_words

INDEX = "index.html"
"""Its name, in the folder of all pages."""
_KINDS: Mapping[str, str] = {
    "report": "Report",
    "dataset": "Dataset",
    "comparison": "Comparison",
    "leaderboard": "Leaderboard",
    "cross_benchmark": "Cross-benchmark",
    "tuning": "Tuning",
    "gallery": "Gallery",
    "search": "Search",
    "identify": "Identification",
}
"""What a page is, by the name of its file; a report's ends with the seed."""
_ALL, _GALLERIES = "All benchmarks", "galleries"


@dataclass(frozen=True)
class ListedPage:
    """A page that lies below the index.

    Attributes:
        path: as seen from the index.
        title: its own, empty if it has none.
        made: when it was written, in local time.
    """

    path: PurePosixPath
    title: str
    made: datetime

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return _KINDS.get(self.path.stem.partition("_seed_")[0], "Page")

    @property
    def subject(self) -> str:
        """What it is of: a benchmark, a gallery, or all benchmarks."""
        first, *rest = self.path.parts
        if first == _GALLERIES and len(rest) > 1:
            return f"Gallery {rest[0]}"
        return _ALL if len(rest) < 2 and first in {*_KINDS, self.path.name} else in_words(first)

    def row(self) -> dict[str, str]:
        """Return what the template shows."""
        address = quote(str(self.path).encode("utf-8", "surrogateescape"), safe="/+,=@~()!'")
        made = {"made": f"{self.made:%Y-%m-%d %H:%M}", "stamp": f"{self.made:%Y-%m-%dT%H:%M:%S}"}
        title = printable(self.title or str(self.path))
        return {"title": title, "address": address, "kind": self.kind, "subject": printable(self.subject), **made}


def render_index(pages: Sequence[ListedPage]) -> str:
    """Return the index of pages, which come newest first; the same pages give the same index."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in (page.row() for page in pages):
        groups.setdefault(row["subject"], []).append(row)
    return rendered("index.html.j2", groups=groups, number=counted(len(pages), "page"))
