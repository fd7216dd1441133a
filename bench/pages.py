"""Do the pages look as they should? Opens all of a results folder in a browser, narrow and broad, light and dark.

    python bench/pages.py                                   data/08_reporting
    python bench/pages.py data/08_reporting --screenshots data/08_reporting/.screenshots

Fails on an error in the console, on a page that is broader than its window, on a figure that is not drawn, a picture
that is not shown, and a link that leads nowhere. WebGL is switched off. Needs Chromium (Debian: apt install chromium)
or Chrome, which CI's bare machine has not: what can be checked without one is checked by the tests
(tests/reporting/test_pages_together.py), which look at pages as text.
"""

import argparse
import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import NAMES, Tab, find_browser, opened

WIDTHS, SCHEMES = (400, 1400), ("light", "dark")
_TALLEST = 30_000  # pixels of a screenshot
_HEIGHT = 900
_SETTLED = """new Promise(done => {
  document.querySelectorAll("img").forEach(each => { each.loading = "eager"; });
  Promise.all([...document.images].map(each => each.decode().catch(() => null))).then(() => setTimeout(done, 150));
})"""
_FOUND = """({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  height: document.documentElement.scrollHeight,
  broken: [...document.images].filter(each => !each.naturalWidth).map(each => each.alt),
  undrawn: [...document.querySelectorAll("figure.chart")].filter(each => !each.querySelector(".main-svg"))
    .map(each => each.id),
  nameless: [...document.images].filter(each => !each.alt).length,
  links: [...document.querySelectorAll("a[href]")].map(each => each.href),
})"""


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width} {self.scheme}"


def pages_of(folder: Path) -> list[Path]:
    """Return the HTML pages below a folder."""
    files = [file for file in sorted(folder.rglob("*.html")) if file.is_file()]
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def faults(found: dict[str, Any], events: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is wrong with a page, from what was found on it and what came from the browser meanwhile."""
    wrong = [f"console: {text}" for text in console_errors(events)]
    if found["overflow"] > 0:
        wrong.append(f"{found['overflow']} pixels broader than the window")
    wrong += [f"figure {name} is not drawn" for name in found["undrawn"]]
    wrong += [f"picture is not shown: {name}" for name in found["broken"]]
    if found["nameless"]:
        wrong.append(f"{found['nameless']} pictures without words")
    return wrong + [f"link leads nowhere: {link}" for link in found["links"] if not leads_somewhere(link)]


def leads_somewhere(link: str) -> bool:
    """Return whether a link to a file is to one that is there; others are not followed."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(link)
    return parts.scheme != "file" or Path(unquote(parts.path)).is_file()


def console_errors(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield errors and warnings of the console, and exceptions that nobody caught."""
    for event in events:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            yield str(details.get("exception", {}).get("description") or details.get("text"))
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning", "assert"}:
            yield " ".join(str(each.get("value", each.get("description", ""))) for each in params["args"])
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            yield f"{params['entry']['text']} {params['entry'].get('url', '')}".strip()


def look_at(tab: Tab, page: Path, look: Look) -> dict[str, Any]:
    """Open a page and return what was found on it."""
    tab.events.clear()
    tab.ask("Emulation.setDeviceMetricsOverride", width=look.width, height=_HEIGHT, deviceScaleFactor=1, mobile=False)
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": look.scheme}])
    tab.ask("Page.navigate", url=page.resolve().as_uri())
    tab.wait_for("Page.loadEventFired")
    tab.value(_SETTLED)
    found: dict[str, Any] = tab.value(_FOUND)
    return found


def take_screenshot(tab: Tab, look: Look, height: int, file: Path) -> None:
    """Store the whole page as PNG, or its first part if it is very tall."""
    clip = {"x": 0, "y": 0, "width": look.width, "height": min(height, _TALLEST), "scale": 1}
    shot = tab.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(base64.b64decode(shot["data"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at all pages, print what is wrong, and return how many looks found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/08_reporting"))
    parser.add_argument("--browser", default="", help=f"the program; else the first of {', '.join(NAMES)}")
    parser.add_argument("--screenshots", type=Path, help="folder to store one of every look in")
    given = parser.parse_args(arguments)
    pages, program = pages_of(given.folder), find_browser(given.browser)
    if not program:
        parser.error("there is no browser on this machine. Debian: apt install chromium. Or name one: --browser=<path>")
    if not pages:
        parser.error(f"there is no page below {given.folder}. Run a method first: kedro run --pipeline=zero_shot")
    failed = 0
    with opened(program) as tab:
        for page in pages:
            name = page.relative_to(given.folder)
            for look in [Look(width, scheme) for width in WIDTHS for scheme in SCHEMES]:
                found = look_at(tab, page, look)
                wrong = faults(found, tab.events)
                failed += bool(wrong)
                print(f"{name}, {look}: {'; '.join(wrong) or 'fine'}")
                if given.screenshots:
                    file = given.screenshots / name.with_suffix("") / f"{look.width}_{look.scheme}.png"
                    take_screenshot(tab, look, found["height"], file)
    print(f"{len(pages)} pages, {len(pages) * len(WIDTHS) * len(SCHEMES)} looks, {failed} with something wrong")
    return failed


if __name__ == "__main__":
    raise SystemExit(bool(main()))
