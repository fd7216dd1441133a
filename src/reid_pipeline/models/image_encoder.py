"""CLIP's image tower by name: a class-token ViT or a ModifiedResNet, at any input size."""

from pathlib import Path
from typing import Any

from torch import Tensor

from reid_pipeline.models.architecture import build_visual_tower, native_grid, supported_config
from reid_pipeline.models.image_tower import ImageEncoder
from reid_pipeline.models.position_grid import Grid, resize_positions, stored_grid
from reid_pipeline.models.pretrained import load_pretrained_state, pixel_statistics
from reid_pipeline.models.resnet_encoder import ResNetEncoder
from reid_pipeline.models.vit_encoder import ViTEncoder

__all__ = ["ImageEncoder", "adapt_tower", "build_image_encoder"]


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
        name: a class-token ViT (`ViT-B-16-quickgelu`) or a ModifiedResNet (`RN50-quickgelu`) of
            open_clip, or `demo-vit`.
        pretrained: a tag, the path of a weight file, `"demo"`, or None for random weights drawn from
            torch's global generator; see `reid_pipeline.models.pretrained`.
        image_size: (H, W), at least one patch; for a ResNet at least 16.
        patch_stride: 1..patch; None means the patch size (no overlap). A ResNet has none.
        num_cameras: cameras that get a learnt embedding; 0 for none. A ResNet takes 0 only.
        num_views: views that get one; likewise.

    Returns:
        a module in training mode, on the CPU, float32.

    Raises:
        UserError: any of the above is not allowed, or the weights do not fit.
    """
    config = supported_config(name)
    state = None if pretrained is None else load_pretrained_state(name, pretrained)
    visual = build_visual_tower(config, device="cpu" if state is None else "meta")
    native = native_grid(visual)
    encoder = adapt_tower(
        name, visual, image_size=image_size, patch_stride=patch_stride, num_cameras=num_cameras, num_views=num_views
    )
    if state is not None:
        load_tower(encoder, state, native)
        encoder.pixel_mean, encoder.pixel_std = pixel_statistics(name, pretrained)
    return encoder


def adapt_tower(name: str, visual: Any, *, image_size: Grid, **options: Any) -> ImageEncoder:
    """Return the encoder around open_clip's image tower `visual`, which it changes in place.

    Args:
        name: its name in open_clip.
        visual: what `build_visual_tower` returned; on the meta device no number is drawn.
        image_size: as for `build_image_encoder`.
        options: `patch_stride`, `num_cameras` and `num_views`, likewise.

    Raises:
        UserError: as `build_image_encoder`.
    """
    kind = ResNetEncoder if hasattr(visual, "attnpool") else ViTEncoder
    return kind(name, visual, image_size=image_size, **options)


def load_tower(encoder: ImageEncoder, state: dict[str, Tensor], native: Grid) -> None:
    """Put weights into a tower that lies on the meta device, the positional embedding resized.

    Args:
        encoder: what `adapt_tower` returned; its tensors become those of `state`, not copies.
        state: what `load_pretrained_state` returned.
        native: grid the architecture was configured with, see `native_grid`.
    """
    position_LD = state[encoder.POSITION_KEY]
    source = stored_grid(len(position_LD), native) or native
    resized = {encoder.POSITION_KEY: resize_positions(position_LD, source, encoder.grid_size)}
    encoder.visual.load_state_dict(state | resized, assign=True)
