"""What embeddings and exports are called after the model that they are of: no two models share a name."""

import pytest

from reid_pipeline.config.embeddings import export_name, output_name
from reid_pipeline.schema.errors import UserError


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("market1501/pcl+small/seed_1", "market1501-pcl+small-seed_1"),
        ("data/06_models/market1501/pcl/seed_1", "market1501-pcl-seed_1"),
        ("/at/data/06_models/market1501/pcl+v1.2/seed_1/", "market1501-pcl+v1.2-seed_1"),
        ("data/06_models/market1501/pcl/seed_1/embedder.safetensors", "market1501-pcl-seed_1"),
        ("/models/ann.safetensors", "models-ann"),
        ("/models/bob.safetensors", "models-bob"),
        ("../bob.v2.safetensors", "bob.v2"),
        ("embedder.safetensors", "embedder"),
    ],
)
def test_a_model_gives_its_name(model: str, name: str) -> None:
    assert export_name({"model": model}) == name
    assert export_name({"model": model, "format": "pt2", "signature": "boxmot"}) == f"{name}-boxmot-pt2"
    assert output_name({"model": model, "images": "photos"}) == f"photos-{name}"


def test_a_name_that_is_given_wins_and_names_one_folder() -> None:
    assert export_name({"model": "a/b/seed_0", "name": "gate"}) == "gate"
    with pytest.raises(UserError, match=r"Parameter name is '', which cannot name a folder"):
        export_name({"model": "a/b/seed_0", "name": ""})
