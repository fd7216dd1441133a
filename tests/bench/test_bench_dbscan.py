"""bench/dbscan.py compares two clusterings with equal labels, and runs; the figures are in ADR 13."""

import re

from bench_programs import bench_program


def test_a_line_of_one_size() -> None:
    line = bench_program("dbscan").compare(450, 16)
    number = r"[\d.]+"
    assert re.fullmatch(
        rf"450 rows: ours {number} ms, {number} MiB; scikit-learn {number} ms, {number} MiB; {number} times", line
    )
