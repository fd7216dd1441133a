"""BNNeck and the identity classifier (methods.md, section 1, "Heads"); heads of self-supervision (section 7).

Initial weights are sampled from torch's global generator.

Shape suffixes: B embeddings, D feature width, C identities.
"""

from typing import Literal, cast

from torch import Tensor, nn


class BNNeck(nn.Module):
    """Batch normalisation of one feature, float [B, D], its shift frozen at zero; B at least 2 in training.

    Separates the space of the triplet loss (before) from that of the ID loss (after).
    Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.norm.bias.requires_grad_(False)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return the normalised feature, float [B, D]."""
        return cast("Tensor", self.norm(x_BD))


def identity_classifier(width: int, num_classes: int) -> nn.Linear:
    """Return a linear classifier without bias, [B, width] to [B, num_classes]; weights normal, std 0.001."""
    classifier = nn.Linear(width, num_classes, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier


def projection_head(
    width: int,
    *,
    hidden_width: int = 4096,
    output_width: int = 256,
    initialisation: Literal["default", "kaiming"] = "default",
) -> nn.Sequential:
    """Return the MLP before NT-Xent, float [B, width] to [B, output_width].

    Three linear layers; batch norm and ReLU after the first two. The initialisation `"default"` is torch's, the
    released code's for texts; `"kaiming"` is the released code's for images: linear weights by Kaiming's normal rule
    over the fan-in, scale and shift of the batch norms uniform in 0..1.
    Source: SVLL-ReID, arXiv 2407.20647; Chen et al., SimCLR, 2020.
    """
    hidden = [
        layer
        for inputs in (width, hidden_width)
        for layer in (nn.Linear(inputs, hidden_width), nn.BatchNorm1d(hidden_width), nn.ReLU())
    ]
    head = nn.Sequential(*hidden, nn.Linear(hidden_width, output_width))
    if initialisation == "kaiming":
        for layer in head:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm1d):
                nn.init.uniform_(layer.weight)
                nn.init.uniform_(layer.bias)
    return head


def predictor_head(width: int, *, hidden_width: int = 512) -> nn.Sequential:
    """Return SimSiam's predictor, float [B, width] to [B, width]: linear, batch norm, ReLU, linear.

    In the released code of SVLL-ReID it reads `final` itself, with no projection head before it.
    Source: Chen and He, Exploring Simple Siamese Representation Learning, 2021, section 3.
    """
    return nn.Sequential(
        nn.Linear(width, hidden_width), nn.BatchNorm1d(hidden_width), nn.ReLU(), nn.Linear(hidden_width, width)
    )
