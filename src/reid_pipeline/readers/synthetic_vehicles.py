"""The benchmark that the project draws for itself: vehicles in VeRi-776's layout."""

from dataclasses import replace

from reid_pipeline.readers import veri776
from reid_pipeline.readers._checks import check_variant
from reid_pipeline.schema.benchmark import Benchmark, Reading
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

BENCHMARK = Benchmark(
    title="synthetic_vehicles",
    noun="vehicle",
    reference="drawn by this project; see docs/vehicles.md",
    licence="Apache-2.0, as the project.",
    source="Drawn from a seed when it is first read.",
    layout=veri776.BENCHMARK.layout,
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Read the drawings just as the real VeRi-776 is read; only their counts are their own.

    Raises:
        UserError: as for VeRi-776; `ingestion.variant` is given, and there are no versions.
    """
    check_variant(ingestion, BENCHMARK)
    return replace(veri776.read(raw, ingestion), version=None)
