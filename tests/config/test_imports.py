"""The cell of an imported model, and what the loader notes of the import."""

from pathlib import Path
from typing import Any

import pytest

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model_best.pth.tar").write_bytes(b"weights")
    return tmp_path / "model_best.pth.tar"


def parameters(file: Path, environment: str = "market1501", **given: Any) -> dict[str, Any]:
    runtime = {"checkpoint": str(file), "method": "unsupervised_pcl", **given}
    return LayeredConfigLoader(str(CONF), environment, runtime, **CONFIG_LOADER_ARGS)["parameters"]


def cell(found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return found["cells"]["unsupervised_pcl"]["variant"], found["cells"]["unsupervised_pcl"]["differs"]


def test_the_cell_is_called_after_the_file_and_what_differs(file: Path) -> None:
    digest = digest_of_file(file)
    assert cell(parameters(file)) == ("imported-model_best", {"checkpoint": digest[:12]})
    variant, differs = cell(parameters(file, backbone={"image_size": [384, 128]}))
    assert variant == "imported-model_best,backbone.image_size=(384,128)"
    assert differs == {"backbone.image_size": [384, 128], "checkpoint": digest[:12]}
    assert cell(parameters(file, variant="theirs"))[0] == "theirs"
    others = {name: each["variant"] for name, each in parameters(file)["cells"].items() if name != "unsupervised_pcl"}
    assert set(others.values()) == {""}


def test_the_files_are_those_of_the_methods_cell(file: Path) -> None:
    given = {"checkpoint": str(file), "method": "pcl"}
    catalog = LayeredConfigLoader(str(CONF), "market1501", given, **CONFIG_LOADER_ARGS)["catalog"]
    for name in ("embedder", "embeddings", "metrics", "report"):
        own = catalog[f"import_model.{name}"]["filepath"]
        assert own == catalog[f"pcl.{name}"]["filepath"]
        assert "/market1501/pcl+imported-model_best/" in own


def test_what_was_given_of_the_backbone_is_noted(file: Path, tmp_path: Path) -> None:
    def given(environment: str = "veri776", **values: Any) -> tuple[str, ...]:
        return tuple(parameters(file, environment, **values)["import_model"]["given"])

    assert given() == (), "the image size is the environment's"
    shared = {"backbone": {"pixel_mean": [0.5, 0.5, 0.5]}, "unsupervised_pcl": {"backbone": {"sie": "view"}}}
    assert set(given(**shared)) == {"pixel_mean", "sie"}
    assert given(pcl={"backbone": {"sie": "view"}}) == (), "of another method"
    overlay = tmp_path / "own.yml"
    overlay.write_text("backbone: {patch_stride: 12}\n")
    assert given(overlay=str(overlay)) == ("patch_stride",)


def test_an_environments_pixels_count_as_given(file: Path, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    for folder, source in (("base", "base"), ("own", "custom")):
        (conf / folder).mkdir(parents=True)
        for each in (CONF / source).glob("*.yml"):
            (conf / folder / each.name).write_bytes(each.read_bytes())
    (conf / "own/globals.yml").write_text("benchmark: own\n")
    (conf / "own/parameters.yml").write_text("backbone: {pixel_mean: [0.4, 0.4, 0.4], image_size: [64, 32]}\n")
    runtime = {"checkpoint": str(file), "method": "pcl"}
    found = LayeredConfigLoader(str(conf), "own", runtime, **CONFIG_LOADER_ARGS)["parameters"]
    assert found["import_model"]["given"] == ["pixel_mean"]


def test_no_checkpoint_no_import(file: Path) -> None:
    found = LayeredConfigLoader(str(CONF), "market1501", {"method": "pcl"}, **CONFIG_LOADER_ARGS)["parameters"]
    assert "import_model" not in found
    assert "import_model" not in parameters(file, method="pclx"), "which is refused later"
    with pytest.raises(UserError, match=r"there is no such file. Did you mean 'model_best.pth.tar'"):
        parameters(file.with_name("model_bst.pth.tar"))
    with pytest.raises(UserError, match="which is a folder"):
        parameters(file.parent)
    with pytest.raises(UserError, match=r"'~nosuchuser/x.pth', and the home folder .* is not known"):
        parameters(Path("~nosuchuser/x.pth"))
    with pytest.raises(UserError, match="which no file is called"):
        parameters(file.with_name("x\0.pth"))


def test_a_start_in_an_unknown_home_folder_is_refused() -> None:
    given = {"init_from": "~nosuchuser/x.pth"}
    with pytest.raises(UserError, match=r"init_from is '~nosuchuser/x.pth', and the home folder .* is not known"):
        _ = LayeredConfigLoader(str(CONF), "market1501", given, **CONFIG_LOADER_ARGS)["catalog"]
