"""BNNeck and the identity classifier (methods.md, section 1, "Heads").

Shape suffixes: B embeddings, D feature width, C identities.
"""

from torch import Tensor, nn


class BNNeck(nn.Module):
    """Batch normalisation of one feature, its shift frozen at zero.

    Separates the space of the triplet loss (before) from that of the ID loss (after).
    Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)
        self.norm.bias.requires_grad_(False)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return the normalised feature, float [B, D].

        Args:
            x_BD: Float [B, D]; in training mode B must be at least 2.

        Raises:
            ValueError: In training mode with a batch of one (from torch).
        """
        normalised: Tensor = self.norm(x_BD)
        return normalised


def identity_classifier(width: int, num_classes: int) -> nn.Linear:
    """Return a linear classifier without bias, float [B, width] to [B, num_classes].

    Weights are drawn from torch's global generator: normal, mean 0, std 0.001.
    """
    classifier = nn.Linear(width, num_classes, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier
