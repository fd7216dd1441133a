"""bench/chunks.py measures sizes up to the whole batch; what it takes is in its page, and in tests/methods."""

import re

from bench_programs import bench_program


def test_it_prints_a_row_for_every_size(capsys):
    given = {"--backbone": "demo-vit", "--image-size": "48 24", "--batch": "8", "--sizes": "4 1", "--repeats": "1"}
    bench_program("chunks").main(" ".join(f"{name} {value}" for name, value in given.items()).split())
    printed = capsys.readouterr().out
    found = re.findall(r"^ +(\d+) +[\d.]+ +([\d.]+) +(\d+) +[\d.]+$", printed, flags=re.MULTILINE)
    assert [row[0] for row in found] == ["1", "4", "8"], printed
    assert found[-1][1] == "1.00"
    grown = [int(row[2]) for row in found]
    assert grown == sorted(grown)
