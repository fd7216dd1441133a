"""The benchmark that the project draws for itself: people in Market-1501's layout, with counts of its own."""

from dataclasses import replace

from reid_pipeline.readers import market1501

BENCHMARK = replace(
    market1501.BENCHMARK,
    title="synthetic",
    reference="drawn by this project; see docs/demo.md",
    licence="Apache-2.0, as the project.",
    source="Drawn from a seed when it is first read.",
    cameras=None,
    versions=(),
)

LAYOUT = replace(market1501.LAYOUT, benchmark=BENCHMARK)
read, lay_out = LAYOUT.read, LAYOUT.lay_out
