"""bench/resolution.py: communities per identity do not fall as a collection grows; by plain modularity they do."""

import sys

import pytest
from bench_programs import bench_program

SIZES = [25, 100, 400]


def test_communities_stay_those_of_the_identities() -> None:
    found = bench_program("resolution").table(SIZES, [0.6, 0.8])
    for eps in (0.6, 0.8):
        rows = {
            kind: [row for row in found if (row.kind, row.eps) == (kind, eps)]
            for kind in ("communities", "the same, joined", "plain modularity")
        }
        for kind in ("communities", "the same, joined"):
            assert [row.identities for row in rows[kind]] == SIZES
            shares = [row.clusters for row in rows[kind]]
            assert max(shares) <= 1.5 * min(shares)
            assert 0.6 < min(shares) <= max(shares) < 1.5
            # 0.25, 1 and 4 times the identities; `python bench/resolution.py` has 16 times, too.
            assert all(row.ari > rows[kind][1].ari - 0.1 for row in rows[kind])
    shares, ari = ([getattr(row, name) for row in rows["plain modularity"]] for name in ("clusters", "ari"))
    assert max(shares) > 1.5 * min(shares)
    assert ari[0] - ari[-1] > 0.2


def test_the_program_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["resolution.py", "--quick"])
    bench_program("resolution").main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * (4 * 4 + 3)
    assert lines[0].split()[:3] == ["identities", "eps", "kind"]
