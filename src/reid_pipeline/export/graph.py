"""The network that is exported: a model with all that is around it, from what a caller feeds to unit vectors.

Shape suffixes: B images, 3 colours, H W rows and columns of what is fed, h w those of the model, E embedding width,
C cameras, V views, D width of side information.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.export.attention import with_plain_attention
from reid_pipeline.export.signatures import Signature
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.exports import TensorFacts

IMAGES, CAMIDS, VIEWIDS, EMBEDDINGS = "images", "camids", "viewids", "embeddings"
_TRACED = 5  # images that the network is traced with; the number is in no other size, so none is taken for it


class SideRows(nn.Module):
    """What each image's camera and view add: a row of a table in which nothing is left to be worked out."""

    def __init__(self, table_CVD: Tensor, *, cameras: int, views: int) -> None:
        super().__init__()
        self.register_buffer("table_CVD", table_CVD.detach().clone())
        self.cameras, self.views = cameras, views

    def forward(self, images: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:
        """Return float [B, D]; a number outside the table has the last row or column, the mean of what was learnt."""
        camera_B = _within(camids, self.cameras, images)
        view_B = _within(viewids, self.views, images)
        table_CVD: Any = self.table_CVD
        found: Tensor = table_CVD[camera_B, view_B]
        return found


def _within(ids: Tensor | None, count: int, images: Tensor) -> Tensor:
    """Return row numbers, `count` for those of no row; all zero where there is nothing to tell apart."""
    if not count or ids is None:
        return torch.zeros(images.shape[0], dtype=torch.long, device=images.device)
    return torch.where((ids >= 0) & (ids < count), ids, count)


class ExportGraph(nn.Module):
    """An embedder from what is fed to unit vectors, float32 [B, E].

    What is fed is normalised in float32. With `half`, the embedder's weights and what it computes are float16; the unit
    vectors are float32 again. The embedder given is copied, and stays as it is.
    """

    def __init__(self, embedder: Embedder, made: Signature, *, half: bool = False) -> None:
        super().__init__()
        self.embedder: Any = copy.deepcopy(embedder).cpu().float()
        with_plain_attention(self.embedder)
        self.requires_grad_(False)
        encoder = self.embedder.encoder
        self.cameras, self.views = int(encoder.num_cameras), int(encoder.num_views)
        self.width = int(encoder.embedding_width)
        self.made = made
        if encoder.side_embedding is not None:
            self.side = SideRows(encoder.side_table(), cameras=self.cameras, views=self.views)
            # In its place: the tower's own way asks of the data what no graph can, and warns.
            encoder.__dict__["_side_information"] = self.side
        scale, shift = made.scale_and_shift(encoder.pixel_mean, encoder.pixel_std)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).reshape(3, 1, 1))
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32).reshape(3, 1, 1))
        self.resizes = made.size != tuple(encoder.image_size)
        if self.resizes:
            rows, columns = (
                resize_matrix(fed, own, encoder.evaluation_resize)
                for fed, own in zip(made.size, encoder.image_size, strict=True)
            )
            self.register_buffer("rows_hH", rows)
            self.register_buffer("columns_Ww", columns.T.contiguous())
        self.dtype = torch.float16 if half else torch.float32
        if half:
            self.embedder.half()
        self.eval()

    def forward(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Tensor:
        """Return unit vectors; `images` as the signature has them, `camids` and `viewids` int64 [B]."""
        buffers: Any = self
        x_B3HW = images.float() * buffers.scale + buffers.shift
        if self.resizes:
            x_B3HW = buffers.rows_hH @ x_B3HW @ buffers.columns_Ww
        vectors: Tensor = self.embedder(x_B3HW.to(self.dtype), camids, viewids)
        return vectors

    def example(self) -> dict[str, Tensor]:
        """Return inputs to trace the network with, by name."""
        dtype = torch.uint8 if self.made.whole else torch.float32
        found = {IMAGES: torch.zeros(_TRACED, 3, *self.made.size, dtype=dtype)}
        found |= {CAMIDS: torch.zeros(_TRACED, dtype=torch.long)} if self.cameras else {}
        return found | ({VIEWIDS: torch.zeros(_TRACED, dtype=torch.long)} if self.views else {})

    def inputs(self) -> tuple[TensorFacts, ...]:
        """Return what is fed, in words."""
        made = self.made
        found = [TensorFacts(name=IMAGES, dtype=made.dtype, shape=("batch", 3, *made.size), words=made.words)]
        for name, count, what in ((CAMIDS, self.cameras, "camera"), (VIEWIDS, self.views, "view")):
            if count:
                words = f"{what} of each image, 0 to {count - 1}, as in training; any other number is an unknown {what}"
                found.append(TensorFacts(name=name, dtype="int64", shape=("batch",), words=words))
        return tuple(found)

    def outputs(self) -> tuple[TensorFacts, ...]:
        """Return what comes out, in words."""
        words = "unit vectors: the nearer two are in cosine, the likelier they are of one individual"
        return (TensorFacts(name=EMBEDDINGS, dtype="float32", shape=("batch", self.width), words=words),)


def resize_matrix(fed: int, own: int, resize_filter: str) -> Tensor:
    """Return by which weights `fed` pixels of an axis become `own`, antialiased as images are: float32 [own, fed]."""
    if fed == own:
        return torch.eye(own)
    identity = torch.eye(fed)[None, None]
    weights: Tensor = F.interpolate(identity, (own, fed), mode=resize_filter, antialias=True)[0, 0]
    return weights


def traced(graph: ExportGraph) -> Any:
    """Return the `torch.export.ExportedProgram` of a graph whose batch may have any size.

    With each operation torch notes by which lines of which files of this machine it came; that is left out.
    """
    example = graph.example()
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        program = torch.export.export(
            graph, (), kwargs=example, dynamic_shapes={name: {0: batch} for name in example}, strict=False
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program
