"""bench/pages.py: what it finds wrong, of answers as a browser gives them; and what it says where there is none."""

from pathlib import Path
from typing import Any

import pytest
from bench_programs import bench_program

program = bench_program("pages")

FINE: dict[str, Any] = {"overflow": 0, "height": 900, "broken": [], "undrawn": [], "nameless": 0, "links": []}


def test_a_page_with_nothing_wrong() -> None:
    quiet = [{"method": "Page.loadEventFired", "params": {}}, {"id": 3, "result": {}}]
    talk = {"method": "Runtime.consoleAPICalled", "params": {"type": "log", "args": [{"value": "hello"}]}}
    assert program.faults({**FINE, "links": ["https://example.org/x", __file__]}, [*quiet, talk]) == []


def test_all_that_is_wrong_is_named(tmp_path: Path) -> None:
    events = [
        {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": {"text": "Uncaught", "exception": {}}}},
        {"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": [{"value": "no"}, {"value": 2}]}},
        {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": "refused", "url": "x.js"}}},
    ]
    gone = (tmp_path / "a b.html").as_uri()
    found = {**FINE, "overflow": 12, "broken": ["id 3"], "undrawn": ["loss"], "nameless": 2, "links": [f"{gone}#top"]}
    assert program.faults(found, events) == [
        "console: Uncaught",
        "console: no 2",
        "console: refused x.js",
        "12 pixels broader than the window",
        "figure loss is not drawn",
        "picture is not shown: id 3",
        "2 pictures without words",
        f"link leads nowhere: {gone}#top",
    ]
    (tmp_path / "a b.html").write_text("")
    assert program.leads_somewhere(f"{gone}#top")


def test_pages_that_are_being_written_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / ".x").mkdir()
    for name in ("b.html", "a.html", ".x/c.html", "d.txt"):
        (tmp_path / name).write_text("")
    assert [file.name for file in program.pages_of(tmp_path)] == ["a.html", "b.html"]


@pytest.mark.parametrize(
    ("browser", "words"), [("", "there is no browser on this machine"), ("sh", "there is no page")]
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], browser: str, words: str
) -> None:
    monkeypatch.setattr(program, "find_browser", lambda _: browser)
    with pytest.raises(SystemExit):
        program.main([str(tmp_path)])
    assert words in capsys.readouterr().err
