"""docs/gallery.md, executed: its commands, as they stand there, from a trained cell to names for new pictures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from console_blocks import documented_commands
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from PIL import Image
from small_project import LEAST_BACKBONE, ROOT, Project, make_project, run_session

from reid_pipeline import load_embedder
from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.engine.checkpoint import digest_of_tensors
from reid_pipeline.engine.starting import Start
from reid_pipeline.gallery import Gallery
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.methods import find_method
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import SharedParameters
from reid_pipeline.schema.population import Population

PEOPLE, PICTURES = 20, 3
NAMES = ["Ada", "Ada at night", "Bo", *(f"person {number}" for number in range(3, PEOPLE))]
MODELS = ("gate/unsupervised_pcl+small/seed_0", "gate/zero_shot+small/seed_0")


def commands() -> list[tuple[str, dict[str, Any]]]:
    """The pipeline and the parameters of each command on the page, in order."""
    found = []
    for program, run, pipeline, option, *text in documented_commands("docs/gallery.md"):
        assert (program, run, option, len(text)) == ("kedro", "run", "--params", 1), pipeline
        found.append((pipeline.removeprefix("--pipeline="), given_parameters(*text, [*SharedParameters.model_fields])))
    return found


def picture(number: int, generator: np.random.Generator) -> Image.Image:
    """Return a picture of a person: two colours of their own, and noise."""
    colours = np.random.default_rng(number).integers(0, 255, (2, 1, 3))
    pixels = np.repeat(colours, 16, axis=0) + generator.integers(-6, 7, (32, 16, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save_model(project: Project, cell: str) -> None:
    """Write the embedder of a cell, as its pipeline would from weights that training did not change."""
    benchmark, folder, _ = cell.split("/")
    method = find_method(folder.partition("+")[0])
    conf = yaml.safe_load((ROOT / f"conf/base/parameters_{method.name}.yml").read_text())[method.name]
    backbone = {**LEAST_BACKBONE, "pixel_mean": [0.5] * 3, "pixel_std": [0.5] * 3}
    parameters = method.params.model_validate({**conf, "backbone": backbone})
    start = Start(method, parameters, Population(2))
    embedder = start.model().embedder()
    embedder.origin = Origin(
        made_by=f"{method.name}.export",
        benchmark=benchmark,
        method=method.name,
        parameters={method.name: parameters.model_dump(mode="json")},
        weights=start.weights,
        digest=digest_of_tensors(embedder.state_dict()),
        code="",
    )
    EmbedderDataset(filepath=str(project.root / "data/06_models" / cell / "embedder.safetensors")).save(embedder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with two models, pictures of twenty people, two new ones, and the clusters of a run."""
    made = make_project(tmp_path_factory.mktemp("who") / "project")
    bootstrap_project(made.root)
    generator = np.random.default_rng(0)
    shown = {f"known/{name}/{n}.png": number for number, name in enumerate(NAMES) for n in range(PICTURES)}
    shown |= {"new/1.png": NAMES.index("Ada"), "new/2.png": 1000} | {f"crops/{n}.png": 2000 for n in range(3)}
    for file, number in shown.items():
        (made.root / file).parent.mkdir(parents=True, exist_ok=True)
        picture(number, generator).save(made.root / file)
    for cell in MODELS:
        save_model(made, cell)
    report = made.root / "data/08_reporting" / MODELS[0]
    report.mkdir(parents=True)
    clusters = {"path": ["0.png", "1.png", "2.png"], "cluster": [0, 0, -1], "name": "", "camera": ""}
    pd.DataFrame(clusters).to_parquet(report / "clusters.parquet")
    yield made
    configure_project("reid_pipeline")


def test_from_a_trained_cell_to_who_is_this(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page from above to below; after each command what its text promises is there."""
    checks = {
        "enrol": check_enrolled,
        "calibrate": check_calibrated,
        "identify": check_identified,
        "search": check_searched,
        "merge": lambda project, _: names(project) == sorted({*NAMES} - {"Ada at night"}),
        "undo": lambda project, _: names(project) == sorted(NAMES),
        "rename": check_renamed,
        "forget": check_forgotten,
        "reembed": check_embedded_anew,
    }
    seen = []
    for pipeline, parameters in commands():
        run_session(project, pipeline, **parameters)
        printed = capsys.readouterr().out
        assert checks[pipeline](project, {"printed": printed, **parameters}) is not False, pipeline
        seen.append(pipeline)
        if pipeline == "identify":
            run_python(project, monkeypatch)
            assert "known" in capsys.readouterr().out
    assert set(seen) == set(checks), "the page has every pipeline of a gallery"


def gallery(project: Project) -> Gallery:
    return Gallery.open(project.root / "data/07_model_output/galleries/gate")


def names(project: Project) -> list[str]:
    return gallery(project).identities()["identity"].tolist()


def page(project: Project, name: str) -> str:
    return (project.root / "data/08_reporting/galleries/gate" / name).read_text()


def check_enrolled(project: Project, given: dict[str, Any]) -> None:
    of_clusters = "clusters_of" in given
    entries = gallery(project).entries()
    assert len(entries) == PEOPLE * PICTURES + 2 * of_clusters
    named = entries[entries["confirmed"]]
    assert len(named) == PEOPLE * PICTURES
    assert set(entries["identity"]) - set(named["identity"]) == ({"cluster 0"} if of_clusters else set())
    assert all(Path(path).is_file() for path in entries["path"])
    assert "data/08_reporting/galleries/gate/gallery.html" in given["printed"]
    assert "Ada" in page(project, "gallery.html")
    assert not list((project.root / "data/07_model_output").glob("embeddings/**/*")), "no vector lies elsewhere"


def check_calibrated(project: Project, given: dict[str, Any]) -> None:
    made = gallery(project).calibration
    assert made is not None
    vectors, identity = gallery(project).vectors(), gallery(project).entries()["identity"].to_numpy()
    scores = np.where(identity[:, None] == identity, -1, vectors @ vectors.T).max(axis=1)
    highest = pd.Series(scores).groupby(identity).max().sort_values()
    assert made.threshold == pytest.approx(highest.iloc[-1], abs=1e-6), "of 20 scores the 20th: ceil(21 * 0.9) + 1"
    assert f"{made.threshold:.4f}" in given["printed"]


def check_identified(project: Project, given: dict[str, Any]) -> None:
    table = pd.read_parquet(project.root / "data/08_reporting/galleries/gate/identify.parquet")
    assert [Path(each).name for each in table["probe"]] == ["1.png", "2.png"]
    assert table["answer"].tolist() == ["known", "new"]
    assert table["identity"].tolist() == ["Ada", ""]
    assert table["nearest_path"].str.contains("/known/").all()
    lines = page(project, "identify.csv").splitlines()
    assert len(lines) == 3
    assert "known: Ada" in page(project, "identify.html")
    assert "1 known, 1 new, 0 unsure" in given["printed"]


def run_python(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's Python, in the project's folder."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/gallery.md").read_text(), re.S)
    with monkeypatch.context() as here:
        here.chdir(project.root)
        exec(compile(block, "docs/gallery.md", "exec"), {})


def check_searched(project: Project, given: dict[str, Any]) -> None:
    table = pd.read_parquet(project.root / "data/08_reporting/galleries/gate/search.parquet")
    if "text" in given:
        assert set(table["probe"]) == {given["text"]}
        assert len(table) == 10
        return
    assert table.groupby("probe")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5]] * 2
    assert (table.groupby("probe")["score"].diff().dropna() <= 0).all()
    assert table.loc[0, "identity"] == "Ada"
    assert page(project, "search.html").count("data:image/webp") == 2 * (1 + 5), "probes and entries"


def check_renamed(project: Project, given: dict[str, Any]) -> None:
    assert given["to"] in names(project)
    assert given["identity"] not in names(project)


def check_forgotten(project: Project, given: dict[str, Any]) -> None:
    assert "Ada" not in names(project)
    assert f"{PICTURES} entries were forgotten" in given["printed"]


def check_embedded_anew(project: Project, given: dict[str, Any]) -> None:
    embedder = load_embedder(str(given["model"]), root=project.root)
    assert gallery(project).model == embedder.digest
    paths = gallery(project).entries()["path"].tolist()
    np.testing.assert_allclose(gallery(project).vectors(), embedder.embed(paths), atol=1e-5)
