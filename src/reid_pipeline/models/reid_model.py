"""The trainable model of prototypical learning: image tower and two necks.

Shape suffixes: B images, E embedding width of the encoder.
"""

from typing import Self

import torch
from torch import Tensor, nn

from reid_pipeline.models.backbone import image_tower
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.heads import BNNeck
from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population


class ReIDModel(nn.Module):
    """Image tower with a BNNeck on each feature that is retrieved by; parameter names as in `Embedder`."""

    def __init__(self, encoder: ImageEncoder, *, neck: str = "after") -> None:
        """Put necks on a tower, which is not copied; retrieval reads `"before"` or `"after"` the necks."""
        super().__init__()
        self.encoder = encoder
        self.neck = neck
        self.final_neck = BNNeck(encoder.width)
        self.projected_neck = BNNeck(encoder.projected_width) if encoder.projects else None

    @classmethod
    def from_backbone(
        cls, backbone: BackboneParameters, population: Population | None = None, *, neck: str = "after"
    ) -> Self:
        """Build the tower that `backbone` names, see `image_tower`, and put necks on it."""
        return cls(image_tower(backbone, population), neck=neck)

    @property
    def necks(self) -> tuple[BNNeck, ...]:
        """The necks of `ImageFeatures.retrieved`, in its order."""
        return (self.final_neck,) if self.projected_neck is None else (self.final_neck, self.projected_neck)

    def necked(self, features: ImageFeatures) -> tuple[Tensor, ...]:
        """Return the features that are retrieved by, behind their necks."""
        return tuple(neck(part) for neck, part in zip(self.necks, features.retrieved, strict=True))

    def embed(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Tensor:
        """Return the necked features side by side, not normalised: float [B, E]; B at least 2 in training mode."""
        return torch.cat(self.necked(self.encoder.encode_image(images, camids, viewids)), dim=1)

    forward = embed

    def embedder(self) -> Embedder:
        """Return the inference side of this model, which shares its modules and puts them in eval mode."""
        necks = (self.final_neck, self.projected_neck) if self.neck == "after" else None
        return Embedder(self.encoder, neck=self.neck, necks=necks)
