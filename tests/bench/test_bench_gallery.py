"""bench/gallery.py runs at a tiny size and finds what plain numpy finds; the figures are in docs/performance.md."""

from pathlib import Path

from bench_programs import bench_program


def test_figures_of_each_index(tmp_path: Path) -> None:
    program = bench_program("gallery")
    size = program.Size(rows=4_000, width=16, probes=5, rounds=1, graph_rows=1_500)
    figures: dict[str, dict[str, float]] = {}
    for kind, found in program.measure(size, tmp_path):
        figures[kind] = figures.get(kind, {}) | found
    assert figures["exact"]["recall_at_10"] == 1
    assert all(figures[kind]["recall_at_10"] > 0.8 for kind in ("ivf", "hnsw"))
    changes = {"add_1000_s", "forget_s", "forget_scattered_s"}
    assert changes <= figures["exact, changed"].keys() & figures["ivf, changed"].keys()
    assert all(value > 0 for found in figures.values() for name, value in found.items() if name.endswith("s"))
