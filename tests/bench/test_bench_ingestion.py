"""bench/ingestion.py measures what it says it does, and runs; the figures are in docs/performance.md."""

import re
from collections import Counter
from types import ModuleType

import pytest
from bench_programs import bench_program
from project_copy import ROOT
from warm_python import run

PROGRAM = ROOT / "bench" / "ingestion.py"


@pytest.fixture(scope="module")
def ingestion() -> ModuleType:
    return bench_program("ingestion")


def test_the_whole_tree_has_msmt17s_counts(ingestion):
    # Wei et al., CVPR 2018: 126,441 boxes of 4,101 people, seen by 15 cameras.
    lines = {name: list(ingestion.list_lines(name, 1.0)) for name in ingestion.LISTS}
    assert {name: len(found) for name, found in lines.items()} == {
        "train": 30_248,
        "val": 2_373,
        "query": 11_659,
        "gallery": 82_161,
    }
    files = [(name in {"train", "val"}, line.split()[0]) for name, found in lines.items() for line in found]
    assert len(set(files)) == 126_441
    assert len({(train, file[:4]) for train, file in files}) == 4_101
    assert {int(file.split("_")[2]) for _, file in files} == set(range(1, 16))


def test_both_sides_find_the_same_people_and_cameras(ingestion, tmp_path):
    assert ingestion.write_tree(tmp_path, 0.004) == 506
    seconds, facts = ingestion.ingest_tree(tmp_path)
    assert seconds["all"] == pytest.approx(sum(seconds[name] for name in ("list", "read", "normalise")))
    raw = ingestion.RawFolderDataset(filepath=str(tmp_path)).load()
    manifest = ingestion.reader("msmt17").read(raw, ingestion.IngestionParameters(reader="msmt17")).manifest
    assert facts["path"].tolist() == manifest["path"].tolist()
    plain = ingestion.plain_lists(tmp_path)
    for subset, rows in plain.items():
        ours = manifest[manifest["subset"] == subset]
        assert sorted(row[0] for row in rows) == [str(tmp_path / path) for path in ours["path"]]
        assert sorted(Counter(row[1] for row in rows).values()) == sorted(ours["pid"].value_counts())
        assert Counter(row[2] for row in rows) == Counter(ours["camid"])


def test_the_table(ingestion):
    rows = [
        ingestion.Row("read", 1000, 0.5),
        ingestion.Row("all", 1000, 2.0, plain=1.0, peak=12.3),
        ingestion.Row("all", 3000, 9.0, plain=3.0),
    ]
    lines = [line.split() for line in ingestion.table(rows).splitlines()]
    assert lines[1:] == [
        ["read", "1,000", "0.500", "500.0"],
        ["all", "1,000", "2.000", "2000.0", "0.50", "12"],
        ["all", "3,000", "9.000", "3000.0", "0.33"],
    ]
    assert ingestion.growth(rows).endswith("at 3,000 files, to that at 1,000: 1.50")


def test_it_runs():
    done = run(PROGRAM, "--quick", "--files", "400", folder=ROOT)
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^(\S.*?)  +[0-9,]+ ", done.stdout, flags=re.MULTILINE)
    assert (
        names
        == [*["list", "read", "normalise", "all", "plain loop"] * 3]
        + ["plain loop, 1 process", "plain loop, 2 processes", "check, 2 cores", "check again, all known"] * 2
    )
