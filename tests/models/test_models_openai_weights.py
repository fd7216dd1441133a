"""OpenAI-format ViT-B/16 weights, loaded by us, against the same weights in plain tensor operations."""

import pytest
import torch
from openai_format import OpenAIFiles, plain_features

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.schema.errors import UserError

pytestmark = pytest.mark.slow

NAME = "ViT-B-16-quickgelu"


@pytest.mark.parametrize(("stride", "grid"), [(16, (16, 8)), (12, (21, 10))])
def test_features_equal_an_independent_computation(
    openai_files: OpenAIFiles, stride: int, grid: tuple[int, int]
) -> None:
    images = torch.randn(1, 3, 256, 128, generator=torch.Generator().manual_seed(1))
    encoder = build_image_encoder(NAME, pretrained=openai_files.archive, patch_stride=stride).eval()
    with torch.no_grad():
        features = encoder.encode_image(images)
    *expected, expected_grid = plain_features(openai_files.state, images, stride=stride)
    assert encoder.grid_size == expected_grid == grid
    assert (encoder.width, encoder.projected_width, encoder.embedding_width) == (768, 512, 1280)
    for feature, wanted in zip(features, expected, strict=True):
        assert feature.dtype == torch.float32
        torch.testing.assert_close(feature.double(), wanted, atol=5e-5, rtol=1e-5)


def test_projected_equals_open_clips_own_model_at_the_native_size(openai_files: OpenAIFiles) -> None:
    from open_clip.model import build_model_from_openai_state_dict

    theirs = build_model_from_openai_state_dict(dict(openai_files.state), cast_dtype=torch.float32).float().visual
    encoder = build_image_encoder(NAME, pretrained=str(openai_files.state_dict), image_size=(224, 224)).eval()
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode_image(images).projected, theirs(images), atol=2e-5, rtol=1e-5)


def test_archive_and_state_dict_hold_the_same_float32_weights(openai_files: OpenAIFiles) -> None:
    from_archive = pretrained_state(Architecture(NAME), openai_files.archive, text=True)
    from_state = pretrained_state(Architecture(NAME), openai_files.state_dict)
    assert from_archive["token_embedding.weight"].shape == (49408, 512)
    assert "input_resolution" not in from_archive
    for key, tensor in from_state.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, from_archive[key])
        assert torch.equal(tensor, openai_files.state[key].float())


def test_weights_of_another_resolution_are_resized(openai_files: OpenAIFiles) -> None:
    encoder = build_image_encoder("ViT-B-16-quickgelu", pretrained=openai_files.state_dict, image_size=(32, 16))
    assert encoder.visual.positional_embedding.shape == (3, 768)
    assert encoder.visual.positional_embedding.requires_grad


def test_exact_gelu_is_refused(openai_files: OpenAIFiles) -> None:
    with pytest.raises(UserError, match=r"trained with the QuickGELU.*`backbone` to 'ViT-B-16-quickgelu'"):
        pretrained_state(Architecture("ViT-B-16"), openai_files.state_dict)


def test_another_architecture_names_the_tensor_and_the_guess(openai_files: OpenAIFiles) -> None:
    with pytest.raises(UserError) as error:
        pretrained_state(Architecture("ViT-B-32-quickgelu"), openai_files.archive)
    assert "'visual.conv1.weight' is [768, 3, 16, 16] in the file and [768, 3, 32, 32] in the model" in str(error.value)
    assert "looks like ViT-B-16" in str(error.value)
    assert "Set `backbone` to 'ViT-B-16" in str(error.value)
