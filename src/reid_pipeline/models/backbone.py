"""CLIP's image tower by name or by parameters, at any input size; its kinds are in `models.towers`."""

import logging
from functools import cache
from pathlib import Path

from reid_pipeline.models.architecture import Architecture, Grid
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

_log = logging.getLogger(__name__)


def build_image_encoder(
    name: str,
    *,
    pretrained: str | Path | None = None,
    image_size: Grid = (256, 128),
    patch_stride: int | None = None,
    num_cameras: int = 0,
    num_views: int = 0,
) -> ImageEncoder:
    """Return CLIP's image tower `name` with its three features.

    Args:
        name: a network of open_clip, such as `ViT-B-16-quickgelu`, `RN50-quickgelu` or `ViT-B-16-SigLIP2`; the
            folder or repository of one that it saved, see `reid_pipeline.models.model_folders`; or `demo-vit`.
        pretrained: a tag, the path of a weight file, `"demo"`, or None for random weights sampled from
            torch's global generator (of a folder: its own weights); see `reid_pipeline.models.pretrained`.
        image_size: (H, W), at least one patch; of a network without patches, at least its stride.
        patch_stride: 1..patch; None means the patch size (no overlap). ResNets and the like have none.
        num_cameras: cameras that get a learnt embedding; 0 for none. Networks without tokens take 0 only.
        num_views: views that get one; likewise.

    Returns:
        a module in training mode, on the CPU, float32.

    Raises:
        UserError: any of the above is not allowed, or the weights do not fit.
    """
    architecture = Architecture(name)
    settings = TowerSettings(
        image_size, patch_stride, num_cameras, num_views, *architecture.pixel_statistics(pretrained)
    )
    return build_tower(architecture, settings, pretrained_state(architecture, pretrained))


def image_tower(backbone: BackboneParameters, population: Population | None = None) -> ImageEncoder:
    """Build the image tower that `backbone` names, with its weights.

    `population` has the cameras and views that `backbone.sie` embeds; UserError where it has none.
    """
    architecture = Architecture(backbone.name)
    settings = tower_settings(architecture, backbone, population)
    return build_tower(architecture, settings, pretrained_state(architecture, backbone.pretrained))


def tower_settings(
    architecture: Architecture, backbone: BackboneParameters, population: Population | None
) -> TowerSettings:
    """Return the settings that `backbone` asks for, with the pixel statistics of the weights where it has none."""
    embedded = {"none": (), "camera": ("cameras",), "view": ("views",), "both": ("cameras", "views")}[backbone.sie]
    counts = {name: getattr(population, name, 0) for name in embedded}
    missing = [name for name, count in counts.items() if not count]
    if missing:
        raise UserError(
            f"backbone.sie is {backbone.sie!r}, and the training images have no {' and no '.join(missing)}."
            " Set backbone.sie to 'none', or to what they have."
        )
    mean, std = architecture.pixel_statistics(backbone.pretrained)
    if None in (backbone.pixel_mean, backbone.pixel_std) and architecture.guesses_statistics(backbone.pretrained):
        _log_guess(backbone.name, backbone.pretrained or "null")
    return TowerSettings(
        backbone.image_size,
        backbone.patch_stride,
        counts.get("cameras", 0),
        counts.get("views", 0),
        backbone.pixel_mean or mean,
        backbone.pixel_std or std,
        backbone.sie_coefficient,
        backbone.sie_tokens,
        backbone.evaluation_resize,
    )


@cache
def _log_guess(name: str, pretrained: str) -> None:
    """Log once that the pixels of these weights are not known."""
    _log.info(
        "Nothing says which pixels the weights of backbone.name=%s, backbone.pretrained=%s were trained with: they get "
        "OpenAI's mean and standard deviation. Give backbone.pixel_mean and .pixel_std where these are others.",
        name,
        pretrained,
    )
