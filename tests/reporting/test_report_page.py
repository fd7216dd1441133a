import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from reid_pipeline.reporting import RankedQuery, ReportContent, render_report
from reid_pipeline.reporting.page import flattened

HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/x onerror=\"a\">"
VOID = {"meta", "img", "br", "hr", "input", "link", "source"}
CARD = {
    "parameters": {"plan": {"epochs": 20, "milestones": [15]}, "empty": {}},
    "git_commit": "0123456789abcdef",
    "git_dirty": True,
    "device": "cpu",
    "wall_seconds": 251.2,
    "peak_memory_bytes": 2_345_678_901,
    "note": HOSTILE,
    "machine": None,
}


class Page(HTMLParser):
    """Collects tags, attributes and text, and fails on tags that do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def text(self, tag: str) -> str:
        return "\n".join(self.texts.get(tag, []))


@pytest.fixture
def content(
    history: list[dict[str, Any]], results: list[dict[str, Any]], ranked: RankedQuery
) -> ReportContent:
    return ReportContent(
        "synthetic",
        "unsupervised_pcl",
        0,
        results,
        history,
        CARD,
        [ranked],
        [ranked, ranked],
        [{"method": "PCL-CLIP", "source": "arXiv 2310.17218", "mAP": 0.884}],
    )


@pytest.fixture
def render() -> Callable[[ReportContent], tuple[str, Page]]:
    def rendered(content: ReportContent) -> tuple[str, Page]:
        source = render_report(content)
        return source, Page(source)

    return rendered


def test_page_is_self_contained(content: ReportContent, render: Any) -> None:
    source, page = render(content)
    assert len(source.encode()) < 7_000_000
    for tag, name, value in page.attributes:
        if name in {"src", "href", "srcset", "data", "action", "poster"}:
            assert value.startswith(("data:", "#")), (tag, name, value[:80])
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    style = page.text("style")
    assert "@import" not in style
    assert "url(" not in style
    policy = next(v for t, n, v in page.attributes if t == "meta" and v.startswith("default-src"))
    assert policy.startswith("default-src 'none';")


def test_plotly_is_inlined_once(content: ReportContent, render: Any) -> None:
    source, page = render(content)
    assert len(re.findall(r"\* plotly\.js v\d", source)) == 1
    assert page.attributes.count(("script", "id", "plotly-js")) == 1
    assert sum(len(text) > 1_000_000 for text in page.texts["script"]) == 1


def test_figures_on_the_page(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    charts = [
        value for tag, name, value in page.attributes if (tag, name, value) == ("figure", "class", "chart")
    ]
    assert len(charts) == 6
    assert page.attributes.count(("script", "type", "application/json")) == 6
    assert "Diagnostics only, never used in training." in page.text("p")


def test_table_statement_and_published(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    cells = page.text("td")
    for number in ("27.1", "61.2", "+34.1", "+30.0", "616 of 620", "—", "88.4"):
        assert number in cells
    assert "No labels were used" in page.text("strong")
    assert "every figure on this page was measured in this run" in page.text("p")
    assert page.texts["span"].count("published") == 1
    assert "arXiv 2310.17218" in cells


def test_labels_are_admitted(content: ReportContent, render: Any) -> None:
    _, page = render(replace(content, uses_labels=True))
    assert "Training used the identity labels" in page.text("p")
    assert "No labels" not in page.text("strong")


def test_accessibility(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags["h1"] == page.tags["title"] == page.tags["main"] == 1
    assert page.tags["caption"] == page.tags["table"] == 4
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags["th"]
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags["img"] == 3
    assert alts[0].endswith("Ranks: 1 match, 2 mismatch, 3 match.")
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for _, name, value in page.attributes if name == "aria-labelledby"} <= set(ids)


def test_every_run_card_key_is_shown(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    assert {key for key, _ in flattened(CARD)} <= set(page.texts["th"])
    assert {value for _, value in flattened(CARD)} <= set(page.texts["td"])
    assert dict(flattened(CARD)) == {
        "parameters.plan.epochs": "20",
        "parameters.plan.milestones": "[15]",
        "parameters.empty": "{}",
        "git_commit": "0123456789abcdef",
        "git_dirty": "yes",
        "device": "cpu",
        "wall_seconds": "251.2 s (4 min 11 s)",
        "peak_memory_bytes": "2,345,678,901 (2.18 GiB)",
        "note": HOSTILE,
        "machine": "—",
    }
    assert "0123456789ab with uncommitted changes" in page.text("dd")


def test_hostile_names_are_text(content: ReportContent, ranked: RankedQuery, render: Any) -> None:
    _, plain = render(content)
    hostile = replace(
        content,
        benchmark=HOSTILE,
        method=HOSTILE,
        description=HOSTILE,
        metrics=[{**result, "method": HOSTILE, "benchmark": HOSTILE} for result in content.metrics],
        history=[{**record, "losses": {HOSTILE: 1.0, "b": 2.0}} for record in content.history],
        published=[{"method": HOSTILE, "source": HOSTILE}],
        bad_queries=[replace(ranked, query_caption=HOSTILE)],
    )
    source, page = render(hostile)
    assert page.tags == plain.tags, "no tag comes from a value"
    assert HOSTILE in page.text("strong")
    assert "<script>alert" not in source
    assert not any(value.startswith("http") for _, name, value in page.attributes if name == "src")


def test_without_ground_truth_history_queries_or_card(content: ReportContent, render: Any) -> None:
    bare = [{k: v for k, v in record.items() if k != "ground_truth"} for record in content.history]
    _, page = render(replace(content, history=bare))
    assert "Agreement with the ground truth" not in page.text("h3")
    assert "ARI" not in page.texts["th"]
    _, page = render(ReportContent("b", "zero_shot", 1, content.metrics[:1]))
    assert page.tags["img"] == 0
    assert page.texts["h2"] == ["Before and after", "Run card"]
    assert "No labels were used" in page.text("strong")


def test_same_content_same_page(content: ReportContent) -> None:
    assert render_report(content) == render_report(content)


def test_no_results_are_refused(content: ReportContent) -> None:
    with pytest.raises(ValueError, match="at least one result"):
        render_report(replace(content, metrics=[]))
