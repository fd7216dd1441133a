"""Image size, stride, side information and pixels of a published model.

The shapes decide what they can; the benchmark's cameras, the image size in force and the release decide the rest; what
is left open is asked for by the name of its parameter. Whatever the user gave, and the shapes allow, stands.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from reid_pipeline.models.architecture import Grid
from reid_pipeline.models.importers.published import PublishedModel
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import BackboneParameters
from reid_pipeline.schema.population import Population

_COMMON_SIZES: tuple[Grid, ...] = ((256, 128), (256, 256), (384, 128), (384, 192), (224, 224), (128, 256), (128, 64))
_CELL = 16
"""Pixels per grid cell of a ModifiedResNet whose last stride is 1."""
_KINDS = ("camera", "view", "both")


class PublishedSettings(NamedTuple):
    """What a published model is run with: the backbone's parameters, and how many cameras and views it knows."""

    backbone: BackboneParameters
    num_cameras: int = 0
    num_views: int = 0


def published_settings(
    model: PublishedModel, backbone: BackboneParameters, given: Collection[str], population: Population | None
) -> PublishedSettings:
    """Return what a published model is run with.

    Args:
        model: as it was read.
        backbone: the method's parameters in force.
        given: names of what the user gave of `backbone`, which conf/ did not.
        population: cameras and viewpoints of the benchmark's training images; 0 where there are none, and None before
            the images are known, when side information is left out.

    Raises:
        UserError: the shapes contradict what was given, or leave something open; it names the parameter to give.
    """
    _require_architecture(model, backbone, given)
    sie, num_cameras, num_views = "none", 0, 0
    if population is not None:
        sie, num_cameras, num_views = _side_information(model, backbone, given, population)
    released = {"sie_tokens": "class", "evaluation_resize": model.family.evaluation_resize}
    decided = {
        "name": model.architecture,
        "patch_stride": _patch_stride(model, backbone, given),
        "sie": sie,
        **{name: getattr(backbone, name) if name in given else value for name, value in released.items()},
        **_pixels(model, backbone, given),
    }
    return PublishedSettings(backbone.model_copy(update=decided), num_cameras, num_views)


def _require_architecture(model: PublishedModel, backbone: BackboneParameters, given: Collection[str]) -> None:
    if "name" in given and backbone.name.removesuffix("-quickgelu") != model.architecture.removesuffix("-quickgelu"):
        raise UserError(
            f"backbone.name is {backbone.name!r}, and the tower in {model.file!r} has the shapes of"
            f" {model.architecture!r}. Leave backbone.name out: the shapes decide it."
        )


def _patch_stride(model: PublishedModel, backbone: BackboneParameters, given: Collection[str]) -> int | None:
    """Return the stride by which the images in force give the stored positions; None: the patch size, or no patch."""
    size = backbone.image_size
    if model.is_resnet:
        if "patch_stride" in given and backbone.patch_stride is not None:
            raise UserError(
                f"backbone.patch_stride is {backbone.patch_stride}, and the tower in {model.file!r} is a ResNet, which"
                " has no patches. Leave it out."
            )
        if model.positions != _cells(size):
            raise _wrong_size(model, size, [each for each in _COMMON_SIZES if _cells(each) == model.positions])
        return None
    patch = int(model.image_state["visual.conv1.weight"].shape[-1])
    fitting = _strides(size, patch, model.positions)
    if not fitting:
        raise _wrong_size(model, size, [each for each in _COMMON_SIZES if _strides(each, patch, model.positions)])
    asked = backbone.patch_stride or patch
    if "patch_stride" in given and asked not in fitting:
        raise UserError(
            f"backbone.patch_stride is {asked}, and the {model.positions} positions in {model.file!r} are those of"
            f" images of {_shown(size)} at a stride of {first_few(fitting)}. Leave it out."
        )
    if len(fitting) > 1 and asked not in fitting:
        raise UserError(
            f"The {model.positions} positions in {model.file!r} are those of images of {_shown(size)} at a stride of"
            f" {first_few(fitting)} alike. Which was it trained with? Give backbone.patch_stride=<n>."
        )
    stride = asked if asked in fitting else fitting[0]
    return None if stride == patch else stride


def _strides(size: Grid, patch: int, positions: int) -> list[int]:
    """Return the strides at which patches of images of this size are so many."""
    if min(size) < patch:
        return []
    rows, columns = (side - patch for side in size)
    return [each for each in range(1, patch + 1) if (rows // each + 1) * (columns // each + 1) == positions]


def _cells(size: Grid) -> int:
    return (size[0] // _CELL) * (size[1] // _CELL)


def _wrong_size(model: PublishedModel, size: Grid, fitting: Sequence[Grid]) -> UserError:
    sizes = [f"backbone.image_size=[{rows},{columns}]" for rows, columns in fitting]
    hint = f"Give one of {first_few(sizes)}" if sizes else "Give backbone.image_size=[<height>,<width>]"
    return UserError(
        f"The checkpoint {model.file!r} was trained with {model.positions} positions, which images of {_shown(size)}"
        f" (height x width) give at no stride. Which size was it trained with? {hint}; or the --env of its benchmark."
    )


def _shown(size: Grid) -> str:
    return f"{size[0]} x {size[1]}"


def _side_information(
    model: PublishedModel, backbone: BackboneParameters, given: Collection[str], population: Population
) -> tuple[str, int, int]:
    """Return kind, cameras and views of the side information table; a ResNet has none, whatever is stored."""
    rows = 0 if model.side_table is None or model.is_resnet else len(model.side_table)
    asked = backbone.sie if "sie" in given else None
    if rows <= 1:  # a single row is the same for every image, and part of the class token
        if rows == 0 and asked not in (None, "none"):
            raise UserError(
                f"backbone.sie is {asked!r}, and {model.file!r} has no side information (no tensor is named cv_embed)."
                " Leave it out."
            )
        return "none", 0, 0
    if asked == "none":
        return "none", 0, 0
    cameras, views = population.cameras, population.views
    found = {"camera": (cameras, 0), "view": (0, views), "both": (cameras, views)}
    fitting = [kind for kind in _KINDS if _rows(*found[kind]) == rows and not (kind == "both" and min(found[kind]) < 2)]
    if asked is None:
        preferred = [backbone.sie] if backbone.sie in fitting else fitting
        if len(preferred) == 1:
            return preferred[0], *found[preferred[0]]
        raise _which_side_information(model, rows, population, fitting)
    if asked in fitting:
        return asked, *found[asked]
    alone = {"camera": (rows, 0), "view": (0, rows)}.get(asked)
    if alone and not (cameras or views):  # the training images do not say
        return asked, *alone
    raise _which_side_information(model, rows, population, fitting, asked)


def _rows(cameras: int, views: int) -> int:
    return max(cameras, 1) * max(views, 1) if cameras or views else 0


def _which_side_information(
    model: PublishedModel, rows: int, population: Population, fitting: Sequence[str], asked: str | None = None
) -> UserError:
    have = f"{population.cameras or 'no'} cameras and {population.views or 'no'} viewpoints"
    if fitting:
        options = " or ".join(f"backbone.sie={kind}" for kind in fitting)
        why = "the rows are of one or the other" if asked is None else f"backbone.sie={asked} has other rows"
        return UserError(
            f"The side information in {model.file!r} has {rows} rows, and the training images have {have}: {why}. Give"
            f" {options}."
        )
    unknown = "" if population.cameras or population.views else " or backbone.sie=camera or view, as the rows are;"
    return UserError(
        f"The side information in {model.file!r} has {rows} rows, and the training images have {have}: it was learnt on"
        f" other images. Give the --env of the benchmark that it was trained on;{unknown} or backbone.sie=none, to do"
        " without."
    )


def _pixels(model: PublishedModel, backbone: BackboneParameters, given: Collection[str]) -> dict[str, Any]:
    """Return mean and standard deviation of pixels: what was given, else the release's."""
    released = model.family.resnet_pixels if model.is_resnet else model.family.vit_pixels
    own = {name: getattr(backbone, name) if name in given else None for name in ("pixel_mean", "pixel_std")}
    missing = [f"backbone.{name}=[...]" for name, value in own.items() if value is None]
    if released is None and missing:
        raise UserError(
            f"No ResNet of {model.family.release} was released: nothing says how its pixels are normalised. Give"
            f" {' and '.join(missing)} as in the training of {model.file!r}."
        )
    defaults = zip(own.items(), released or (None, None), strict=True)
    return {name: default if value is None else value for (name, value), default in defaults}
