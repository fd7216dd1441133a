"""The benchmark that the project draws for itself: people in Market-1501's layout, with counts of its own."""

from dataclasses import replace

from reid_pipeline.readers import market1501
from reid_pipeline.schema.benchmark import Benchmark

BENCHMARK = Benchmark(
    title="synthetic",
    noun="person",
    reference="drawn by this project; see docs/demo.md",
    licence="Apache-2.0, as the project.",
    source="Drawn from a seed when it is first read.",
    layout=market1501.BENCHMARK.layout,
    archives=market1501.BENCHMARK.archives,
)

LAYOUT = replace(market1501.LAYOUT, benchmark=BENCHMARK)
read, lay_out = LAYOUT.read, LAYOUT.lay_out
