"""bench/million.py at a tiny size: every figure is there, and the checks that it makes come out."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from bench_programs import bench_program

ROWS, WIDTH = 3_200, 16


@pytest.mark.slow
def test_the_program_measures_all_sizes_and_its_checks_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    million: ModuleType = bench_program("million")
    million.COMPARED = (ROWS // 2,)
    million.run_child = lambda words: million.main(words[2:])  # processes would start for a minute
    words = ["--rows", str(ROWS), "--width", str(WIDTH), "--folder", str(tmp_path)]
    million.main(words)
    out = capsys.readouterr().out
    found = {file.name: json.loads(file.read_text()) for file in tmp_path.glob("*.json")}
    sizes = [ROWS // 16, ROWS // 8, ROWS // 4, ROWS // 2, ROWS]
    assert all(f"clustered_{rows}x{WIDTH}.json" in found for rows in sizes)
    for kind in million.KINDS:
        assert len(re.findall(rf"^\| [\d,]+ \|.* {kind} \|", out, re.MULTILINE)) == len(sizes)
    assert "neighbours of 256 of 256 sampled rows" in out
    assert out.count("labels dbscan equal, communities equal") == 1
    assert len(re.findall(r"^[a-z ]+: rows\^", out, re.MULTILINE)) == 5
    # What lies there is not measured again.
    million.main(words)
    assert "clustered, " not in capsys.readouterr().out
