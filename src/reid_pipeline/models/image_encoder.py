"""What every image tower offers, whatever its kind (methods.md, section 1).

Shape suffixes: B images, 3 colours, H W image rows and columns, P W widths of the image tower (equal in a
ViT), E width of CLIP's joint space, h w token rows and columns.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import Architecture, Grid, Triple, stored_grid
from reid_pipeline.models.chunks import encoded_in_chunks
from reid_pipeline.models.positions import resize_positions
from reid_pipeline.models.shared_batch import SharedBatch, Tower
from reid_pipeline.models.side_information import SideInformation
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import Resize, SIETokens

Pooling = Literal["class token", "mean", "attention", "map"]
"""What `final` is read from: the class token of a transformer, the mean of its patches, a pool that attends to its
tokens (or to the cells of a map), or the mean of a map of convolutions or windows."""
_PREFIX = "visual."


class ImageFeatures(NamedTuple):
    """The three features of B images; each kind of tower says in its module how it reads them.

    Attributes:
        penultimate: float [B, P], of what enters the last block or stage: the class token where that is pooled,
            otherwise the mean of the tokens that are pooled, or of the map; no norm is applied to it.
        final: float [B, W], of what leaves the last block or stage, pooled and normalised as the network does it. Of
            CLIP's ResNets: the mean of `layer4`.
        projected: float [B, E], in CLIP's joint space: what the projection makes of `final`. Of CLIP's ResNets: output
            of the attention pool. The very tensor `final` where the tower has no projection.
    """

    penultimate: Tensor
    final: Tensor
    projected: Tensor

    @property
    def retrieved(self) -> tuple[Tensor, ...]:
        """What an embedding is made of: (final, projected), or (final,) where the tower has no projection."""
        return (self.final,) if self.projected is self.final else (self.final, self.projected)

    @property
    def distinct(self) -> tuple[Tensor, ...]:
        """All features, each once."""
        return (self.penultimate, *self.retrieved)


class TowerSettings(NamedTuple):
    """What an image tower is built for beside its architecture; the attributes of `ImageEncoder` of the same names."""

    image_size: Grid  # (H, W) it takes
    patch_stride: int | None  # below the patch size for overlapping patches (OLP); None where there are no patches
    num_cameras: int  # known to the side information, or 0
    num_views: int
    pixel_mean: Triple  # per colour, of pixels in 0..1, that images are normalised with
    pixel_std: Triple
    sie_coefficient: float = 1.0  # lambda of methods.md
    sie_tokens: SIETokens = "class"  # to which tokens side information is added
    evaluation_resize: Resize = "bicubic"  # filter by which images to be embedded are resized


class ImageEncoder(SideInformation, Tower, ABC):
    """The image tower of one CLIP at one input size; each kind in `models.towers` is a subclass.

    Its parameters are open_clip's own, under `visual.`; positional embeddings have the grid of this input size.

    Attributes:
        KIND: the kind in words, for messages and tables.
        POSITION_KEY: the positional embedding below `visual.`: its last two axes are rows (those of special tokens
            first, then h * w) and W; None where the kind has another form.
        WIDENS: whether each stage is wider than the one before; False where all blocks have one width.
        name: its name in open_clip, or its folder or repository.
        config: the configuration of a folder or repository; None where open_clip lists the name.
        grid_size: (h, w) cells that the tower sees, the class token (ViT) or mean token (ResNet) apart.
        penultimate_width: width of `penultimate`.
        width: width of `final`.
        projected_width: width of `projected`.
        pooling: how cells become one feature.
        projects: whether `projected` is a feature of its own, and not `final` again.
        chunk_size: images in one forward pass where gradients are taken; None: the whole batch (`models.chunks`).

    The other attributes are those of `TowerSettings`.
    """

    KIND: ClassVar[str]
    POSITION_KEY: ClassVar[str | None] = None
    WIDENS: ClassVar[bool] = False
    image_size: Grid
    patch_stride: int | None
    grid_size: Grid
    num_cameras: int
    num_views: int
    penultimate_width: int
    width: int
    projected_width: int
    pooling: Pooling
    projects: bool = True
    sie_coefficient: float
    sie_tokens: SIETokens
    pixel_mean: Triple
    pixel_std: Triple
    evaluation_resize: Resize
    chunk_size: int | None = None

    def __init__(
        self,
        architecture: Architecture,
        visual: Any,
        settings: TowerSettings,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Adapt open_clip's tower `visual`, of a kind that the subclass is for, with its parameters on the meta device.

        The tensors of `state`, by OpenAI's names, become the tower's own, not copies, and positional embeddings are
        resized. Without a state the parameters stay on the meta device.

        Raises:
            UserError: a negative count of cameras or views, or settings that the kind of tower does not allow.
        """
        super().__init__()
        for what, count in (("num_cameras", settings.num_cameras), ("num_views", settings.num_views)):
            if count < 0:
                raise UserError(f"{what} {count} is not allowed: 0 (no side information) or more. Correct `{what}`.")
        self.name = architecture.name
        self.config = architecture.config if architecture.from_folder else None
        self.visual: Any = visual
        for key, value in settings._asdict().items():
            setattr(self, key, value)
        self._stored_grid = self._built_grid() or architecture.grid
        if state is not None:
            self._load({key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)})
        self._adapt()
        self._make_side_table(self.penultimate_width)

    @classmethod
    @abstractmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether open_clip's built tower is of this kind."""

    def _built_grid(self) -> Grid | None:
        """Return the grid of the positions that `visual` was built with; None: that of the architecture."""
        return None

    def _load(self, own: dict[str, Tensor]) -> None:
        """Take tensors by the tower's own names, before it is adapted; positions may have a grid of their own."""
        if (held := self._positions()) is not None:
            special = held.shape[-2] - self._stored_grid[0] * self._stored_grid[1]
            stored = own[str(self.POSITION_KEY)]
            self._stored_grid = stored_grid(stored.shape[-2], self._stored_grid, special) or self._stored_grid
            self._set_positions(stored)
        self.visual.load_state_dict(own, assign=True)

    def _positions(self) -> Tensor | None:
        """Return the tensor of `POSITION_KEY`; None where the tower has none, as one with relative positions."""
        return None if self.POSITION_KEY is None else dict(self.visual.named_parameters()).get(self.POSITION_KEY)

    def _resize_positions(self) -> None:
        """Give `POSITION_KEY` the grid of this input size."""
        if (held := self._positions()) is not None:
            self._set_positions(resize_positions(held.detach(), self._stored_grid, self.grid_size))

    def _set_positions(self, position_LD: Tensor) -> None:
        parent, _, name = str(self.POSITION_KEY).rpartition(".")
        learnt = self.visual.get_parameter(self.POSITION_KEY).requires_grad
        setattr(self.visual.get_submodule(parent), name, nn.Parameter(position_LD, requires_grad=learnt))

    def _refuse_patch_stride(self, why: str) -> None:
        if self.patch_stride is not None:
            raise UserError(
                f"patch_stride {self.patch_stride} is not allowed with {self.name!r}: {why}. "
                f"Set `patch_stride: null`, or `backbone` to a ViT such as ViT-B-16-quickgelu."
            )

    def _refuse_side_information(self, why: str) -> None:
        if self.num_cameras or self.num_views:
            raise UserError(
                f"Side information is not allowed with {self.name!r}: {why}. Set backbone.sie=none (in Python "
                f"num_cameras and num_views to 0; here {self.num_cameras} and {self.num_views}), or `backbone` to "
                f"a ViT such as ViT-B-16-quickgelu."
            )

    @property
    def retrieved_widths(self) -> tuple[int, ...]:
        """Widths of `ImageFeatures.retrieved`."""
        return (self.width, self.projected_width) if self.projects else (self.width,)

    @property
    def embedding_width(self) -> int:
        """Width of the retrieval embedding, the sum of `retrieved_widths`."""
        return sum(self.retrieved_widths)

    def encode_image(
        self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Return the three features of each image; in a training of several processes, of each of the whole batch.

        Args:
            images: float [B, 3, H, W], normalised by `pixel_mean` and `pixel_std`.
            camids: int64 [B], 0-based cameras; read only if `num_cameras` is not 0. A camera outside the
                table, or none given, gets the mean of the learnt cameras (with one warning in eval mode).
            viewids: int64 [B], 0-based views; likewise.

        Raises:
            UserError: the images have another size, or side information is missing in training.
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise UserError(
                f"The images are {tuple(images.shape[-2:])} and the encoder was built for {self.image_size} "
                f"(rows, columns). Resize the images, or set `image_size` to {list(images.shape[-2:])}."
            )
        if not torch.is_grad_enabled():
            return self._features(images, camids, viewids)
        if self.chunk_size is None:
            features = self._features(images, camids, viewids)
        else:
            # A shallow copy shares all tensors and has today's settings: without side information now, and later.
            present = copy.copy(self)
            parts = encoded_in_chunks(present._features, (images, camids, viewids), self.chunk_size)
            features = ImageFeatures(*parts)
        return features if self.shared is None else _of_whole_batch(features, self.shared)

    forward = encode_image

    @property
    def num_blocks(self) -> int:
        """How many blocks of attention over all tokens there are; 0 in a network without."""
        return 0

    def encode_cells(
        self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return `ImageFeatures.retrieved` of each cell: what `final` and `projected` were if that cell alone was read.

        In place of a class token each patch token is read; of a mean or a map each cell; a pool attends to one cell.

        Arguments are those of `encode_image`; cells are row by row: float [B, h * w, W] and, where the tower projects,
        float [B, h * w, E].
        """
        cells_BND = self._cells(images, camids, viewids)
        shape = cells_BND.shape[:2]
        return tuple(each.reshape(*shape, -1) for each in self._read_alone(cells_BND.flatten(0, 1)))

    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection (the stability trick of MoCo v3); UserError in a kind without one."""
        raise UserError(
            f"Backbone {self.name!r} ({self.KIND}) has no patch projection to freeze. "
            f"Set `freeze_patch_projection: false`, or `backbone` to a ViT such as ViT-B-16-quickgelu."
        )

    @abstractmethod
    def _adapt(self) -> None:
        """Check the settings, change `visual` to suit them, and set grid and widths."""

    @abstractmethod
    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:
        """Return the cells that pooling reads, float [B, h * w, D]: what leaves the last block or stage."""

    @abstractmethod
    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        """Return `final` and, with a projection, `projected` of N cells, each read alone: float [N, W] and [N, E].

        N is of whole images, h * w cells each.
        """

    @abstractmethod
    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        """Return the three features of images of the right size."""


def _of_whole_batch(features: ImageFeatures, shared: SharedBatch) -> ImageFeatures:
    """Return the features of the rows of all processes; one that stands for two stays one tensor."""
    penultimate, *retrieved = map(shared.gathered, features.distinct)
    return ImageFeatures(penultimate, retrieved[0], retrieved[-1])


def require_image_size(tower: ImageEncoder, least: int, why: str) -> Grid:
    """Return a tower's (rows, columns) as whole numbers; refuse fewer than `least` pixels on an axis, for `why`."""
    size = tuple(int(side) for side in tower.image_size)
    if len(size) != 2 or min(size) < least:
        raise UserError(
            f"image_size {list(tower.image_size)} is not allowed with {tower.name!r}: two whole numbers (rows, "
            f"columns), each at least {why} {least}. For persons [256, 128], for vehicles [256, 256]. "
            f"Correct `image_size`."
        )
    return size[0], size[1]
