"""`kedro run --pipeline=unsupervised_pcl` from a folder in every layout, as real sessions of one process.

Here the layouts whose tables make another run: no cameras, viewpoints, names, no test set. The tables of all others are
made here, and trained on by bench/matrices.py.
"""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from matrices import cells
from safetensors.numpy import load_file
from small_project import Project, make_project, run_session

from reid_drawings import SyntheticBenchmark, SyntheticVehicles, draw_pictures
from reid_pipeline.readers import lay_out, layouts, reader
from reid_pipeline.schema.explanations import Explanations
from reid_pipeline.schema.tables import CLUSTERS
from reid_pipeline.splits import data_hash

SIZE = {"cameras_per_identity": (2, 3), "images_per_camera": (3, 3), "num_cameras": 3}
PEOPLE = SyntheticBenchmark(train_identities=5, test_identities=3, distractors=2, junk=2, **SIZE)
VEHICLES = SyntheticVehicles(train_identities=5, test_identities=3, **SIZE)
# What the metadata table calls the drawn individuals and cameras.
INDIVIDUALS = ["Ada", "Bo", "Cid", "Dot", "Eve", "Spot", "Rex & Co", "<b>Liz</b>"]
CAMERAS = ["pond", "gate", "Am <Tor>"]
BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": [48, 48]}
SMALL = {
    "backbone": BACKBONE,
    "unsupervised_pcl": {
        "plan": {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2},
        "clustering": {"k1": 4, "k2": 2, "eps": 0.8, "min_samples": 2, "max_noise_share": 1.0},
    },
}


CONF = Path(__file__).parents[2] / "conf"
# Environments with a catalog of their own draw their images themselves; the other end-to-end tests run these.
LAYOUTS = [layout for layout, (name, _) in layouts().items() if not (CONF / name / "catalog.yml").exists()]
TRAINED = cells(LAYOUTS, always=["market1501", "veri776", "vehicleid", "custom_metadata", "custom_unlabelled"])


def environment_of(layout: str) -> str:
    return layouts()[layout][0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    made = make_project(tmp_path_factory.mktemp("layouts") / "project")
    for environment in {environment_of(layout) for layout in LAYOUTS}:
        folder = made.root / "conf" / environment
        if not folder.exists():  # a reader without an environment so far
            folder.mkdir()
            (folder / "globals.yml").write_text(f"benchmark: {environment}\n")
            (folder / "parameters.yml").write_text(f"ingestion: {{reader: {environment}}}\n")
        made.configure(environment, **SMALL)
    bootstrap_project(made.root)
    yield made
    configure_project("reid_pipeline")


def run(project: Project, environment: str, pipeline: str, **parameters: Any) -> None:
    run_session(project, pipeline, environment=environment, **parameters)


def results(project: Project, environment: str, method: str = "unsupervised_pcl") -> Path:
    return project.root / "data/08_reporting" / environment / method


def tables(project: Project, environment: str) -> pd.DataFrame:
    return pd.read_parquet(project.root / "data/03_primary" / environment / "split_table.parquet")


def draw(layout: str, root: Path) -> Path:
    vehicles = reader(layouts()[layout][0]).BENCHMARK.noun == "vehicle"
    pictures = draw_pictures(VEHICLES if vehicles else PEOPLE, processes=1)
    for path, content in lay_out(layout, pictures).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    if layout == "custom_metadata":
        table = pd.read_csv(root / "metadata.csv", dtype=str)
        for column, names in (("identity", INDIVIDUALS), ("camera", CAMERAS)):
            drawn = sorted(table[column].unique())
            table[column] = table[column].map(dict(zip(drawn, names, strict=True)))
        table.to_csv(root / "metadata.csv", index=False)
    return root


def check_names(folder: Path, split_table: pd.DataFrame, page: str, dataset_page: str) -> None:
    """All pages call individuals and cameras as the user's table does, and nothing by a number."""
    given = pd.read_csv(folder / "metadata.csv", dtype=str).set_index("path")
    found = split_table.set_index("path")
    for column in ("identity", "camera"):
        assert found[column].to_dict() == given[column].to_dict()
    heads = [unescape(text) for text in re.findall(r"<th[^>]*>(.*?)</th>", page)]
    tested = found[found["split"] == "query"]
    assert {"Spot", "<b>Liz</b>"} < set(tested["identity"]) <= set(heads)
    assert {f"camera {name}" for name in CAMERAS} == {head for head in heads if head.startswith("camera ")}
    captions = [unescape(text) for text in re.findall(r"<figcaption><strong>AP .*?</strong> (.*?)</figcaption>", page)]
    called = {f"id {row['identity']} · camera {row['camera']}" for _, row in tested.iterrows()}
    assert set(captions) <= called
    assert captions
    figures = re.findall(r'<script type="application/json">(.*?)</script>', dataset_page, re.DOTALL)
    axes = [trace["x"] for figure in figures for trace in json.loads(figure)["data"]]
    assert ["Am &lt;Tor&gt;", "gate", "pond"] in axes, "plotly reads tags: it shows this as Am <Tor>"
    for shown in (page, dataset_page):
        text = re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)
        assert not re.search(r"\b(?:pid|camid|camera) [0-9]", text)


def check_clusters(folder: Path, split_table: pd.DataFrame, page: str) -> None:
    """Table and CSV have every training image once; what the record shows stands on the page."""
    clusters = CLUSTERS.validate(pd.read_parquet(folder / "clusters.parquet"))
    train = split_table[split_table["split"] == "train"].set_index("path")
    assert set(clusters["path"]) == set(train.index)
    assert clusters["camera"].tolist() == train.loc[clusters["path"], "camera"].tolist()
    written = pd.read_csv(folder / "clusters.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    assert written[["path", "cluster", "run"]].equals(clusters[["path", "cluster", "run"]].astype(str))
    record = json.loads((folder / "clusters.json").read_text())
    counted = clusters["cluster"].value_counts().drop(-1, errors="ignore")
    assert record["figures"]["clusters"] == len(counted)
    shown = [sheet["images"] for sheet in record["sheets"] if sheet["group"] == "largest"]
    assert shown == counted.sort_values(ascending=False).tolist()[: len(shown)]
    assert len(record["neighbours"]) == min(8, len(train))
    rows = sum(len(sheet["parts"]) for sheet in record["sheets"]) + 2 * len(record["neighbours"])
    section = page[page.index('<h2 id="clusters">') :]
    assert section[: section.index("</section>")].count("data:image/webp;base64,") == rows
    assert {each["path"] for each in record["neighbours"]} <= {
        unescape(text) for text in re.findall(r"<figcaption>(.*?)</figcaption>", section)
    }


def check_explained(folder: Path, split_table: pd.DataFrame, page: str) -> None:
    """Points, maps and compared images of the record stand on the page; by cluster where no identity is known."""
    record = Explanations.model_validate_json((folder / "explanations.json").read_text())
    known = bool((split_table["pid"] > 0).any())
    space, attention = record.images, record.attention
    assert space is not None
    assert attention is not None
    assert space.by == ("identity" if known else "cluster")
    assert space.before is not None
    assert len(space.before.points) == len(space.after.points) == len(space.group)
    assert (attention.kind, attention.why_not) == ("class token", "")
    looks = [each for image in attention.images for each in (image.before, image.after)]
    assert looks
    assert all(
        each and each.elsewhere and sum(each.values) + each.elsewhere == pytest.approx(1, abs=1e-3) for each in looks
    )
    section = page[page.index('<h2 id="explained">') :]
    section = section[: section.index("</section>")]
    assert section.count("data:image/webp") == 3 * len(attention.images) + 5 * len(record.similar)
    assert section.count("<use ") >= 2 * len(space.group)
    assert ("No identity is known here." in section) is not known
    identity = split_table.set_index("path")["identity"]
    for each in record.similar if known else ():
        assert identity[each.path] == identity[each.same.path] != identity[each.other.path]


def check_untested(printed: str, page: str) -> None:
    """Neither the page nor the terminal has an empty table; both say why, and what to do."""
    shown = page[page.index("<header>") : page.index('<h2 id="card">')]
    for text in (printed[printed.index("clusters of") :], re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)):
        assert not re.search(r"—|0 of 0|nothing measured", text)
    assert "custom_unlabelled, seed 0: nothing was tested, since no image is query or gallery." in printed
    assert re.search(r"\nunsupervised_pcl +[1-9]", printed)
    assert re.search(
        r"\nclusters \S*data/08_reporting/custom_unlabelled/unsupervised_pcl/seed_0/clusters\.csv\n", printed
    )
    for text in (printed, shown):
        assert "To test, say of some images who they show" in text


def run_layout(project: Project, layout: str, pipeline: str, raw: Path) -> str:
    """Run a pipeline on files in a layout; return the name that their results have."""
    environment = environment_of(layout)
    named = {"collection": layout} if environment == "custom" else {}
    run(project, environment, pipeline, raw_root=str(raw), **named)
    return named.get("collection", environment)


def check_labels(table: pd.DataFrame) -> None:
    train = table[table["split"] == "train"]
    assert train["pid"].nunique() >= 2
    assert train["label"].max() + 1 == train["pid"].nunique()


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in TRAINED])
def test_from_files_to_tables_that_can_be_trained_and_tested_on(layout: str, project: Project, tmp_path: Path) -> None:
    raw = draw(layout, tmp_path / "raw")
    environment = run_layout(project, layout, "ingestion", raw)
    table = tables(project, environment)
    check_labels(table)
    assert len(table) > 30
    assert set(table["split"]) == {"train", "query", "gallery"}
    assert all((raw / path).is_file() for path in table["path"])
    queries, gallery = (table[table["split"] == split] for split in ("query", "gallery"))
    assert not queries.empty
    for _, query in queries.iterrows():  # each has something to find, on another camera where cameras are known
        same = gallery[gallery["pid"] == query["pid"]]
        assert (same["camid"] != query["camid"]).any() if table["camid"].notna().all() else len(same)
    page = (results(project, environment, "dataset") / "dataset.html").read_text()
    assert data_hash(table)[:12] in page


@pytest.mark.parametrize("layout", TRAINED)
def test_from_files_to_a_report(
    layout: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = draw(layout, tmp_path / "raw")
    environment = run_layout(project, layout, "unsupervised_pcl", raw)
    table = tables(project, environment)
    metrics = json.loads((results(project, environment) / "seed_0/metrics.json").read_text())
    assert metrics["benchmark"] == environment
    page = (results(project, environment) / "report_seed_0.html").read_text()
    assert "unsupervised_pcl" in page
    dataset_page = (results(project, environment, "dataset") / "dataset.html").read_text()
    card = json.loads((results(project, environment) / "seed_0/run_card.json").read_text())
    assert card["data_hash"] in json.dumps(card)
    assert card["data_hash"][:12] in dataset_page
    check_clusters(results(project, environment) / "seed_0", table, page)
    check_explained(results(project, environment) / "seed_0", table, page)
    if layout == "custom_unlabelled":
        check_untested(capsys.readouterr().out, page)
        assert set(table["split"]) == {"train"}
        assert (metrics["mAP"], metrics["num_queries"]) == (None, 0)
        assert "nothing to score" in metrics["not_evaluated"]
        stored = load_file(
            project.root / f"data/07_model_output/{layout}/unsupervised_pcl/seed_0/embeddings.safetensors"
        )
        assert stored["rows"].tolist() == list(range(len(table)))
        assert np.allclose(np.linalg.norm(stored["embeddings"], axis=1), 1.0, atol=1e-5)
        return
    assert metrics["num_valid_queries"] == metrics["num_queries"] > 0
    assert 0 < metrics["mAP"] <= 1
    check_labels(table)
    if layout == "custom_metadata":
        check_names(raw, table, page, dataset_page)
    if layout == "market1501":
        assert {"camera 1", "camera 2", "camera 3"} <= set(re.findall(r"<th[^>]*>(.*?)</th>", page))
    has_cameras = bool(table["camid"].notna().all())
    assert metrics["camera_filter"] is has_cameras
    if layout == "vehicleid":
        assert metrics["repeats"] == 10
        assert set(metrics["test_sets"]) == {"800", "1600", "2400"}
    if layout == "veri776":
        assert set(table["viewid"].dropna()) <= set(range(8))
        assert table["viewid"].notna().all()


def test_camera_aware_training_is_refused_where_there_are_no_cameras(project: Project, tmp_path: Path) -> None:
    from reid_pipeline.user_errors import user_error_text

    raw = draw("vehicleid", tmp_path / "raw")
    with pytest.raises(Exception, match="no cameras") as caught:
        run(project, "vehicleid", "unsupervised_pcl", raw_root=str(raw), overlay="o2cap")
    answer = user_error_text(caught.value) or ""
    assert "The training images have no cameras, and camera-aware training" in answer
    assert "without overlay=cap and overlay=o2cap" in answer


def test_a_second_ingestion_decodes_nothing_and_gives_the_same_bytes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = draw("market1501", tmp_path / "raw")
    run(project, "market1501", "ingestion", raw_root=str(raw))
    written = {
        name: (project.root / "data" / name).read_bytes()
        for name in (
            "02_intermediate/market1501/manifest.parquet",
            "02_intermediate/market1501/image_facts.parquet",
            "03_primary/market1501/split_table.parquet",
            "03_primary/market1501/galleries.parquet",
            "08_reporting/market1501/dataset/summary.json",
        )
    }
    import PIL.Image

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was decoded again")

    monkeypatch.setattr(PIL.Image, "open", refuse)
    run(project, "market1501", "ingestion", raw_root=str(raw))
    for name, content in written.items():
        assert (project.root / "data" / name).read_bytes() == content, name


class TestUnreadable:
    @pytest.fixture
    def raw(self, tmp_path: Path) -> tuple[Path, str]:
        root = draw("market1501", tmp_path / "raw")
        spoilt = sorted(root.rglob("bounding_box_train/*.jpg"))[3]
        spoilt.write_bytes(spoilt.read_bytes()[:400])
        return root, spoilt.relative_to(root).as_posix()

    def test_fail_names_it_and_the_way_out(self, project: Project, raw: tuple[Path, str]) -> None:
        from reid_pipeline.user_errors import user_error_text

        with pytest.raises(Exception, match="cannot be decoded") as caught:
            run(project, "market1501", "ingestion", raw_root=str(raw[0]))
        message = user_error_text(caught.value)
        assert message is not None
        assert raw[1] in message
        assert "ingestion.on_unreadable=skip" in message

    def test_skip_leaves_it_out_and_lists_it(self, project: Project, raw: tuple[Path, str]) -> None:
        run(project, "market1501", "ingestion", raw_root=str(raw[0]), ingestion={"on_unreadable": "skip"})
        assert raw[1] not in set(tables(project, "market1501")["path"])
        summary = (results(project, "market1501", "dataset") / "summary.json").read_text()
        assert raw[1] in summary
        assert raw[1] in (results(project, "market1501", "dataset") / "dataset.html").read_text()


def test_counts_that_differ_are_an_error_when_asked(project: Project, tmp_path: Path) -> None:
    from reid_pipeline.user_errors import user_error_text

    raw = draw("market1501", tmp_path / "raw")
    with pytest.raises(Exception, match=r"12,936") as caught:
        run(project, "market1501", "ingestion", raw_root=str(raw), ingestion={"strict_counts": True})
    assert "strict_counts" in (user_error_text(caught.value) or "")
