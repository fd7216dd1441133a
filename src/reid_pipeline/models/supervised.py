"""Trainable models with identity classifiers, with prompts beside the images, with heads behind both.

Shape suffixes: B images, C identities, E width of CLIP's joint space.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from reid_pipeline.models.heads import identity_classifier, predictor_head, projection_head
from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures
from reid_pipeline.models.prompts import PromptLearner
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.text_encoder import TextEncoder
from reid_pipeline.schema.errors import UserError


class Classified(NamedTuple):
    """Output of a supervised model for B images."""

    features: ImageFeatures
    embedding: Tensor  # the necked features side by side, float [B, embedding_width]
    logits: tuple[Tensor, ...]  # one per classifier, float [B, C] each


class SupervisedReIDModel(ReIDModel):
    """Image tower, BNNecks and identity classifiers without bias."""

    def __init__(self, encoder: ImageEncoder, identities: int, *, neck: str, joint_classifier: bool = False) -> None:
        """Put necks on a tower, and a classifier on each (CLIP-ReID) or one on both side by side (PCL-CLIP)."""
        if identities < 1:
            raise UserError(
                "No training image has an identity, and this method learns from identities. Label the images,"
                " or train unsupervised_pcl, which needs no label."
            )
        super().__init__(encoder, neck=neck)
        widths = encoder.retrieved_widths
        read = (sum(widths),) if joint_classifier else widths
        self.classifiers = nn.ModuleList(identity_classifier(width, identities) for width in read)

    def classify(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Classified:
        """Return features, necked embedding and logits; arguments as for `embed`, B at least 2 in training."""
        features = self.encoder.encode_image(images, camids, viewids)
        necked = self.necked(features)
        embedding = torch.cat(necked, dim=1)
        read = (embedding,) if len(self.classifiers) == 1 else necked
        logits = tuple(classify(part) for classify, part in zip(self.classifiers, read, strict=True))
        return Classified(features, embedding, logits)


class PromptedReIDModel(SupervisedReIDModel):
    """A supervised model with CLIP's text tower, which is frozen, and a learnt prompt for each identity."""

    def __init__(
        self, encoder: ImageEncoder, text_encoder: TextEncoder, prompts: PromptLearner, identities: int
    ) -> None:
        """Put necks, classifiers, text tower and prompts together; retrieval reads before the necks."""
        super().__init__(encoder, identities, neck="before")
        self.text_encoder = text_encoder.requires_grad_(False)
        self.prompts = prompts

    def encode_text(self, labels: Tensor) -> Tensor:
        """Return the text features of identities' prompts, not normalised: int64 [B] to float [B, E]."""
        return self.text_encoder.encode(self.prompts(labels), self.prompts.position)

    def image_side(self) -> nn.Module:
        """Return what the second stage trains: image tower, necks and classifiers."""
        return nn.ModuleList([self.encoder, *self.necks, self.classifiers])


class SelfSupervisedReIDModel(PromptedReIDModel):
    """A prompted model with a head for self-supervision behind either tower (methods.md, section 7).

    `text_head` reads a text feature, `image_head` the image feature `final`. Retrieval reads neither.
    Source: SVLL-ReID, arXiv 2407.20647.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        text_encoder: TextEncoder,
        prompts: PromptLearner,
        identities: int,
        *,
        kind: Literal["nt_xent", "simsiam"] = "nt_xent",
        widths: tuple[int, int] = (4096, 256),
    ) -> None:
        """Put heads on a `PromptedReIDModel`; its own weights are sampled first, hence equal without heads.

        `"nt_xent"`: projection heads of these hidden and output widths, initialised as in the released code.
        `"simsiam"`: predictors, which read the features themselves; the released code has one for images only.
        """
        super().__init__(encoder, text_encoder, prompts, identities)
        if kind == "simsiam":
            self.text_head = predictor_head(encoder.projected_width)
            self.image_head = predictor_head(encoder.width)
            return
        hidden, output = widths
        self.text_head = projection_head(encoder.projected_width, hidden_width=hidden, output_width=output)
        self.image_head = projection_head(
            encoder.width, hidden_width=hidden, output_width=output, initialisation="kaiming"
        )

    def image_side(self) -> nn.Module:
        """Return what the second stage trains: that of `PromptedReIDModel`, and the head for images."""
        return nn.ModuleList([super().image_side(), self.image_head])
