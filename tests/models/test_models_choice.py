"""Names, tags and downloads: what is not allowed gets an answer."""

import subprocess
import sys

import pytest

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder, image_tower, tower_settings
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "ViT-B-16-quickgleu"}, r"Unknown backbone 'ViT-B-16-quickgleu'. Did you mean 'ViT-B-16-quickgelu'\?"),
        ({"name": "nets/a"}, r"Unknown backbone 'nets/a'\..* There is no folder of this name either\. Allowed: the"),
        ({"name": "ViT-B-16-quickgelu", "pretrained": "opnai"}, r"Did you mean 'openai'\? Allowed: its tags openai"),
        ({"name": "ViT-S-16", "pretrained": "openai"}, "^'ViT-S-16' has no published weights: set"),
        ({"name": "demo-vit", "pretrained": "openai"}, "Allowed: its tags demo, the path"),
        ({"name": "ViT-B-16", "pretrained": "openai"}, "Set `backbone` to 'ViT-B-16-quickgelu'"),
        (
            {"name": "demo-vit", "image_size": (256,)},
            r"image_size \[256\] is not allowed with 'demo-vit': two whole numbers",
        ),
        ({"name": "demo-vit", "image_size": (96, 7)}, r"image_size \[96, 7\].*at least the patch size \d+\."),
        (
            {"name": "demo-vit", "patch_stride": 33},
            r"patch_stride 33 is not allowed with 'demo-vit': 1 to the patch size, \d+ ",
        ),
        ({"name": "demo-vit", "patch_stride": 0}, "patch_stride 0 is not allowed"),
        (
            {"name": "demo-vit", "patch_stride": 1, "image_size": (256, 256)},
            r"makes \d+ tokens .*1 GiB .*Raise `patch_s",
        ),
        ({"name": "demo-vit", "num_cameras": -1}, "num_cameras -1 is not allowed"),
    ],
)
def test_what_is_not_allowed(options: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        build_image_encoder(**options)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("vit-b-16", "ViT-B-16"),
        ("ViT_B_16", "ViT-B-16"),
        ("VITB16", "ViT-B-16"),
        ("vit b/16", "ViT-B-16"),
        ("vitb16quickgelu", "ViT-B-16-quickgelu"),
        ("VIT_L_14_336", "ViT-L-14-336"),
        ("rn50", "RN50"),
        ("rn50X4", "RN50x4"),
        ("Demo_ViT", "demo-vit"),
        ("VIT-B-16-QUICKGLEU", "ViT-B-16-quickgelu"),
    ],
)
def test_case_and_separators_count_least(given: str, found: str) -> None:
    with pytest.raises(UserError, match=rf"Unknown backbone '{given}'. Did you mean '{found}'\?"):
        Architecture(given)


@pytest.mark.parametrize(("given", "found"), [("LAION-2B-s34b-b88k", "laion2b_s34b_b88k"), ("DFN-2b", "dfn2b")])
def test_so_they_do_in_tags(given: str, found: str) -> None:
    with pytest.raises(UserError, match=rf"Unknown pretrained weights '{given}'.*Did you mean '{found}'\?"):
        pretrained_state(Architecture("ViT-B-16"), given)


def test_pixel_statistics_are_those_of_the_weights() -> None:
    assert Architecture("ViT-L-14").pixel_statistics("laion2b_s32b_b82k") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert Architecture("ViT-L-14-quickgelu").pixel_statistics("openai")[0] == (0.48145466, 0.4578275, 0.40821073)
    assert build_image_encoder("demo-vit").pixel_mean == (0.48145466, 0.4578275, 0.40821073)


def test_pixel_statistics_left_out_are_those_of_the_weights() -> None:
    given = {"name": "demo-vit", "image_size": (96, 48)}
    assert image_tower(BackboneParameters(**given)).pixel_mean == (0.5, 0.5, 0.5)
    own = image_tower(BackboneParameters(**given, pixel_mean=None, pixel_std=None))
    assert (own.pixel_mean[0], own.pixel_std[0]) == (0.48145466, 0.26862954)


def test_of_a_file_they_are_those_that_the_tags_of_the_name_share(caplog: pytest.LogCaptureFixture) -> None:
    half = (0.5, 0.5, 0.5)
    assert Architecture("ViT-B-16-SigLIP2").pixel_statistics("/here/siglip2.pt") == (half, half)
    assert Architecture("MobileCLIP2-S0").pixel_statistics("mobile.pt") == ((0, 0, 0), (1, 1, 1))
    differing = Architecture("ViT-L-14")  # its tags differ
    assert differing.pixel_statistics("large.pt")[0] == (0.48145466, 0.4578275, 0.40821073)
    own = BackboneParameters(name="ViT-L-14", pixel_mean=None, image_size=(224, 224)).model_copy(
        update={"pretrained": "large.pt"}
    )
    with caplog.at_level("INFO", "reid_pipeline"):
        for backbone in (
            own,
            own,
            own.model_copy(update={"pixel_mean": half}),
            own.model_copy(update={"pretrained": "openai"}),
        ):
            tower_settings(differing, backbone, None)
    (line,) = caplog.messages
    assert line.startswith("Nothing says which pixels the weights of backbone.name=ViT-L-14, backbone.pretrained=large")


@pytest.mark.slow
def test_the_package_is_light() -> None:
    code = (
        "import sys, reid_pipeline.models as m; assert 'torch' not in sys.modules; "
        "assert 'build_image_encoder' in dir(m); assert not hasattr(m, 'nothing'); assert 'torch' not in sys.modules; "
        "assert callable(m.build_image_encoder); assert 'open_clip' not in sys.modules; "
        "import reid_pipeline.models.reid_model; assert 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
