"""What can be asked of the drawn benchmark."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class Parameters(BaseModel):
    """A frozen set of named parameters that refuses names it does not know.

    Raises:
        pydantic.ValidationError: an unknown name (with the nearest allowed one), a missing one, or a value
            out of its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        for given in values if isinstance(values, dict) else ():
            if given not in cls.model_fields:
                near = difflib.get_close_matches(str(given), cls.model_fields, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                allowed = ", ".join(sorted(cls.model_fields))
                raise ValueError(f"unknown parameter {given!r}.{hint} Allowed here: {allowed}.")
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any) -> Any:
        for given in value if isinstance(value, list | tuple) else (value,):
            if isinstance(given, bool):
                raise ValueError(f"a number is needed, and {str(given).lower()} is a truth value")
        return value


def _ordered(span: tuple[int, int]) -> tuple[int, int]:
    if span[0] > span[1]:
        raise ValueError(f"the range {span[0]}..{span[1]} is empty: write the lower end first")
    return span


CameraSpan = Annotated[
    tuple[Annotated[int, Field(ge=2, le=16)], Annotated[int, Field(ge=2, le=16)]], AfterValidator(_ordered)
]
ImageSpan = Annotated[
    tuple[Annotated[int, Field(ge=2, le=40)], Annotated[int, Field(ge=2, le=40)]], AfterValidator(_ordered)
]
QualitySpan = Annotated[
    tuple[Annotated[int, Field(ge=5, le=100)], Annotated[int, Field(ge=5, le=100)]], AfterValidator(_ordered)
]


class DrawnBenchmark(Parameters):
    """What drawn benchmarks share: the cameras' network and what makes pictures differ."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of all that is drawn.")
    num_cameras: int = Field(default=6, ge=2, le=16, description="Cameras of the network.")
    cameras_per_identity: CameraSpan = Field(
        default=(4, 6), description="How many cameras see an identity, at most num_cameras."
    )
    images_per_camera: ImageSpan = Field(
        default=(4, 7), description="Images of one identity by one camera; one of them is the query in the test set."
    )
    places_per_camera: int = Field(
        default=3, ge=1, le=8, description="Different grounds and backdrops that a camera has in view."
    )
    camera_strength: float = Field(
        default=0.3, ge=0.0, le=2.0, description="How far cameras differ; 0 makes them all neutral."
    )
    lighting: float = Field(
        default=0.85, ge=0.0, le=2.0, description="How far the light changes from picture to picture."
    )
    identity_spread: float = Field(
        default=2.0, ge=0.1, le=2.0, description="How far identities differ in colours, patterns and build."
    )
    occlusion: float = Field(default=0.1, ge=0.0, le=1.0, description="Chance that an object stands in front.")
    crowding: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Chance that another one is partly in the picture."
    )
    misalignment: float = Field(default=0.3, ge=0.0, le=1.5, description="How badly crops fit; 0 is a tight crop.")
    jpeg_quality: QualitySpan = Field(
        default=(45, 92), description="Lowest and highest JPEG quality; each camera keeps to a part of it."
    )


class SyntheticBenchmark(DrawnBenchmark):
    """A drawn benchmark in Market-1501's layout.

    Difficulty is set by `camera_strength` (how far cameras differ), `identity_spread` (how far people
    differ), `occlusion`, `crowding` and `misalignment`; the other parameters set its size.
    """

    train_identities: int = Field(default=75, ge=1, le=5000, description="People in bounding_box_train.")
    test_identities: int = Field(default=55, ge=1, le=4000, description="People in query and gallery.")
    tracklet_length: int = Field(
        default=1, ge=1, le=40, description="Images in a row that share viewpoint, crop and place."
    )
    distractors: int = Field(default=200, ge=0, le=20000, description="Images of pid 0000 in the gallery.")
    junk: int = Field(default=40, ge=0, le=20000, description="Images of pid -1 in the gallery.")


class SyntheticVehicles(DrawnBenchmark):
    """A drawn benchmark in VeRi-776's layout.

    Difficulty is set as in `SyntheticBenchmark`, by numbers of its own; the other parameters set its size.
    """

    num_cameras: int = Field(default=8, ge=2, le=20, description="Cameras of the network.")
    camera_strength: float = Field(
        default=0.3, ge=0.0, le=2.0, description="How far cameras differ; 0 makes them all neutral."
    )
    lighting: float = Field(
        default=0.85, ge=0.0, le=2.0, description="How far the light changes from picture to picture."
    )
    train_identities: int = Field(default=50, ge=1, le=5000, description="Vehicles in image_train.")
    test_identities: int = Field(default=60, ge=1, le=4000, description="Vehicles in image_query and image_test.")
