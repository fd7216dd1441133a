"""What a node passes of clusters is read back from the page: which images, in which order; and the words."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_records import make_epoch, make_metrics, make_run_card
from PIL import Image

from reid_pipeline.evaluation.shown_images import cluster_content
from reid_pipeline.reporting.clusters_section import ClusterContent, cluster_warnings, clusters_text, measures_table
from reid_pipeline.reporting.contact_sheets import HEIGHT, row_of, thumbnail
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.records import LabelFigures

COLOURS = [(red, green, blue) for red in (0, 110, 220) for green in (0, 110, 220) for blue in (0, 110, 220)][:-1]
PATHS = [f"<{place:02}>.png" for place in range(len(COLOURS))]
FIGURES = {
    "clusters": 3, "noise_share": 0.125, "largest_cluster": 0.4, "cluster_quality": 0.3, "silhouette": 0.5,
    "stability": 0.9, "camera_balance": 0.8, "eps": 0.5,
}  # fmt: skip


def sheet(group: str, *parts: tuple[int, list[int]], measured: bool = True) -> dict[str, Any]:
    shown = [{"cluster": number, "images": 30, "paths": [PATHS[row] for row in rows]} for number, rows in parts]
    figures = {"distance": 0.25, "silhouette": 0.5} if measured else {}
    return {"group": group, "images": 60, "parts": shown, **figures}


def neighbours(path: int, nearest: list[int]) -> dict[str, Any]:
    return {"path": PATHS[path], "nearest": [PATHS[row] for row in nearest], "together": [True] + [False] * 2}


def make_facts(method: str = "pcl", **others: Any) -> ClusterFacts:
    content = {
        "benchmark": "zoo", "method": method, "seed": 0, "images": 200, "doubtful": 20, "figures": FIGURES,
        "settings": {"kind": "communities", "eps": "auto"}, **others,
    }  # fmt: skip
    return ClusterFacts.model_validate(content)


SHOWN = make_facts(
    sheets=[
        sheet("largest", (0, [3, 1, 4, 15])),
        sheet("loosest", (2, [9, 2, 6])),
        sheet("split", (0, [5, 3]), (-1, [5, 8, 9]), measured=False),
        sheet("merged", (1, [7]), (1, [9, 3]), measured=False),
    ],
    neighbours=[neighbours(2, [3, 8, 4]), neighbours(6, [2, 6, 4])],
)
BEFORE = make_facts("zero_shot", neighbours=[neighbours(2, [11, 12, 13]), neighbours(6, [14, 15, 16])])


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> ClusterContent:
    """Images of one colour each, of two sizes, as the node reads them from the folder."""
    root: Path = tmp_path_factory.mktemp("raw")
    for place, colour in enumerate(COLOURS):
        Image.new("RGB", (48, 96) if place % 2 else (100, 100), colour).save(root / PATHS[place])
    return cluster_content(SHOWN, BEFORE, pd.DataFrame({"path": PATHS}), RawFolder(root, tuple(PATHS)))


def page_of(content: ClusterContent | None, *, tested: bool = True, **others: Any) -> str:
    metrics = make_metrics("pcl") if tested else make_metrics(
        "pcl", None, **dict.fromkeys(("mINP", "rank1", "rank5", "rank10")), num_queries=0, num_valid_queries=0,
        num_gallery=0, cmc=[], label_use="none",
    )  # fmt: skip
    card = make_run_card("pcl", data={"train": {"images": 200, "identities": 12 if tested else 0}}, label_use="none")
    return render_report(ReportContent("zoo", "pcl", 0, [metrics], card, clusters=content, **others))


def rows_in(page: str) -> list[list[int]]:
    """Return the images of each row of the page, known by their colours along its middle line."""
    found = []
    for source in re.findall(r'<img src="data:image/webp;base64,([^"]+)"', page):
        with Image.open(io.BytesIO(base64.b64decode(source))) as opened:
            line = np.asarray(opened.convert("RGB"), dtype=int)[HEIGHT // 2]
        nearest = [
            min(range(len(COLOURS)), key=lambda n: np.abs(np.subtract(COLOURS[n], pixel)).sum()) for pixel in line
        ]
        off = [np.abs(np.subtract(COLOURS[n], pixel)).sum() for n, pixel in zip(nearest, line, strict=True)]
        seen: list[int] = []
        run = 0
        for place, n in enumerate(nearest):
            run = run + 1 if off[place] < 40 and place and nearest[place - 1] == n else 0
            if run == 12:  # pixels: broader than what is blurred at an edge
                seen.append(n)
        found.append(seen)
    return found


def test_the_page_shows_the_images_that_the_node_passed(content: ClusterContent) -> None:
    expected = [[3, 1, 4, 15], [9, 2, 6], [5, 3], [5, 8, 9], [7], [9, 3]]
    expected += [[2, 11, 12, 13], [2, 3, 8, 4], [6, 14, 15, 16], [6, 2, 6, 4]]
    page = page_of(content)
    assert rows_in(page) == expected
    assert page_of(content) == page
    alone = replace(content, before=None)
    assert rows_in(page_of(alone))[-2:] == [[2, 3, 8, 4], [6, 2, 6, 4]]


def test_the_words_beside_them(content: ClusterContent) -> None:
    page = page_of(content)
    text = re.sub(r"<[^>]+>", "", page)
    for words in (
        "200 training images in 3 clusters (communities, cut at a Jaccard distance of 0.5); 25 in none, 20 doubtful.",
        "The largest clusters", "Cluster 0: 60 images, mean distance 0.250, silhouette 0.500", "Clusters that split",
        "60 images in one cluster before", "now together: 30 images, most of them in no cluster of",
        "60 images in one cluster now", "before together: 30 images, most of them in cluster 1 of",
        "zero_shot: 1 of 3 in the same cluster", "pcl: 1 of 3 in the same cluster", "&lt;02&gt;.png",
    ):  # fmt: skip
        assert words in text, words
    assert "<code>seed_0/clusters.csv</code>" in page
    assert "<code>seed_0/clusters.parquet</code>" in page
    assert "The tightest clusters" not in text
    assert "Clusters, without labels" not in page_of(None)


def test_a_page_of_what_was_not_tested_has_no_empty_table(content: ClusterContent) -> None:
    page = page_of(content, tested=False, history=[make_epoch(1, **FIGURES), make_epoch(2, **FIGURES)])
    body = page[page.index("<header>") : page.index('<section aria-labelledby="card">')]
    assert "—" not in body
    assert "0 of 0" not in body
    assert "Before and after" not in body
    assert 'class="headlines"' not in body
    text = re.sub(r"<[^>]+>", "", body)
    assert "Nothing was tested, since no identity is known of any image." in text
    assert "This page shows instead what can be judged without: the clusters of the training images" in text
    assert "To test, say of some images who they show" in text
    assert "were read only to score" not in text
    assert text.index("Nothing was tested") < text.index("The largest clusters") < text.index("Numbers behind")
    assert rows_in(page) == rows_in(page_of(content))
    assert "Not tested" not in page_of(content)


def test_the_measures_of_each_epoch_as_table_and_curve(content: ClusterContent) -> None:
    first = {name: value for name, value in FIGURES.items() if name != "stability"}
    after = LabelFigures.model_validate({**FIGURES, "silhouette": 0.625})
    history = [make_epoch(1, **first), make_epoch(2, **FIGURES, after=after)]
    table = measures_table(SHOWN, history)
    rows = {row[0]: row[1:] for row in table.rows}
    assert [column.title for column in table.columns][1:5] == [
        "Cluster quality", "Silhouette", "Stability", "Camera balance"
    ]  # fmt: skip
    assert list(rows) == ["epoch 1", "epoch 2", "after the last epoch", "exported model"]
    assert rows["epoch 1"] == ["0.300", "0.500", "", "0.800", "3", "40.0", "12.5"]
    assert rows["after the last epoch"][1] == "0.625"
    page = page_of(content, history=history)
    assert "<h3>Measures without labels</h3>" in page
    assert "<h3>Measures without labels</h3>" not in page_of(content)


@pytest.mark.parametrize(
    ("figures", "doubtful", "sentence"),
    [
        ({"largest_cluster": 0.56}, 0, "One cluster holds 56.0 % of the images"),
        ({"noise_share": 0.7}, 0, "70.0 % of the training images joined none"),
        ({"cluster_quality": 0.04}, 0, "the cluster quality is 0.04"),
        ({"camera_balance": 0.1}, 0, "Clusters follow the cameras (balance 0.10"),
        ({"stability": 0.3}, 0, "The clusters changed much in the last epoch of training (adjusted Rand index 0.30)"),
        ({}, 80, "40.0 % of the images are doubtful"),
        ({"clusters": 0}, 0, "No cluster was found: the clusters say nothing."),
        ({"clusters": 1}, 0, "All images that joined a cluster joined the same one"),
    ],
)
def test_warnings_in_words(figures: dict[str, float], doubtful: int, sentence: str) -> None:
    facts = make_facts(figures={**FIGURES, **figures}, doubtful=doubtful)
    assert len(cluster_warnings(facts)) == 1
    assert sentence in cluster_warnings(facts)[0]


def test_clusters_are_compared_with_zero_shots_where_the_settings_are_the_same() -> None:
    better = make_facts("zero_shot", figures={**FIGURES, "cluster_quality": 0.4})
    assert "below that of zero_shot (0.30, from 0.40)" in cluster_warnings(make_facts(), better)[0]
    other = better.model_copy(update={"settings": {"kind": "dbscan"}})
    for before in (None, other, make_facts("zero_shot")):
        assert cluster_warnings(make_facts(), before) == []
    assert cluster_warnings(make_facts(images=0, doubtful=0, figures={})) == []


def test_the_terminal_has_the_same_figures() -> None:
    weak = make_facts(figures={**FIGURES, "camera_balance": 0.1})
    text = clusters_text([make_facts("zero_shot"), weak], ["zero_shot", "pcl"])
    assert re.search(r"\npcl +200 +3 +40\.0 +12\.5 +20 +0\.30\nClusters follow the cameras", text)


def test_a_row_is_small_whatever_the_images_are() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 4000, 3), dtype=np.uint8)
    small = thumbnail(noise)
    assert small.shape[0] <= HEIGHT
    assert small.shape[1] == 2 * HEIGHT
    assert len(row_of([thumbnail(noise[:400, :300])] * 10)) < 40_000
