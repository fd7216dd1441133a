"""The benchmark that the project draws for itself: vehicles in VeRi-776's layout, with counts of its own."""

from collections.abc import Iterable
from dataclasses import replace

from reid_pipeline.readers import veri776
from reid_pipeline.readers._folder import Picture, check_variant
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

BENCHMARK = replace(
    veri776.BENCHMARK,
    title="synthetic_vehicles",
    reference="drawn by this project; see docs/vehicles.md",
    licence="Apache-2.0, as the project.",
    source="Drawn from a seed when it is first read.",
    cameras=None,
    versions=(),
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Read the drawings as the real VeRi-776 is read.

    Raises:
        UserError: as for VeRi-776; `ingestion.variant` is given, and there are no versions.
    """
    check_variant(ingestion, BENCHMARK)
    return replace(veri776.read(raw, ingestion), version=None)


def lay_out(pictures: Iterable[Picture]) -> dict[str, bytes]:
    """Name vehicles as VeRi-776 is distributed, without the archive's folder."""
    archive = f"{veri776.BENCHMARK.archives[0]}/"
    return {path.removeprefix(archive): data for path, data in veri776.lay_out(pictures).items()}
