"""What every reader refuses: cameras that the benchmark does not have, versions that nobody knows."""

from collections.abc import Iterable, Sequence

from reid_pipeline.readers._manifest import Image
from reid_pipeline.schema.benchmark import Benchmark
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import IngestionParameters


def check_cameras(images: Iterable[Image], benchmark: Benchmark) -> None:
    """Refuse cameras outside the published range.

    Raises:
        UserError: an image's camera is not one of the benchmark's.
    """
    count = benchmark.cameras
    outside = [
        image.path
        for image in images
        if image.camid is not None and (image.camid < 0 or (count is not None and image.camid >= count))
    ]
    if outside:
        has = "they count from 1" if count is None else f"it has 1 to {count}"
        raise UserError(
            f"{len(outside)} file names tell of a camera that {benchmark.title} does not have ({has}):"
            f" {first_few(outside)}. Rename or remove these files."
        )


def check_variant(ingestion: IngestionParameters, benchmark: Benchmark, variants: Sequence[str] | None = None) -> None:
    """Refuse a version that is not one of the benchmark's.

    Args:
        ingestion: its `variant` is checked; null is always allowed.
        benchmark: whose versions are allowed.
        variants: those allowed, where they are not just the versions.

    Raises:
        UserError: `ingestion.variant` names none of them.
    """
    names = [version.name for version in benchmark.versions] if variants is None else list(variants)
    given = ingestion.variant
    if given is not None and given not in names:
        allowed = f"one of: {', '.join(names)}, or null" if names else "null: there are no versions"
        raise UserError(
            f"{benchmark.title} has no version {given!r}.{nearest(given, names)} `ingestion.variant` is {allowed}."
        )
