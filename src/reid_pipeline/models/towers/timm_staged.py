"""timm's networks of stages, each with a coarser map: ConvNeXt, FastViT (MobileCLIP-S), Swin.

They take any input size; Swin's windows follow the grid, as timm does it. Source: Liu et al., ConvNeXt, CVPR 2022;
Vasu et al., FastViT, ICCV 2023; Liu et al., Swin Transformer, ICCV 2021.

Shape suffixes: B images, 3 colours, H W image rows and columns, h w grid rows and columns, D width of a map.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures, Pooling, require_image_size
from reid_pipeline.models.towers._timm import projected, set_widths, trunk_of
from reid_pipeline.schema.errors import UserError


class _LastMap(nn.Module):
    """The last stage's map of a trunk, float [B, D, h, w]."""

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images_B3HW: Tensor) -> Tensor:
        stages = len(self.trunk.feature_info)
        map_BDhw: Tensor = self.trunk.forward_intermediates(images_B3HW, indices=[stages - 1], intermediates_only=True)[
            0
        ]
        return map_BDhw


class TimmStaged(ImageEncoder):
    """A network of stages: `penultimate` is the mean of the map that enters the last stage, `final` that of the last.

    The statistics of batch norms, where there are any (FastViT), move in training mode.
    """

    KIND = "timm network of stages"
    pooling: Pooling = "map"
    WIDENS = True

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is a network of timm whose stages give maps."""
        trunk = trunk_of(visual)
        stages = getattr(trunk, "stages", getattr(trunk, "layers", ()))
        wanted = ("forward_intermediates", "forward_head", "feature_info", "head_hidden_size")
        return len(stages) > 1 and not hasattr(trunk, "blocks") and all(hasattr(trunk, each) for each in wanted)

    def _adapt(self) -> None:
        trunk = self.visual.trunk
        stage, last = trunk.feature_info[-2], trunk.feature_info[-1]
        self.image_size = require_image_size(self, last["reduction"], "the stride of the network,")
        self._refuse_patch_stride("a network of stages has no tokens to overlap")
        self._refuse_side_information("side information is added to tokens, and a network of stages has none")
        if hasattr(trunk, "set_input_size"):
            trunk.set_input_size(img_size=self.image_size)
        self._compute_tables()
        set_widths(self, int(stage["num_chs"]))
        self.grid_size = self._last_grid()

    def _compute_tables(self) -> None:
        """Compute what no state holds, and timm left on the meta device with the parameters: Swin's tables."""
        for module in self.visual.modules():
            index, mask = getattr(module, "relative_position_index", None), getattr(module, "attn_mask", None)
            if index is not None and index.is_meta:
                module.relative_position_index = relative_index(*module.window_size)
            if mask is not None and mask.is_meta:
                module.attn_mask = module.get_attn_mask()
        stored = set(self.visual.state_dict())
        lost = [name for name, each in self.visual.named_buffers() if each.is_meta and name not in stored]
        if lost:
            raise UserError(
                f"Backbone {self.name!r} computes tables ({lost[0]}) in a way that is not known here. Set `backbone` "
                f"to another network, such as convnext_base_w."
            )

    def _last_grid(self) -> tuple[int, int]:
        """Return rows and columns of the last map, computed without numbers."""
        maps = _LastMap(self.visual.trunk)
        tensors = {**dict(maps.named_parameters()), **dict(maps.named_buffers())}
        on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
        image = torch.empty(2, 3, *self.image_size, device="meta")
        rows, columns = functional_call(maps, on_meta, (image,)).shape[-2:]
        return int(rows), int(columns)

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:  # noqa: ARG002
        trunk = self.visual.trunk
        entering = len(trunk.feature_info) - 2
        last_BDhw, (entering_BDhw,) = trunk.forward_intermediates(images_B3HW, indices=[entering])
        final_BD = trunk.forward_head(last_BDhw, pre_logits=True)
        return ImageFeatures(entering_BDhw.mean((2, 3)), final_BD, projected(self, final_BD))

    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:  # noqa: ARG002
        last = self.visual.trunk.forward_intermediates(images_B3HW, indices=[len(self.visual.trunk.feature_info) - 1])
        map_BDhw = last[0].permute(0, 3, 1, 2) if self._is_channels_last else last[0]
        return cast("Tensor", map_BDhw.flatten(2).transpose(1, 2))

    @property
    def _is_channels_last(self) -> bool:
        """Whether the maps are [B, h, w, D], as Swin's are, and not [B, D, h, w]."""
        return getattr(self.visual.trunk, "output_fmt", "NCHW") == "NHWC"

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        one = cells_ND[:, None, None] if self._is_channels_last else cells_ND[:, :, None, None]
        final_NW: Tensor = self.visual.trunk.forward_head(one, pre_logits=True)
        return (final_NW, projected(self, final_NW)) if self.projects else (final_NW,)


def relative_index(rows: int, columns: int) -> Tensor:
    """Return the row of Swin's table for each pair of cells of a window, int64 [rows * columns, rows * columns]."""
    cells = torch.arange(rows * columns)
    y, x = cells // columns, cells % columns
    return (y[:, None] - y + rows - 1) * (2 * columns - 1) + x[:, None] - x + columns - 1


TOWER = TimmStaged
