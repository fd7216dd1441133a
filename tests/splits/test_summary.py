"""Every figure of the summary, against counts made by hand on small tables, or by slow loops."""

import cProfile
import json
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.tables import GALLERIES, IMAGE_FACTS, MANIFEST, SPLIT_TABLE
from reid_pipeline.splits import SplitTables, data_hash
from reid_pipeline.splits.published import check_counts
from reid_pipeline.splits.summary import summarise

BENCHMARK = Benchmark(
    title="Foxes",
    noun="fox",
    reference="Nobody, 2024",
    licence="Free.",
    source="Drawn.",
    layout="folders",
    cameras=4,
    versions=(
        Version("v1", {"train": Counts(6, 2), "query": Counts(2, 2), "gallery": Counts(6)}),
        Version("v2", {"train": Counts(60, 20), "query": Counts(2, 2), "gallery": Counts(7, 2)}),
    ),
)
READING = {"reader": "foxes", "version": "v1", "notes": ["A note."], "warnings": ["A warning."]}

# path, identity, pid, camid, subset, split, rule, content of the file, width, height, mode
IMAGES: list[tuple[Any, ...]] = [
    ("t/0.jpg", "fox-a", 1, 0, "train", "train", "published", "0", 64, 128, "RGB"),
    ("t/1.jpg", "fox-a", 1, 1, "train", "train", "published", "0", 64, 128, "RGB"),
    ("t/2.jpg", "fox-a", 1, 1, "train", "train", "published", "2", 64, 128, "L"),
    ("t/3.jpg", "fox-b", 2, 0, "train", "train", "published", "3", 32, 64, "RGB"),
    ("t/4.jpg", "", -2, 0, "train", "train", "published", "4", 32, 64, "CMYK"),
    ("t/5.jpg", "fox-c", 3, 0, "train", "dev_query", "dev", "5", 10, 20, "RGB"),
    ("t/6.jpg", "fox-c", 3, 1, "train", "dev_gallery", "dev", "6", 100, 300, "RGB"),
    ("q/0.jpg", "fox-b", 2, 0, "query", "query", "published", "3", 32, 64, "RGB"),
    ("q/1.jpg", "fox-d", 4, 2, "query", "query", "published", "8", 64, 128, "RGB"),
    ("g/0.jpg", "fox-b", 2, 0, "gallery", "gallery", "published", "9", 64, 128, "RGB"),
    ("g/1.jpg", "fox-d", 4, 0, "gallery", "gallery", "published", "10", 64, 128, "RGB"),
    ("g/2.jpg", "fox-d", 4, 0, "gallery", "gallery", "published", "2", 64, 128, "L"),
    ("g/3.jpg", "none", 0, 1, "gallery", "gallery", "published", "10", 64, 128, "RGB"),
    ("g/4.jpg", "junk", -1, 1, "gallery", None, "", "11", 64, 128, "RGB"),
    ("g/5.jpg", "fox-d", 4, 1, "gallery", None, "", "12", None, None, ""),
    ("q/2.jpg", "none", 0, 1, "query", None, "", "13", 64, 128, "RGB"),
]
COLUMNS = ["path", "identity", "pid", "camid", "subset", "split", "rule", "content", "width", "height", "mode"]

CAMERAS = {0: "pond", 1: "gate"}


def tables(images: list[tuple[Any, ...]]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Manifest, image facts and split table of `images`; those without a split are not in the last."""
    table = pd.DataFrame(images, columns=COLUMNS).sort_values("path", ignore_index=True)
    table["sha256"] = [f"{int(content):064x}" for content in table["content"]]
    table["fault"] = ["truncated" if pd.isna(width) else "" for width in table["width"]]
    table["camera"] = ["" if pd.isna(camid) else CAMERAS.get(camid, f"mast {camid}") for camid in table["camid"]]
    table = table.assign(bytes=10, viewid=pd.NA, trackid=pd.NA, test_sets="", label=-1)
    labelled = (table["split"] == "train") & (table["pid"] > 0)
    table.loc[labelled, "label"] = pd.factorize(table.loc[labelled, "pid"], sort=True)[0]
    integers = dict.fromkeys(["camid", "viewid", "trackid", "width", "height"], "Int64")
    table = table.astype({**integers, "pid": "int64"})
    used = table[table["split"].notna()].astype({"split": "str", "rule": "str"})
    made = []
    for schema, rows in ((MANIFEST, table), (IMAGE_FACTS, table), (SPLIT_TABLE, used)):
        columns = [name for name in schema.columns if name in rows]
        made.append(schema.validate(rows[columns].reset_index(drop=True)))
    return made[0], made[1], made[2]


def galleries(rows: list[tuple[str, int, str]] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows or [], columns=["test_set", "repeat", "path"])
    return GALLERIES.validate(table.astype({"test_set": "str", "repeat": "int64", "path": "str"}))


def summary_of(images: list[tuple[Any, ...]], **others: Any) -> dict[str, Any]:
    given = {"benchmark": BENCHMARK, "reading": READING, "galleries": galleries(), "camera_filter": True}
    given |= others
    manifest, image_facts, split_table = tables(images)
    made = summarise(
        given["benchmark"],
        given["reading"],
        manifest,
        image_facts,
        SplitTables(split_table, given["galleries"]),
        camera_filter=given["camera_filter"],
    )
    return made.content()


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return summary_of(IMAGES)


def test_it_is_json_as_it_stands(summary: dict[str, Any]) -> None:
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["data_hash"] == data_hash(tables(IMAGES)[2])


def test_what_was_read(summary: dict[str, Any]) -> None:
    assert summary["benchmark"] == {
        "title": "Foxes",
        "noun": "fox",
        "reference": "Nobody, 2024",
        "licence": "Free.",
        "source": "Drawn.",
    }
    assert (summary["reader"], summary["version"]) == ("foxes", "v1")
    assert (summary["notes"], summary["warnings"]) == (["A note."], ["A warning."])
    assert (summary["images"], summary["identities"]) == (13, 4)
    assert summary["cameras"] == {"found": 3, "published": 4}


def test_counts_against_the_published_ones(summary: dict[str, Any]) -> None:
    names = ["subset", "images", "identities", "published_images", "published_identities"]
    rows = [[row[name] for name in names] for row in summary["counts"]["subsets"]]
    assert rows == [["train", 7, 3, 6, 2], ["query", 3, 2, 2, 2], ["gallery", 6, 2, 6, None]]
    differences = [(row["image_difference"], row["identity_difference"]) for row in summary["counts"]["subsets"]]
    assert differences == [(1, 1), (1, 0), (0, None)]
    assert summary["counts"]["version"] == "v1"


@pytest.mark.parametrize(("named", "compared"), [("v2", "v2"), (None, "v1"), ("v9", "v1")])
def test_version_that_is_compared(named: str | None, compared: str) -> None:
    for versions in (BENCHMARK.versions, BENCHMARK.versions[::-1]):  # the nearest, wherever it stands
        benchmark = replace(BENCHMARK, versions=versions)
        found = summary_of(IMAGES, benchmark=benchmark, reading={**READING, "version": named})["counts"]
        assert found["version"] == compared
        sentences = check_counts(benchmark, Reading(tables(IMAGES)[0], named))
        assert sum(f"published ({compared})" in sentence for sentence in sentences) > 0


def test_own_data_has_no_published_counts() -> None:
    own = Benchmark("Own", "fox", "", "", "", "any")
    images = [(*row[:4], "unassigned", *row[5:]) for row in IMAGES]
    found = summary_of(images, benchmark=own, reading={"version": None})
    assert found["counts"] == {
        "version": None,
        "subsets": [
            {
                "subset": "unassigned",
                "images": 16,
                "identities": 4,
                "published_images": None,
                "published_identities": None,
                "image_difference": None,
                "identity_difference": None,
            }
        ],
    }
    assert (found["reader"], found["notes"], found["warnings"]) == (None, [], [])


def test_a_pool_is_counted_by_its_test_sets() -> None:
    pool = [(f"p/{i}.jpg", f"{i % 3}", i % 3 + 1, None, "test", "test", "r", str(i), 8, 8, "RGB") for i in range(7)]
    train = [(f"t/{i}.jpg", "x", 9, None, "train", "train", "r", str(90 + i), 8, 8, "RGB") for i in range(2)]
    manifest, image_facts, split_table = tables([*pool, *train])
    among = {"p/0.jpg": "8 80", "p/1.jpg": "8 80", "p/2.jpg": "80", "p/3.jpg": "8"}
    for table in (manifest, split_table):
        table["test_sets"] = [among.get(path, "") for path in table["path"]]
    benchmark = Benchmark("P", "fox", "", "", "", "", versions=(Version("", {"8": Counts(3, 2), "80": Counts(5, 3)}),))
    drawn = galleries([("8", 0, "p/0.jpg"), ("8", 1, "p/1.jpg"), ("80", 0, "p/1.jpg"), ("80", 0, "p/2.jpg")])
    made = summarise(benchmark, READING, manifest, image_facts, SplitTables(split_table, drawn), camera_filter=True)
    found = made.content()
    rows = [[*list(row.values())[:3], row["image_difference"]] for row in found["counts"]["subsets"]]
    assert rows == [["8", 3, 2, 0], ["80", 3, 3, -2], ["train", 2, 1, None]]
    assert found["galleries"] == [
        {"test_set": "8", "repeats": 2, "images": [1, 1]},
        {"test_set": "80", "repeats": 1, "images": [2]},
    ]
    # Of set 8 draw 0 leaves p/1 (identity 2) and p/3 (identity 1), who alone has a match.
    assert (found["queries"]["num_queries"], found["queries"]["num_valid"]) == (2, 1)
    assert found["queries"]["draw"] == "test set 8, draw 0"
    assert found["queries"]["worst"]["num_valid"] == 0
    assert json.loads(json.dumps(found)) == found


def test_splits(summary: dict[str, Any]) -> None:
    assert list(summary["splits"]) == ["train", "dev_query", "dev_gallery", "query", "gallery"]
    train = summary["splits"]["train"]
    assert train == {
        "images": 5,
        "identities": 2,
        "distractors": 0,
        "unlabelled": 1,
        "cameras": 2,
        "images_per_camera": {"pond": 3, "gate": 2},
        "without_camera": 0,
        "images_per_identity": {
            "min": 1,
            "first_quartile": 1.5,
            "median": 2.0,
            "mean": 2.0,
            "third_quartile": 2.5,
            "max": 3,
            "histogram": [[1, 1], [3, 1]],
            "largest": "fox-a",
        },
        "one_camera": {"count": 1, "first": ["fox-b"]},
        "rules": {"published": 5},
    }
    gallery = summary["splits"]["gallery"]
    assert (gallery["images"], gallery["identities"], gallery["distractors"]) == (4, 2, 1)
    assert gallery["one_camera"] == {"count": 2, "first": ["fox-b", "fox-d"]}
    assert gallery["images_per_camera"] == {"pond": 3, "gate": 1}
    assert list(gallery["images_per_camera"]) == ["pond", "gate"], "by camid"
    assert summary["splits"]["dev_query"]["rules"] == {"dev": 1}
    assert summary["rules"] == {"published": 11, "dev": 2}


def test_no_cameras_are_null_not_zero() -> None:
    found = summary_of([(*row[:3], None, *row[4:]) for row in IMAGES])
    assert found["cameras"]["found"] is None
    for split in found["splits"].values():
        assert (split["cameras"], split["one_camera"], split["images_per_camera"]) == (None, None, {})
        assert split["without_camera"] == split["images"]
    assert found["queries"]["only_same_camera"] == 0


def test_sizes_and_modes_of_all_that_decodes(summary: dict[str, Any]) -> None:
    sizes = summary["sizes"]
    assert (sizes["images"], sizes["distinct"]) == (15, 4)
    assert sizes["width"] == {"min": 10, "median": 64.0, "max": 100}
    assert sizes["height"] == {"min": 20, "median": 128.0, "max": 300}
    assert sizes["common"] == [
        {"width": 64, "height": 128, "images": 10},
        {"width": 32, "height": 64, "images": 3},
        {"width": 10, "height": 20, "images": 1},
        {"width": 100, "height": 300, "images": 1},
    ]
    assert summary["modes"] == {"RGB": 12, "L": 2, "CMYK": 1}


def test_histogram_of_sizes_holds_every_image_once(summary: dict[str, Any]) -> None:
    bins = summary["sizes"]["histogram"]
    widths = [row[8] for row in IMAGES if row[8]]
    heights = [row[9] for row in IMAGES if row[9]]
    assert len(bins) <= 24
    for each in bins:
        assert each["width"] == sum(each["low"] <= width <= each["high"] for width in widths)
        assert each["height"] == sum(each["low"] <= height <= each["high"] for height in heights)
    assert sum(each["width"] for each in bins) == len(widths)
    assert sum(each["height"] for each in bins) == len(heights)


def test_one_size_only() -> None:
    found = summary_of([(*row[:8], 7, 7, "RGB") for row in IMAGES])
    assert found["sizes"]["histogram"] == [{"low": 7, "high": 7, "width": 16, "height": 16}]


def test_leakage_names_the_identities(summary: dict[str, Any]) -> None:
    # fox-b is trained on and searched for; distractors, junk and the unlabelled are nobody.
    assert summary["shared_identities"] == {"count": 1, "first": ["fox-b"]}


def test_leakage_without_names_and_through_the_dev_split() -> None:
    images = [(row[0], "", *row[2:]) for row in IMAGES]
    images.append(("q/9.jpg", "", 3, 0, "query", "query", "published", "99", 8, 8, "RGB"))
    assert summary_of(images)["shared_identities"] == {"count": 2, "first": ["2", "3"]}


def test_copies(summary: dict[str, Any]) -> None:
    assert summary["duplicates"] == {
        # t/0 = t/1; g/1 = g/3 (fox-d and a distractor)
        "within": {"groups": 2, "files": 4, "first": [["g/1.jpg", "g/3.jpg"], ["t/0.jpg", "t/1.jpg"]]},
        # t/2 = g/2 (fox-a and fox-d); t/3 = q/0 (both fox-b)
        "across": {"groups": 2, "files": 4, "first": [["g/2.jpg", "t/2.jpg"], ["q/0.jpg", "t/3.jpg"]]},
        "conflicts": {"groups": 2, "files": 4, "first": [["g/1.jpg", "g/3.jpg"], ["g/2.jpg", "t/2.jpg"]]},
        "between": {"train + query": 1, "train + gallery": 1},
    }


def test_copies_of_unlabelled_images_are_no_conflict() -> None:
    images = [(*row[:7], "0" if row[2] == -2 else row[7], *row[8:]) for row in IMAGES]
    copies = summary_of(images)["duplicates"]
    assert copies["within"]["files"] == 5
    assert copies["conflicts"]["groups"] == 2


def test_unreadable_junk_and_images_without_a_use(summary: dict[str, Any]) -> None:
    fault = {"path": "g/5.jpg", "fault": "truncated"}
    assert summary["unreadable"] == {"count": 1, "first": [fault]}
    assert summary["skipped"] == [fault]
    others = {"count": 1, "first": ["q/2.jpg"]}
    assert summary["left_out"] == {"junk": 1, "unreadable": 1, "without_viewpoint": {}, "other": others}
    assert (summary["junk"], summary["distractors"], summary["unlabelled"]) == (1, 1, 1)


def test_all_skipped_files_are_listed_but_few_shown() -> None:
    broken = [(f"b/{i}.jpg", "fox-z", 8, 0, "train", None, "", str(50 + i), None, None, "") for i in range(40)]
    found = summary_of([*IMAGES, *broken])
    assert len(found["skipped"]) == found["unreadable"]["count"] == 41
    assert len(found["unreadable"]["first"]) == 5


def test_an_unreadable_junk_file_is_junk() -> None:
    broken = ("g/9.jpg", "junk", -1, 0, "gallery", None, "", "77", None, None, "")
    left_out = summary_of([*IMAGES, broken])["left_out"]
    assert (left_out["junk"], left_out["unreadable"], left_out["other"]["count"]) == (2, 1, 1)


def test_queries(summary: dict[str, Any]) -> None:
    # q/0 has only g/0, of its own camera; q/1 has g/1 and g/2 of another camera.
    assert summary["queries"] == {
        "num_queries": 2,
        "num_valid": 1,
        "absent_from_gallery": 0,
        "only_same_camera": 1,
        "examples": {"absent_from_gallery": [], "only_same_camera": ["q/0.jpg"]},
        "splits": "test",
        "draw": "",
        "num_draws": 0,
        "worst": None,
        "sentences": ["1 of 2 queries has no valid match: 1 has only matches of its own camera (e.g. q/0.jpg)."],
    }
    assert summary["dev_queries"]["num_valid"] == 1
    assert summary_of(IMAGES, camera_filter=False)["queries"]["num_valid"] == 2


def test_a_bare_folder_has_no_queries() -> None:
    images = [(row[0], "", -2, None, "unassigned", "train", "published", *row[7:8], 8, 8, "RGB") for row in IMAGES]
    found = summary_of(images)
    assert (found["queries"], found["dev_queries"], found["galleries"]) == (None, None, [])
    assert (found["identities"], found["unlabelled"]) == (0, 16)
    assert found["splits"]["train"]["images_per_identity"] is None
    assert json.loads(json.dumps(found)) == found


def drawn_images(count: int, generator: np.random.Generator) -> list[tuple[Any, ...]]:
    """Random images with copies, all splits and camera gaps; every pid -2, 0, 1 ... 30."""
    chosen = generator.choice(["train", "query", "gallery", "dev_query", "dev_gallery"], count)
    images = []
    for place, split in enumerate(chosen):
        pid = int(generator.integers(-2, 31))
        pid = -2 if pid == -1 else pid
        camid = None if generator.random() < 0.1 else int(generator.integers(0, 5))
        content = str(int(generator.integers(0, count * 2)))
        size = (int(generator.integers(8, 900)), int(generator.integers(8, 900)))
        images.append((f"{place}.jpg", f"i{pid}", pid, camid, "train", str(split), "r", content, *size, "RGB"))
    return images


def test_equals_slow_loops() -> None:
    images = drawn_images(400, np.random.default_rng(3))
    found = summary_of(images)
    pids: dict[str, Counter[int]] = defaultdict(Counter)
    cameras: dict[tuple[str, int], set[int]] = defaultdict(set)
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for _, _, pid, camid, _, split, _, content, *_ in images:
        groups[content].append((split, pid))
        if pid > 0:
            pids[split][pid] += 1
            if camid is not None:
                cameras[split, pid].add(camid)
    for split, facts in found["splits"].items():
        images_of = list(pids[split].values())
        spread = facts["images_per_identity"]
        assert facts["identities"] == len(images_of)
        assert spread["mean"] == pytest.approx(sum(images_of) / len(images_of))
        assert (spread["min"], spread["max"]) == (min(images_of), max(images_of))
        assert spread["histogram"] == [list(pair) for pair in sorted(Counter(images_of).items())]
        alone = sum(len(seen) == 1 for (name, _), seen in cameras.items() if name == split)
        assert facts["one_camera"]["count"] == alone
    learnt = pids["train"].keys() | pids["dev_query"].keys() | pids["dev_gallery"].keys()
    tested = pids["query"].keys() | pids["gallery"].keys()
    assert found["shared_identities"]["count"] == len(learnt & tested)
    several = [group for group in groups.values() if len(group) > 1]
    splits_of = [{split for split, _ in group} for group in several]
    assert found["duplicates"]["across"]["groups"] == sum(len(splits) > 1 for splits in splits_of)
    assert sum(found["duplicates"]["between"].values()) == found["duplicates"]["across"]["groups"]
    within = [max(Counter(split for split, _ in group).values()) > 1 for group in several]
    assert found["duplicates"]["within"]["groups"] == sum(within)
    conflicts = [len({pid for _, pid in group if pid >= 0}) > 1 for group in several]
    assert found["duplicates"]["conflicts"]["groups"] == sum(conflicts) > 0


def test_order_of_the_rows_does_not_matter() -> None:
    mixed = [IMAGES[place] for place in np.random.default_rng(1).permutation(len(IMAGES))]
    assert summary_of(mixed) == summary_of(IMAGES)


@pytest.mark.slow
def test_cost_is_linear() -> None:
    generator = np.random.default_rng(0)
    calls, peaks = [], []
    for count in (2_000, 16_000):
        manifest, image_facts, split_table = tables(drawn_images(count, generator))
        made = (manifest, image_facts, SplitTables(split_table, galleries()))
        with cProfile.Profile() as profile:
            summarise(BENCHMARK, READING, *made, camera_filter=True)
        calls.append(sum(entry.callcount for entry in profile.getstats()))
        tracemalloc.start()
        summarise(BENCHMARK, READING, *made, camera_filter=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 8 times the rows; loops over pairs would make 64 times the calls, a table of pairs 64 times the memory.
    assert calls[1] < 12 * calls[0]
    assert peaks[1] < 12 * peaks[0]
