"""Side information embedding (SIE): a learnt vector for the camera, the view or both, added to tokens.

Source: He et al., TransReID, ICCV 2021, section 3.3; methods.md, section 1.

Shape suffixes: B images, D width of the tower, S rows of the table, C cameras, V views.
"""

import warnings

import torch
from torch import Tensor, nn

from reid_pipeline.schema.errors import UserError


class SideInformation(nn.Module):
    """What a tower needs for side information, its table among its own tensors.

    With cameras or views there is `side_embedding`, float [S, D], one row per (camera, view), index
    `camera * num_views + view`, and `side_seen`, bool [S], the rows that training has used.
    """

    num_cameras: int
    num_views: int
    side_embedding: nn.Parameter | None
    side_seen: Tensor

    def _make_side_table(self, width: int) -> None:
        """Sample the table, truncated normal with std 0.02, or note that there is none."""
        self._warned: set[str] = set()
        if self.num_cameras or self.num_views:
            table_SD = torch.empty(max(self.num_cameras, 1) * max(self.num_views, 1), width)
            self.side_embedding = nn.Parameter(nn.init.trunc_normal_(table_SD, std=0.02))
            self.register_buffer("side_seen", torch.zeros(len(table_SD), dtype=torch.bool))
        else:
            self.register_parameter("side_embedding", None)

    def mean_side_information(self) -> Tensor:
        """Return what stands in for an unknown camera and view, float [D]; the tower has a table."""
        if self.side_embedding is None:
            raise ValueError("this tower has no side information")
        grid = max(self.num_cameras, 1), max(self.num_views, 1)
        seen_CV = self.side_seen.reshape(grid)
        seen_CV = seen_CV if bool(seen_CV.any()) else torch.ones_like(seen_CV)
        return _with_means(self.side_embedding.reshape(*grid, -1), seen_CV)[-1, -1]

    def side_table(self) -> Tensor:
        """Return what each camera and view adds when nothing is trained: float [C + 1, V + 1, D].

        The last row is of an unknown camera, the last column of an unknown view; those that training has not seen have
        the same. Without cameras C is 1 and row 0 is read, and likewise without views. The tower has a table.
        """
        if self.side_embedding is None:
            raise ValueError("this tower has no side information")
        grid = max(self.num_cameras, 1), max(self.num_views, 1)
        seen_CV = self.side_seen.reshape(grid)
        seen_CV = seen_CV if bool(seen_CV.any()) else torch.ones_like(seen_CV)
        rows, columns = (
            torch.cat(
                [torch.where(seen, torch.arange(len(seen), device=seen.device), len(seen)), seen.new_full((1,), 0)]
            )
            for seen in (seen_CV.any(1), seen_CV.any(0))
        )
        rows[-1], columns[-1] = grid
        return _with_means(self.side_embedding.reshape(*grid, -1), seen_CV)[rows][:, columns]

    def _side_information(self, images: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor | None:
        """Return the row of `side_embedding` for each image, float [B, D]; a mean where none was learnt."""
        if self.side_embedding is None:
            return None
        grid = max(self.num_cameras, 1), max(self.num_views, 1)
        seen_CV = self.side_seen.reshape(grid)
        if self.training or not bool(seen_CV.any()):  # before any training no row is better than another
            seen_CV = torch.ones_like(seen_CV)
        camera_B = self._index(images, camids, seen_CV.any(1) if self.num_cameras else None, "camera")
        view_B = self._index(images, viewids, seen_CV.any(0) if self.num_views else None, "view")
        if self.training:
            rows = len(self.side_seen)
            known_B = (camera_B < grid[0]) & (view_B < grid[1])
            hits = self.side_seen.new_zeros(rows + 1)  # the last place takes those that have no row
            hits[torch.where(known_B, camera_B * grid[1] + view_B, rows)] = True
            self.side_seen |= hits[:rows]
        return _with_means(self.side_embedding.reshape(*grid, -1), seen_CV)[camera_B, view_B]

    def _index(self, images: Tensor, ids: Tensor | None, seen: Tensor | None, what: str) -> Tensor:
        """Return int64 [B] in 0..count; `count`, the length of `seen`, stands for an unknown one."""
        if seen is None:
            return torch.zeros(len(images), dtype=torch.long, device=images.device)
        count = len(seen)
        if ids is None:
            if self.training:
                raise UserError(
                    f"The encoder learns {count} {what}s (`num_{what}s: {count}`) and the batch names none. "
                    f"Give the {what} of each image, or set backbone.sie=none (in Python `num_{what}s: 0`)."
                )
            self._warn_once(what, f"No {what} is given, of {count} learnt ones")
            return torch.full((len(images),), count, dtype=torch.long, device=images.device)
        ids_B = ids.to(images.device).long()
        known_B = (ids_B >= 0) & (ids_B < count)
        known_B &= seen[ids_B.clamp(0, count - 1)]
        if not self.training and what not in self._warned and not bool(known_B.all()):
            unseen = sorted(set(ids_B[~known_B].tolist()))[:5]
            self._warn_once(what, f"Not seen in training: {what} {unseen}")
        return torch.where(known_B, ids_B, count)

    def _warn_once(self, what: str, fact: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"{fact}; the mean of the learnt ones stands in. This warning is given once.", stacklevel=6)


def _with_means(table_CVD: Tensor, seen_CV: Tensor) -> Tensor:
    """Return the table with means where nothing was learnt: float [C + 1, V + 1, D].

    A row that was not seen gets the mean of its view's rows; row C, of an unknown camera, likewise; column V,
    of an unknown view, the mean of its camera's rows. Where these have none, the mean of all learnt rows.
    """
    weight_CV1 = seen_CV[..., None].to(table_CVD.dtype)
    learnt_CVD = table_CVD * weight_CV1
    all_D = learnt_CVD.sum((0, 1)) / weight_CV1.sum()

    def mean(axis: int) -> Tensor:
        count = weight_CV1.sum(axis)
        return torch.where(count > 0, learnt_CVD.sum(axis) / count.clamp(min=1), all_D)

    of_views_VD, of_cameras_CD = mean(0), mean(1)
    filled_CVD = torch.cat([torch.where(seen_CV[..., None], table_CVD, of_views_VD), of_views_VD[None]])
    return torch.cat([filled_CVD, torch.cat([of_cameras_CD, all_D[None]])[:, None]], dim=1)
