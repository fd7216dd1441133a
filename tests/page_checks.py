"""What must hold of all pages of a results folder, and can be seen without a browser."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

LARGEST = 1_500_000
"""Bytes of a page."""
NARROWEST = 400
"""Pixels of the narrowest window that pages are made for."""
_ADDRESSES = {"src", "href", "srcset", "data", "action", "poster"}


class _Read(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.ids: Counter[str] = Counter()
        self.labelled: set[str] = set()
        self.without_words = 0
        self.widths: list[int] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.links += [(tag, value) for name, value in given.items() if name in _ADDRESSES]
        self.ids.update([given["id"]] if "id" in given else [])
        self.labelled |= set(given.get("aria-labelledby", "").split())
        self.without_words += tag == "img" and not given.get("alt")
        self.widths += [int(number) for number in re.findall(r"width: (\d+)px", given.get("style", ""))]


def check_pages(folder: Path) -> set[str]:
    """Check the pages below `folder`, and that its index and they lead to each other; return their paths."""
    pages = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.html")}
    found = {name: _Read(file.read_text(encoding="utf-8")) for name, file in pages.items()}
    for name, page in found.items():
        assert pages[name].stat().st_size < LARGEST, name
        assert not page.without_words, f"{name}: pictures without words"
        assert [each for each, number in page.ids.items() if number > 1] == [], name
        assert page.labelled <= set(page.ids), name
        assert max(page.widths, default=0) < NARROWEST - 40, name
        for tag, link in page.links:
            assert leads_somewhere(pages[name], page, link), (name, tag, link[:80])
    listed = [unquote(link) for tag, link in found["index.html"].links if tag == "a"]
    assert sorted(listed) == sorted(set(pages) - {"index.html"})
    times = [pages[name].stat().st_mtime for name in listed]
    groups = re.findall(r'<ul class="pages">(.*?)</ul>', pages["index.html"].read_text(), re.DOTALL)
    for group in groups:
        own = [times[listed.index(unquote(link))] for link in re.findall(r'<a href="([^"]+)"', group)]
        assert own == sorted(own, reverse=True), "newest first"
    return set(listed)


def leads_somewhere(file: Path, page: _Read, link: str) -> bool:
    """Return whether a link is to a part of the page, holds its content, or is to a file beside; none is remote."""
    if link.startswith(("data:image/", "#")) or link == "data:,":
        return not link.startswith("#") or link[1:] in page.ids
    return ":" not in link and (file.parent / unquote(link)).is_file()
