import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from made_records import make_breakdown, make_epoch, make_run_card

from reid_pipeline.reporting.page import ROOT, flattened, plotly_file
from reid_pipeline.reporting.rank_lists import RankedQuery
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.schema.records import Differences, EpochRecord, Metrics

HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/x onerror=\"a\">"
VOID = {"meta", "img", "br", "hr", "input", "link", "source"}
GIVEN = {
    "parameters": {"plan": {"epochs": 20, "milestones": [15]}, "empty": {}, "note": HOSTILE},
    "git_commit": "0123456789abcdef",
    "git_dirty": True,
    "wall_seconds": 251.2,
    "peak_memory_bytes": 2_345_678_901,
    "threads": None,
}
CARD = make_run_card("unsupervised_pcl", **GIVEN)


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
def content(history: list[EpochRecord], results: list[Metrics], ranked: RankedQuery) -> ReportContent:
    return ReportContent(
        "synthetic", "unsupervised_pcl", 0, results, CARD, history, bad_queries=[ranked], good_queries=[ranked, ranked]
    )


@pytest.fixture
def render() -> Callable[[ReportContent], tuple[str, Page]]:
    def rendered(content: ReportContent) -> tuple[str, Page]:
        source = render_report(content)
        return source, Page(source)

    return rendered


def test_page_is_self_contained(content: ReportContent, render: Any) -> None:
    source, page = render(content)
    assert len(source.encode()) < 100_000
    for tag, name, value in page.attributes:
        if name in {"src", "href", "srcset", "data", "action", "poster"}:
            assert value.startswith(("data:", "#", ROOT)), (tag, name, value[:80])
    assert not {"iframe", "object", "embed", "base"} & set(page.tags)
    style = page.text("style")
    assert "@import" not in style
    assert "url(" not in style
    policy = next(v for t, n, v in page.attributes if t == "meta" and v.startswith("default-src"))
    assert policy.startswith("default-src 'none';")


def test_plotly_is_linked_once_by_its_version(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    assert re.fullmatch(r"plotly-\d+\.\d+\.\d+\.min\.js", plotly_file())
    assert [value for tag, name, value in page.attributes if (tag, name) == ("script", "src")] == [ROOT + plotly_file()]
    assert page.attributes.count(("script", "id", "plotly-js")) == 1


def test_figures_on_the_page(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    charts = [value for tag, name, value in page.attributes if (tag, name, value) == ("figure", "class", "chart")]
    assert len(charts) == 6
    assert page.attributes.count(("script", "type", "application/json")) == 6
    assert "Diagnostics only, never used in training." in page.text("p")


def test_the_table(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    cells = page.text("td")
    for number in ("27.1", "61.2", "+34.1", "+30.0", "616 of 620", "—"):
        assert number in cells
    assert "Every figure on this page was measured here" in page.text("p")


LABELS = {
    "none": ("No labels were used in training", "true identities were read only to score the results and"),
    "source": ("", "Training used the identity labels of the source it started from, and none of this bench"),
    "partial": ("", "Training used the identity labels of some training images."),
    "all": ("", "Training used the identity labels of all training images."),
    None: ("", "This run did not record whether training used identity labels."),
}


@pytest.mark.parametrize("label_use", LABELS)
@pytest.mark.parametrize("told_by", ["metrics", "run_card"])
def test_whose_labels_were_used(content: ReportContent, render: Any, label_use: Any, told_by: str) -> None:
    if told_by == "metrics":
        metrics = [content.metrics[0], content.metrics[1].model_copy(update={"label_use": label_use})]
        told = replace(content, metrics=metrics)
    else:
        told = replace(content, run_card=CARD.model_copy(update={"label_use": label_use}))
    _, page = render(told)
    stressed, sentence = LABELS[label_use]
    assert sentence in page.text("p")
    assert ("No labels" in page.text("strong")) == bool(stressed)
    assert stressed in page.text("strong")
    others = [said for use, (_, said) in LABELS.items() if use != label_use]
    assert not any(said in page.text("p") for said in others)


def test_accessibility(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags["h1"] == page.tags["title"] == page.tags["main"] == 1
    assert page.tags["caption"] == page.tags["table"] == 3
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags["th"]
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags["img"] == 12, "three queries, each with three images"
    assert alts[:3] == ["Query: id 7, camera 2", "Rank 1, a match: a", "Rank 2, another identity: b"]
    heads = [text for text in page.texts["span"] if text in {"Query", "1 ✓ match", "2 ✕ other", "3 ✓ match"}]
    assert heads == ["Query", "1 ✓ match", "2 ✕ other", "3 ✓ match"] * 3
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for _, name, value in page.attributes if name == "aria-labelledby"} <= set(ids)


def test_every_run_card_key_is_shown(content: ReportContent, render: Any) -> None:
    _, page = render(content)
    shown = dict(flattened(CARD.content()))
    assert set(shown) <= set(page.texts["th"])
    assert set(shown.values()) <= set(page.texts["td"])
    expected = {
        "parameters.plan.epochs": "20",
        "parameters.plan.milestones": "[15]",
        "parameters.empty": "{}",
        "parameters.note": HOSTILE,
        "git_commit": "0123456789abcdef",
        "git_dirty": "yes",
        "device": "cpu",
        "wall_seconds": "251.2 s (4 min 11 s)",
        "peak_memory_bytes": "2,345,678,901 (2.18 GiB)",
        "threads": "—",
        "data.train.images": "154",
    }
    assert {name: shown[name] for name in expected} == expected
    assert "0123456789ab with uncommitted changes" in page.text("dd")
    assert page.texts["dd"][:2] == ["not recorded", "cpu"]


def test_hostile_names_are_text(content: ReportContent, ranked: RankedQuery, render: Any) -> None:
    _, plain = render(content)
    hostile = replace(
        content,
        benchmark=HOSTILE,
        method=HOSTILE,
        description=HOSTILE,
        metrics=[result.model_copy(update={"method": HOSTILE, "benchmark": HOSTILE}) for result in content.metrics],
        history=[make_epoch(epoch, losses={HOSTILE: 1.0, "b": 2.0}) for epoch in (1, 2, 3)],
        bad_queries=[replace(ranked, query_caption=f"{HOSTILE} · {HOSTILE}")],
    )
    source, page = render(hostile)
    assert page.tags == plain.tags, "no tag comes from a value"
    assert HOSTILE in page.text("strong")
    assert "<script>alert" not in source
    assert not any(value.startswith("http") for _, name, value in page.attributes if name == "src")


def test_without_ground_truth_history_queries_or_card(content: ReportContent, render: Any) -> None:
    bare = [record.model_copy(update={"ground_truth": None}) for record in content.history]
    _, page = render(replace(content, history=bare))
    assert "Agreement with the ground truth" not in page.text("h3")
    assert "ARI" not in page.texts["th"]
    metrics = [content.metrics[0].model_copy(update={"label_use": "none"})]
    _, page = render(ReportContent("b", "zero_shot", 1, metrics, make_run_card("zero_shot")))
    assert page.tags["img"] == 0
    assert page.texts["h2"] == ["Before and after", "Run card"]
    assert "No labels were used" in page.texts["strong"]
    assert "No labels were used in training" not in page.text("strong")


def test_same_content_same_page(content: ReportContent) -> None:
    assert render_report(content) == render_report(content)


def test_no_results_are_refused(content: ReportContent) -> None:
    with pytest.raises(ValueError, match="at least one result"):
        render_report(replace(content, metrics=[]))


def differences(**others: Any) -> Differences:
    """Of mAP 0 lies outside the interval, of Rank-1 inside."""
    figures = {
        "mAP": {"difference": 0.3411, "low": 0.1, "high": 0.45, "p_value": 0.002},
        "rank1": {"difference": 0.3, "low": -0.008, "high": 0.64, "p_value": 0.08},
    }
    head = {"benchmark": "synthetic", "method": "unsupervised_pcl", "seed": 0}
    content = {**head, "other": "synthetic/zero_shot/seed_0", "num_queries": 616, "figures": figures}
    return Differences.model_validate({**content, **others})


def test_intervals_stand_in_tiles_and_table_and_grey_what_may_be_chance(content: ReportContent, render: Any) -> None:
    source, page = render(replace(content, differences=differences()))
    clear, unclear = "+34.1 (+10.0 to +45.0)", "+30.0 (−0.8 to +64.0)"  # noqa: RUF001
    assert f'<span class="gain">{clear}</span> points from 27.1</span>' in source
    assert f'<span class="gain uncertain">{unclear}</span> points from 50.0</span>' in source
    assert f'<td>{clear}</td><td>—</td><td class="uncertain">{unclear}</td>' in source
    assert "0 lies inside the interval of Rank-1: this difference may be chance." in page.texts["p"]
    style = page.text("style")
    assert ".headlines .gain.uncertain { color: var(--faint)" in style
    assert ".difference td.uncertain" in style
    assert style.count("--faint: #") == 3, "in light, in dark and on paper"
    source, page = render(content)
    assert '<span class="gain">+34.1</span> points from 27.1' in source
    assert "Interval not known." in page.texts["p"]
    assert 'class="uncertain"' not in source


def test_few_queries_are_said(content: ReportContent, render: Any) -> None:
    few = [result.model_copy(update={"num_valid_queries": 19}) for result in content.metrics]
    _, page = render(replace(content, metrics=few))
    assert "Only 19 queries were scored: one query more or less moves Rank-1 by 5.3 points" in page.text("p")
    assert "queries were scored" not in render(content)[1].text("p")


def test_which_zero_shot_it_is_compared_with(content: ReportContent, render: Any) -> None:
    said = "The zero_shot that it is compared with is that of synthetic/zero_shot+small/seed_0."
    other = differences(other="synthetic/zero_shot+small/seed_0")
    card = CARD.model_copy(update={"zero_shot": other.other})
    for told in (replace(content, differences=other), replace(content, run_card=card)):
        assert said in render(told)[1].text("p")
    for plain in (content, replace(content, differences=differences())):
        assert "zero_shot that it is compared with" not in render(plain)[1].text("p")


def test_a_variant_is_named(content: ReportContent, render: Any) -> None:
    own = content.metrics[1].model_copy(update={"variant": "small"})
    _, page = render(replace(content, metrics=[content.metrics[0], own]))
    assert page.text("title") == "unsupervised_pcl+small on synthetic, seed 0"
    assert "unsupervised_pcl+small" in page.texts["th"]


def test_names_of_cameras_and_identities_are_the_users(content: ReportContent, render: Any) -> None:
    figures = {"mAP": 0.5, "rank1": 0.25, "num_valid_queries": 4}
    named = {"query_camera_name": "c7", "gallery_camera_name": HOSTILE}
    breakdown = make_breakdown(
        camera_pairs=[
            {"query_camera": 0, "gallery_camera": 1, **figures, **named},
            {"query_camera": 2, "gallery_camera": 3, **figures},
        ],
        identities=[{"pid": 12, "identity": "fox-12", "mINP": 0.5, **figures}, {"pid": 13, "mINP": 0.5, **figures}],
    )
    _, page = render(replace(content, breakdown=breakdown))
    expected = {"camera c7", f"camera {HOSTILE}", "camera 3", "camera 4", "fox-12", "pid 13"}
    assert expected <= set(page.texts["th"])
    assert page.texts["td"].count("50.0 / 25.0") == 2
