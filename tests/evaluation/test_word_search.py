"""Words find pictures: text vectors against open_clip's own, and refusals where there is nothing to compare with."""

import numpy as np
import pytest
import torch

from reid_drawings import CaptionedDrawings, draw_captioned
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
from reid_pipeline.evaluation.word_search import projected_vectors, text_vectors
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.pretrained import pretrained_state, weights_digest
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import TEXT_TOWER, Origin
from reid_pipeline.schema.parameters import BackboneParameters

pytestmark = pytest.mark.slow

TEXTS = ["a person, wearing a red shirt and blue jeans.", "a blue car", "a woman with long black hair"]


def loaded(*, neck: str = "before", pretrained: str | None = "demo", **origin) -> LoadedEmbedder:
    backbone = BackboneParameters(name="demo-vit", pretrained=pretrained, image_size=(96, 48))
    embedder = ReIDModel.from_backbone(backbone, neck=neck).embedder()
    values = {"weights": weights_digest("demo-vit", pretrained), "method": "pcl", **origin}
    parameters = {"pcl": {"backbone": backbone.model_dump(mode="json")}}
    embedder.origin = Origin(made_by="pcl.export", code="0", parameters=parameters, **values)
    return LoadedEmbedder(embedder, Runtime(torch.device("cpu")))


@pytest.fixture(scope="module")
def model() -> LoadedEmbedder:
    return loaded()


def test_vectors_are_those_of_open_clip(model):
    """By open_clip's whole CLIP, which pads texts to its context and projects them itself."""
    architecture = Architecture("demo-vit")
    clip = architecture.clip()
    clip.load_state_dict(pretrained_state(architecture, "demo", text=True), strict=False)
    with torch.no_grad():
        expected = clip.eval().encode_text(architecture.tokenizer(TEXTS), normalize=True).numpy()
    found = text_vectors(model, TEXTS)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5
    assert text_vectors(model, []).shape == (0, 128)


def test_captions_find_their_drawings(model):
    """Drawings that the demo's pretraining never saw: another seed."""
    drawings, captions = draw_captioned(CaptionedDrawings(seed=99, count=40, images_per_identity=1), processes=1)
    vectors = model.embed(list(drawings))
    similarity = text_vectors(model, captions) @ projected_vectors(model, vectors).T
    ranks = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    assert np.median(ranks) < 4, "by chance 20"


def test_the_projected_part_is_normalised_anew(model):
    vectors = np.random.default_rng(0).standard_normal((3, model.width)).astype(np.float32)
    found = projected_vectors(model, vectors)
    for given, made in zip(vectors, found, strict=True):
        part = given[192:]
        assert np.abs(made - part / np.sqrt((part.astype(float) ** 2).sum())).max() < 1e-6
    with pytest.raises(UserError, match=r"Vectors \[3, 5\] are not of this model, whose embeddings have 320"):
        projected_vectors(model, vectors[:, :5])


class _WithoutProjection:
    """What an embedder on a tower without a projection says of itself."""

    neck = "before"
    white_value = None

    class encoder:  # noqa: N801
        projects, width, embedding_width, name, config = False, 192, 192, "a-tower", None

    def to(self, _device):
        return self

    def description(self):
        return {"backbone": "a-tower"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: loaded(neck="after"), "its embeddings are read after necks"),
        (
            lambda: LoadedEmbedder(_WithoutProjection(), Runtime(torch.device("cpu"))),
            "its image tower 'a-tower' has no projection",
        ),
        (lambda: loaded(pretrained=None), "its text tower is not known"),
        (lambda: loaded(weights="0" * 64), r"its text tower is not there\. .* instead of 000000000000"),
        (lambda: loaded(made_from={TEXT_TOWER: "1" * 64}), "instead of 111111111111"),
    ],
)
def test_models_that_words_cannot_be_searched_with(given, words):
    with pytest.raises(UserError, match=f"^Words cannot be searched for with this model: .*{words}") as caught:
        text_vectors(given(), ["a red car"])
    assert "\n" not in str(caught.value)


def test_a_text_tower_of_another_kind(monkeypatch, model):
    monkeypatch.setattr(Embedder, "description", lambda _: {"backbone": "coca_ViT-B-32"})
    with pytest.raises(UserError, match="'coca_ViT-B-32' has no text tower that this project can read texts with"):
        text_vectors(model, ["a red car"])


def test_texts_that_say_nothing(model, caplog):
    with pytest.raises(UserError, match="Text 1 of 2 is empty"):
        text_vectors(model, ["a car", "  "])
    with pytest.raises(UserError, match="know nothing of the text 'xylophone'"):
        text_vectors(model, ["xylophone"])
    with pytest.raises(UserError, match="is too long for 'demo-vit'"):
        text_vectors(model, ["red " * 200])
    text_vectors(model, ["a red xylophone"])
    assert "do not know" in caplog.text
