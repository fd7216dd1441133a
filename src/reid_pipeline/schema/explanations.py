"""explanations.json: what a report draws of a model's space and of where it looks, by path; small numbers, no picture.

Which images are shown follows from the seed, the data and, where no identity is known, the clusters.
"""

from typing import Literal, Self

from pydantic import model_validator

from reid_pipeline.schema.record import Count, Finite, Fraction, Record, RunRecord

GroupedBy = Literal["identity", "cluster"]
"""What images are grouped by: the published identity, or where none is known the cluster that the run found."""
AttentionKind = Literal["class token", "mean", "attention", "map"]
"""How a tower pools its cells, and with it what its map shows: `models.attention_maps`; of "map", which has none, the
cosine of each cell, read alone, to the embedding of the whole image."""


class Plane(Record):
    """Points that t-SNE has placed in the unit square, and what it does not decide.

    `nearest_alike` is the share of points whose nearest other one, by cosine of the embeddings and not in the plane, is
    of their own group; `mean_cosine` that of all pairs.
    """

    points: tuple[tuple[Finite, Finite], ...]
    nearest_alike: Fraction | None = None
    mean_cosine: Finite | None = None


class ImageSpace(Record):
    """Image features of a few groups: of point i the group `groups[group[i]]` and the camera, empty if unknown."""

    by: GroupedBy
    groups: tuple[str, ...]
    group: tuple[Count, ...]
    camera: tuple[str, ...]
    before: Plane | None = None  # by zero_shot; None where the run is zero_shot or is not compared with it
    after: Plane


class TextSpace(Record):
    """Text features of prompts, one for each identity: before they are learnt, and as learnt."""

    identities: tuple[str, ...]
    before: Plane
    after: Plane


class HeatMap(Record):
    """A number for each cell of an image, row by row."""

    rows: Count
    columns: Count
    values: tuple[Finite, ...]
    elsewhere: Fraction | None = None  # share of an attention that lies on no cell

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.values) != self.rows * self.columns:
            raise ValueError(f"{len(self.values)} values do not fill {self.rows} rows of {self.columns} cells")
        return self


class AttendedImage(Record):
    """Where zero_shot and the run's model look in one image."""

    path: str
    before: HeatMap | None = None
    after: HeatMap


class Attention(Record):
    """Maps of a few images; `why_not` says why there is none, or why they are no attention."""

    kind: AttentionKind
    tower: str  # its name and kind
    blocks: Count = 0  # of attention over all tokens
    images: tuple[AttendedImage, ...] = ()
    why_not: str = ""


class ComparedImage(Record):
    """An image that a query is compared with.

    `cosine` is that of the two embeddings; `cells` has that of each cell of the query to the image, less
    the mean of those to all embedded images.
    """

    path: str
    cosine: Finite
    cells: HeatMap


class SimilarImages(Record):
    """A query, the image of its own group and that of another group that are nearest to it."""

    path: str
    by: GroupedBy
    same: ComparedImage
    other: ComparedImage


class Explanations(RunRecord):
    """explanations.json; a part is None or empty where it was not asked for, or has nothing to show."""

    version: Literal[1] = 1
    images: ImageSpace | None = None
    texts: TextSpace | None = None
    attention: Attention | None = None
    similar: tuple[SimilarImages, ...] = ()
