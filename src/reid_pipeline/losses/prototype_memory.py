"""Prototypical contrast: unit embeddings against one unit prototype per identity, stored in a memory.

Source: "Prototypical Contrastive Learning-based CLIP Fine-tuning for Object Re-Identification" (arXiv
2310.17218, section 3.2); the memory and its update follow Cluster Contrast (arXiv 2103.11568).

Shape suffixes: B batch, C identities, D embedding width, U identities updated.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.losses._inputs import check_label_range, check_labelled, no_autocast, upcast
from reid_pipeline.losses.host_labels import labels_on_host

Update = Literal["hard", "mean"]


class PrototypeMemory(nn.Module):
    """The prototypes, the loss against them, and their momentum update. No parameters: buffers only.

    Attributes:
        prototypes: `[C, D]`, unit rows, float32 (float64 where built from float64).
    """

    prototypes: Tensor

    def __init__(
        self, prototypes: Tensor, *, temperature: float = 0.05, momentum: float = 0.1, update: Update = "hard"
    ) -> None:
        """Store a copy of `prototypes`.

        Args:
            prototypes: `[C, D]`, unit rows (to 1e-3).
            temperature: tau, above 0.
            momentum: m, the share of the old prototype that stays, in [0, 1]; 0.2 supervised, 0.1 unsupervised.
            update: "hard" (the least similar instance of an identity) or "mean" (every instance, in order).

        Raises:
            ValueError: prototypes that are not a matrix of unit rows, or an option outside its range.
        """
        super().__init__()
        if prototypes.ndim != 2 or 0 in prototypes.shape:
            raise ValueError(f"prototypes have shape {list(prototypes.shape)}; [C, D] is needed, C, D > 0.")
        unit_CD = upcast(prototypes.detach()).clone()
        off = (unit_CD.norm(dim=1) - 1).abs()
        if not bool((off <= 1e-3).all()):
            row = int((~(off <= 1e-3)).nonzero()[0])
            raise ValueError(
                f"prototype {row} has norm {float(unit_CD[row].norm()):.4g}; each must be a unit vector. "
                "Build the memory with PrototypeMemory.from_embeddings, or normalise the rows."
            )
        if not temperature > 0 or not 0 <= momentum <= 1:
            raise ValueError(
                f"temperature is {temperature} and momentum {momentum}; "
                "temperature must be above 0, momentum in [0, 1]."
            )
        if update not in ("hard", "mean"):
            raise ValueError(f"update is {update!r}; allowed: 'hard', 'mean'.")
        self.temperature, self.momentum, self.update_rule = temperature, momentum, update
        self.register_buffer("prototypes", unit_CD)

    @classmethod
    def from_embeddings(
        cls,
        embeddings_ND: Tensor,
        labels_N: Tensor,
        num_classes: int,
        *,
        temperature: float = 0.05,
        momentum: float = 0.1,
        update: Update = "hard",
    ) -> "PrototypeMemory":
        """Build the memory: per label the mean of its unit embeddings, then unit norm.

        `[N, D]` floats, L2-normalised first, and `[N]` int64 labels in 0..num_classes-1, each at least once (else
        ValueError: which). The options are those of the constructor.
        """
        prototypes_CD = unit_means(embeddings_ND, labels_N, num_classes)
        return cls(prototypes_CD, temperature=temperature, momentum=momentum, update=update)

    def loss(self, embeddings_BD: Tensor, labels_B: Tensor) -> Tensor:
        """Return `mean_b cross-entropy(q_b M^T / tau, y_b)`, q the L2-normalised embeddings.

        `[B, D]` floats and `[B]` int64 in 0..C-1 to a scalar, 0 or more, computed in float32 at least, under autocast
        too. The prototypes take no gradient and are not changed.

        Raises:
            ValueError: shapes that do not match, or a label out of range.
        """
        with no_autocast(embeddings_BD):
            logits_BC = self.similarities(embeddings_BD, labels_B) / self.temperature
            return F.cross_entropy(logits_BC, labels_B)

    def similarities(self, embeddings_BD: Tensor, labels_B: Tensor) -> Tensor:
        """Return `q M^T`, q the L2-normalised embeddings: `[B, C]`, float32 at least; labels are only checked."""
        self._check(embeddings_BD, labels_B)
        with no_autocast(embeddings_BD):
            unit_BD = F.normalize(upcast(embeddings_BD), dim=1)
            return unit_BD @ self.prototypes.to(unit_BD.dtype).T

    @torch.no_grad()
    def update(self, embeddings_BD: Tensor, labels_B: Tensor, *, stopped: Tensor | None = None) -> None:
        """Move the prototypes of the batch's identities: `M[y] <- m M[y] + (1 - m) q`, then unit norm.

        To be called after the optimiser's step, with that step's own embeddings, as for `loss`; never inside
        autograd. "mean": for each instance in batch order, unit norm after every one. "hard": once per identity,
        with the instance least similar to M[y] as it was before the update (ties: the first in the batch). Gradients of
        the embeddings are ignored; errors are those of `loss`. Where `stopped`, a scalar on the device, is 1 nothing
        moves; it is not read back.
        """
        self._check(embeddings_BD, labels_B)
        with no_autocast(embeddings_BD):
            unit_BD = F.normalize(embeddings_BD.detach().to(self.prototypes.dtype), dim=1)
            blended = self._least_similar_blended if self.update_rule == "hard" else self._blended_in_order
            labels_U, moved_UD = blended(unit_BD, labels_B)
            if stopped is not None:
                moved_UD = torch.where(stopped > 0, self.prototypes[labels_U], moved_UD)
            self.prototypes[labels_U] = moved_UD

    def _least_similar_blended(self, unit_BD: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the identities, and their prototypes after the update by each one's least similar instance."""
        similarity_B = (unit_BD * self.prototypes[labels_B]).sum(dim=1)
        by_similarity_B = torch.argsort(similarity_B, stable=True)
        by_label_B = by_similarity_B[torch.argsort(labels_B[by_similarity_B], stable=True)]
        labels_U, _, starts_U, _ = _runs(labels_B)
        return labels_U, self._blended(self.prototypes[labels_U], unit_BD[by_label_B[starts_U]])

    def _blended_in_order(self, unit_BD: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the identities, and their prototypes after the update by every instance, in batch order within each.

        Unit norm after each makes the instances of one identity a sequence. Identities do not touch each other, so the
        turn-th instances of all of them move together: as many turns as the most frequent identity has instances (K of
        a PK batch), and nothing read back from the device in between.
        """
        by_label_B = torch.argsort(labels_B, stable=True)
        labels_U, counts_U, starts_U, most = _runs(labels_B)
        moved_UD = self.prototypes[labels_U]
        for turn in range(most):
            # Identities whose instances are used up repeat their last one, and drop the result.
            instance_U = by_label_B[starts_U + (counts_U - 1).clamp(max=turn)]
            blended_UD = self._blended(moved_UD, unit_BD[instance_U])
            moved_UD = torch.where((counts_U > turn)[:, None], blended_UD, moved_UD)
        return labels_U, moved_UD

    def _blended(self, prototypes_UD: Tensor, unit_UD: Tensor) -> Tensor:
        return F.normalize(self.momentum * prototypes_UD + (1 - self.momentum) * unit_UD, dim=1)

    def _check(self, embeddings_BD: Tensor, labels_B: Tensor) -> None:
        count, width = self.prototypes.shape
        _check_batch(embeddings_BD, labels_B, count)
        if embeddings_BD.shape[1] != width:
            raise ValueError(
                f"embeddings are {embeddings_BD.shape[1]} wide, the prototypes {width}; "
                "both must be the same retrieval embedding of one model."
            )


def unit_means(embeddings_ND: Tensor, labels_N: Tensor, num_classes: int) -> Tensor:
    """Return per label the mean of its unit embeddings, normalised: `[C, D]`."""
    _check_batch(embeddings_ND, labels_N, num_classes)
    counts_C = torch.bincount(labels_N, minlength=num_classes)
    empty = (counts_C == 0).nonzero().squeeze(1).tolist()
    if empty:
        raise ValueError(
            f"{len(empty)} of {num_classes} labels have no embedding (first: {empty[:5]}); every label from "
            f"0 to {num_classes - 1} needs one. Give contiguous labels, and their number as num_classes."
        )
    unit_ND = F.normalize(upcast(embeddings_ND.detach()), dim=1)
    sums_CD = unit_ND.new_zeros(num_classes, unit_ND.shape[1]).index_add_(0, labels_N, unit_ND)
    return F.normalize(sums_CD / counts_C[:, None], dim=1)


def _check_batch(embeddings_BD: Tensor, labels_B: Tensor, num_classes: int) -> None:
    check_labelled(embeddings_BD, labels_B, "embeddings")
    remedy = "Drop noise (-1) first, and rebuild the memory when the labels change."
    check_label_range(labels_B, num_classes, "prototypes", remedy)


def _runs(labels_B: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return the distinct labels, how often each stands, where it is first among the sorted ones, and the most of one.

    `[U]` each, on the device of the labels; found on the host, which need not wait for labels that it knows.
    """
    sorted_B = labels_on_host(labels_B).sort().values
    values_U, counts_U = torch.unique_consecutive(sorted_B, return_counts=True)
    starts_U = counts_U.cumsum(dim=0) - counts_U
    most = int(counts_U.max())
    device = labels_B.device
    values_U, counts_U, starts_U = (
        each_U.to(device, non_blocking=device.type == "cuda") for each_U in (values_U, counts_U, starts_U)
    )
    return values_U, counts_U, starts_U, most
