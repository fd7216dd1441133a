"""The towers that backbone parameters ask for, with side information for a population's cameras and views."""

from typing import Any

from reid_pipeline.models.image_encoder import ImageEncoder, build_image_encoder
from reid_pipeline.models.text_encoder import TextEncoder, build_encoders
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population


def image_tower(backbone: BackboneParameters, population: Population | None = None) -> ImageEncoder:
    """Build the image tower that `backbone` names, with its weights, pixel statistics and filter.

    Args:
        backbone: what to build.
        population: whose cameras and views `backbone.sie` embeds; not read where it embeds none.

    Raises:
        UserError: as `build_image_encoder`; or there is nothing that `backbone.sie` could embed.
    """
    encoder = build_image_encoder(backbone.name, **_choices(backbone, population))
    return _finished(encoder, backbone)


def both_towers(backbone: BackboneParameters, population: Population | None = None) -> tuple[ImageEncoder, TextEncoder]:
    """Build the image tower as `image_tower` does, and the text tower of the same weights.

    Raises:
        UserError: as `image_tower` and `build_text_encoder`.
    """
    encoder, text_encoder = build_encoders(backbone.name, **_choices(backbone, population))
    return _finished(encoder, backbone), text_encoder


def _choices(backbone: BackboneParameters, population: Population | None) -> dict[str, Any]:
    return {
        "pretrained": backbone.pretrained,
        "image_size": backbone.image_size,
        "patch_stride": backbone.patch_stride,
        **_side_information(backbone, population),
    }


def _finished(encoder: ImageEncoder, backbone: BackboneParameters) -> ImageEncoder:
    encoder.pixel_mean = backbone.pixel_mean or encoder.pixel_mean
    encoder.pixel_std = backbone.pixel_std or encoder.pixel_std
    encoder.evaluation_resize = backbone.evaluation_resize
    encoder.sie_coefficient = backbone.sie_coefficient
    encoder.sie_tokens = backbone.sie_tokens
    return encoder


def _side_information(backbone: BackboneParameters, population: Population | None) -> dict[str, int]:
    """Return the number of cameras and views that are embedded."""
    if backbone.sie == "none":
        return {}
    asked = {"camera": ("cameras",), "view": ("views",), "both": ("cameras", "views")}[backbone.sie]
    counts = {name: getattr(population, name, 0) for name in asked}
    missing = [name for name, count in counts.items() if not count]
    if missing:
        raise UserError(
            f"backbone.sie is {backbone.sie!r}, and the training images have no {' and no '.join(missing)}."
            " Set backbone.sie to 'none', or to what they have."
        )
    return {f"num_{name}": count for name, count in counts.items()}
