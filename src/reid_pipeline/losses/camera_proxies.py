"""Contrast with camera-aware proxies: one unit vector per cluster and camera, and three losses against them.

Sources: Wang et al., "Camera-aware Proxies for Unsupervised Person Re-Identification" (CAP), AAAI 2021, arXiv
2012.10674; Wang et al., "Offline-Online Associated Camera-Aware Proxies for Unsupervised Person
Re-identification" (O2CAP), IEEE TIP 2022, arXiv 2201.05820.

Shape suffixes: B batch, D embedding width, P proxies, K cameras, A selected positives.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.losses._inputs import no_autocast
from reid_pipeline.losses.prototype_memory import PrototypeMemory

CameraReduction = Literal["sum", "mean"]


class CameraProxyMemory(nn.Module):
    """Proxies with their clusters and cameras, the losses against them, and their momentum update.

    In the losses every camera of the batch weighs the same, and so does every row of a camera. With `camera_reduction`
    "sum" they are the papers' `sum_c (1 / N_c) sum_i`, as in the released codes. "mean" divides that by the number of
    cameras in the batch: the scale, and so the learning rate, then does not depend on how many there are.

    Each takes embeddings, `[B, D]` floats, and the proxy of each row, `[B]` int64 in 0..P-1, and returns a scalar,
    0 or more; ValueError for shapes that do not match or a proxy out of range. The proxies take no gradient.

    Attributes:
        memory: the prototype memory of the proxies: momentum update, temperature.
        clusters: int64 `[P]`, the cluster of each proxy.
        camids: int64 `[P]`, the camera of each proxy.
    """

    clusters: Tensor
    camids: Tensor
    _slots: Tensor

    def __init__(
        self,
        memory: PrototypeMemory,
        clusters_P: Tensor,
        camids_P: Tensor,
        *,
        hard_negatives: int = 50,
        camera_reduction: CameraReduction = "mean",
    ) -> None:
        """Store which cluster and camera, `[P]` int64 each, every prototype of `memory` is the proxy of.

        A row is pushed from its `hard_negatives` most similar negatives (50 in both papers); all, if there are fewer.

        Raises:
            ValueError: not one cluster and camera per prototype, a pair twice, hard_negatives below 1, or a
                camera_reduction other than "sum" and "mean".
        """
        super().__init__()
        count = len(memory.prototypes)
        if not clusters_P.shape == camids_P.shape == (count,):
            raise ValueError(
                f"there are {count} prototypes, clusters of shape {list(clusters_P.shape)} and camids of "
                f"shape {list(camids_P.shape)}; one cluster and one camid per prototype are needed."
            )
        distinct = len(torch.unique(torch.stack((clusters_P, camids_P), dim=1), dim=0))
        if distinct < count:
            raise ValueError(f"{count} proxies are of {distinct} pairs of cluster and camera; each pair has one proxy.")
        _at_least_one(hard_negatives=hard_negatives)
        if camera_reduction not in ("sum", "mean"):
            raise ValueError(f"camera_reduction is {camera_reduction!r}; allowed: 'sum', 'mean'.")
        self.memory, self.hard_negatives, self.camera_reduction = memory, hard_negatives, camera_reduction
        cameras_K, slots_P = torch.unique(camids_P, return_inverse=True)
        self._cameras = len(cameras_K)
        for name, values_P in {"clusters": clusters_P, "camids": camids_P, "_slots": slots_P}.items():
            self.register_buffer(name, values_P.clone())

    def intra_camera_loss(self, embeddings_BD: Tensor, proxies_B: Tensor) -> Tensor:
        """Contrast each row with the proxies of its own camera (CAP, equation 3).

        A row's term is `-log( exp(q . m_y / tau) / sum_j exp(q . m_j / tau) )`, q the L2-normalised
        embedding, y its proxy, j all proxies of its camera. A camera with one proxy gives 0.
        """
        with no_autocast(embeddings_BD):
            logits_BP = self.memory.similarities(embeddings_BD, proxies_B) / self.memory.temperature
            own_BP = logits_BP.masked_fill(~self._same(self.camids, proxies_B), -torch.inf)
            terms_B = F.cross_entropy(own_BP, proxies_B, reduction="none")
            return self._over_cameras(terms_B, proxies_B)

    def inter_camera_loss(self, embeddings_BD: Tensor, proxies_B: Tensor, *, own_camera: bool = False) -> Tensor:
        """Pull each row to the proxies of its cluster, and push it from the hardest others (CAP, equation 4).

        A row's term is `-(1 / |A|) sum_{a in A} log( exp(q . m_a / tau) / sum_{j in A + N}
        exp(q . m_j / tau) )`: A the proxies of its cluster in the other cameras, N the `hard_negatives`
        most similar proxies of other clusters, of any camera. Without `own_camera` the row's own proxy is
        in neither, and a row whose cluster has no other camera has no positive: its term is 0, and counts.

        CAP's text has the positives in other cameras, and the loss within the camera for the own proxy; its
        released code has all proxies of the cluster in A, as `own_camera` gives. So has that of O2CAP, whose
        "offline" association this is: there is no loss within cameras.
        """
        with no_autocast(embeddings_BD):
            similarity_BP = self.memory.similarities(embeddings_BD, proxies_B)
            cluster_BP = self._same(self.clusters, proxies_B)
            positive_BP = cluster_BP if own_camera else cluster_BP & ~self._same(self.camids, proxies_B)
            return self._associate(similarity_BP, positive_BP, similarity_BP, ~cluster_BP, proxies_B)

    def online_loss(
        self,
        embeddings_BD: Tensor,
        proxies_B: Tensor,
        *,
        positives: int = 3,
        instance_share: float = 0.15,
        camera_penalty: float = 0.0,
    ) -> Tensor:
        """Pull each row to the most similar proxies as they are now, whatever their cluster (O2CAP).

        Proxies j are compared with a row of proxy y by `s_j = w q . m_j + (1 - w) m_y . m_j`: its own
        embedding q is up to date, its proxy is steadier. Of each camera the best proxy is a candidate; the
        `positives` best of these are A. N are the `hard_negatives` best of the remaining proxies, the
        row's own never among them. The term is that of `inter_camera_loss`; no gradient passes the selection.

        To select A, `camera_penalty` is taken off `s_j` where j is of the row's own camera, whose
        proxies are more similar for reasons of light and background alone. The released code takes off
        nothing (0): its camera-awareness is the one candidate of each camera, and the own proxy is then
        almost always in A. Above 2 no proxy of the own camera is, given `positives` other cameras.

        `positives` are 3 in the released code, fewer where there are fewer cameras; `instance_share` is w, 0.15 there.
        Ties: the lower proxy of a camera, then the lower camera.

        Raises:
            ValueError: also for positives below 1, instance_share outside [0, 1], or camera_penalty below 0.
        """
        _at_least_one(positives=positives)
        if not 0 <= instance_share <= 1 or not camera_penalty >= 0:
            raise ValueError(
                f"instance_share is {instance_share} and camera_penalty {camera_penalty}; instance_share "
                "must be in [0, 1], camera_penalty 0 or more."
            )
        with no_autocast(embeddings_BD):
            similarity_BP = self.memory.similarities(embeddings_BD, proxies_B)
            prototypes_PD = self.memory.prototypes.to(similarity_BP.dtype)
            near_BP = prototypes_PD[proxies_B] @ prototypes_PD.T
            score_BP = instance_share * similarity_BP.detach() + (1 - instance_share) * near_BP
            penalised_BP = score_BP - camera_penalty * self._same(self.camids, proxies_B).to(score_BP.dtype)
            positive_BP = self._best_of_cameras(penalised_BP, positives)
            other_BP = (~positive_BP).scatter(1, proxies_B[:, None], False)
            return self._associate(similarity_BP, positive_BP, score_BP, other_BP, proxies_B)

    def update(self, embeddings_BD: Tensor, proxies_B: Tensor, *, stopped: Tensor | None = None) -> None:
        """Move the proxies of the batch, each by its own rows; see `PrototypeMemory.update`."""
        self.memory.update(embeddings_BD, proxies_B, stopped=stopped)

    def _same(self, of_P: Tensor, proxies_B: Tensor) -> Tensor:
        """Return which proxies have the cluster or camera, `of_P`, of each row's own: bool `[B, P]`."""
        return of_P[proxies_B][:, None] == of_P

    def _best_of_cameras(self, score_BP: Tensor, positives: int) -> Tensor:
        """Return the `positives` best among the best proxies of every camera: bool `[B, P]`."""
        rows, count = score_BP.shape
        slots_BP = self._slots.expand(rows, count)
        best_BK = score_BP.new_full((rows, self._cameras), -torch.inf)
        best_BK = best_BK.scatter_reduce(1, slots_BP, score_BP, "amax")
        columns_P = torch.arange(count, device=score_BP.device)
        # NaN equals nothing, and would leave a camera without a column. Any column will do: the loss is NaN.
        first_BP = columns_P.where(score_BP == best_BK[:, self._slots], count - 1)
        first_BK = slots_BP.new_full(best_BK.shape, count - 1).scatter_reduce(1, slots_BP, first_BP, "amin")
        order_BK = best_BK.argsort(dim=1, descending=True, stable=True)
        return _marked(first_BK.gather(1, order_BK[:, :positives]), count)

    def _associate(
        self, similarity_BP: Tensor, positive_BP: Tensor, score_BP: Tensor, other_BP: Tensor, proxies_B: Tensor
    ) -> Tensor:
        """Return the loss against given positives and the hardest others, hard by `score_BP`."""
        score_BP = score_BP.detach().masked_fill(~other_BP, -torch.inf)
        hardest = score_BP.topk(min(self.hard_negatives, score_BP.shape[1]), dim=1).indices
        seen_BP = positive_BP | (_marked(hardest, score_BP.shape[1]) & other_BP)
        logits_BP = (similarity_BP / self.memory.temperature).masked_fill(~seen_BP, -torch.inf)
        log_shares_BP = logits_BP.log_softmax(dim=1).masked_fill(~positive_BP, 0)
        terms_B = -log_shares_BP.sum(dim=1) / positive_BP.sum(dim=1).clamp(min=1)
        return self._over_cameras(terms_B, proxies_B)

    def _over_cameras(self, terms_B: Tensor, proxies_B: Tensor) -> Tensor:
        """Return the sum or mean over the batch's cameras of the mean over their rows."""
        camids_B = self.camids[proxies_B]
        shares_B = (camids_B[:, None] == camids_B).sum(dim=1).to(terms_B.dtype).reciprocal()
        sum_over_cameras = (terms_B * shares_B).sum()
        return sum_over_cameras if self.camera_reduction == "sum" else sum_over_cameras / shares_B.sum()


def _marked(columns_BA: Tensor, count: int) -> Tensor:
    """Return where the given columns are: bool `[B, count]`."""
    unmarked_BP = torch.zeros(len(columns_BA), count, dtype=torch.bool, device=columns_BA.device)
    return unmarked_BP.scatter(1, columns_BA, True)


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; at least 1 is needed.")
