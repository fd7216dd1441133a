"""Finished runs are found, in order; whatever is not whole is named with its remedy."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError
from made_records import DATA, make_breakdown, make_run

from reid_pipeline.io.all_cells import AllResultsDataset, TrainedEmbeddersDataset
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import Run

BENCHMARK = "market1501"


def write_run(root: Path, folder_name: str, seed: int, *, card: Any = None, **others: Any) -> Path:
    """Write metrics and run card of a run whose folder is `<method>[+<variant>]`."""
    method, _, variant = folder_name.partition("+")
    head = {"benchmark": BENCHMARK, "method": method, "variant": variant, "seed": seed}
    run = make_run({**head, **others}, card or {})
    folder = root / folder_name / f"seed_{seed}"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(run.metrics.content()))
    (folder / "run_card.json").write_text(json.dumps(run.run_card.content()))
    return folder


def change(file: Path, **values: Any) -> None:
    """Put other values into a JSON file; Ellipsis takes one out."""
    content = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / BENCHMARK


def load(root: Path) -> list[Run]:
    return RunResultsDataset(filepath=str(root)).load()


def error_of(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load(root)
    assert isinstance(caught.value.__cause__, UserError)
    return str(caught.value.__cause__)


def test_runs_by_method_and_then_by_number_of_the_seed(root: Path) -> None:
    for method, seed in (("zero_shot", 2), ("zero_shot", 10), ("baseline", 3), ("zero_shot", 0)):
        write_run(root, method, seed)
    found = load(root)
    assert [(run.method, run.seed) for run in found] == [
        ("baseline", 3),
        ("zero_shot", 0),
        ("zero_shot", 2),
        ("zero_shot", 10),
    ]
    assert found[0].metrics.mAP == 0.5
    assert found[0].run_card.data_hash == DATA
    assert found[0].breakdown is None


def test_variants_are_read_and_sorted_below_their_method(root: Path) -> None:
    for name in ("pcl+small", "pcl", "pcl+a+b%2Fc", "pcl_two"):
        write_run(root, name, 0)
    assert [(run.method, run.variant) for run in load(root)] == [
        ("pcl", ""),
        ("pcl", "a+b%2Fc"),
        ("pcl", "small"),
        ("pcl_two", ""),
    ]


def test_other_folders_and_runs_under_way_are_none(root: Path) -> None:
    write_run(root, "zero_shot", 0)
    write_run(root, "dataset", 0).rename(root / "dataset" / "other")
    write_run(root, "zero_shot", 1).rename(root / "zero_shot" / "seed_1_old")
    (root / "pcl/seed_0").mkdir(parents=True)
    (root / "pcl/seed_0/history.json").write_text("[]")
    (root / "comparison").mkdir()
    assert [(run.method, run.seed) for run in load(root)] == [("zero_shot", 0)]


@pytest.mark.parametrize("prepare", ["nothing", "empty", "training"])
def test_no_results_name_the_command(root: Path, prepare: str) -> None:
    if prepare != "nothing":
        root.mkdir()
    if prepare == "training":
        (root / "pcl/seed_0").mkdir(parents=True)
    message = error_of(root)
    assert message.startswith(f"There are no results of {BENCHMARK}")
    assert "kedro run --pipeline=zero_shot, with --env and --params as here" in message
    assert not RunResultsDataset(filepath=str(root)).exists()


@pytest.mark.parametrize("name", ["metrics", "run_card"])
@pytest.mark.parametrize("content", [b'{"mAP": 0.4', b"", b"\xff\xfe{}", b"\x00"])
def test_a_half_written_file_is_named(root: Path, name: str, content: bytes) -> None:
    write_run(root, "baseline", 0)
    folder = write_run(root, "zero_shot", 4)
    (folder / f"{name}.json").write_bytes(content)
    message = error_of(root)
    assert message.startswith(f"{folder / name}.json cannot be read as JSON: ")
    again = "kedro run --pipeline=zero_shot --params seed=4, with --env, collection and other parameters as"
    assert message.endswith(f"Make it anew: {again} that run had them; or remove {folder}.")


def test_a_folder_in_the_place_of_a_file_is_named(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").mkdir()
    assert error_of(root).startswith(f"{folder / 'metrics.json'} cannot be read")


@pytest.mark.parametrize("name", ["metrics", "run_card"])
def test_one_file_of_two_is_a_run_that_did_not_finish(root: Path, name: str) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / f"{name}.json").unlink()
    other = {"metrics": "run_card", "run_card": "metrics"}[name]
    message = error_of(root)
    assert message.startswith(f"{folder / name}.json is missing, though {other}.json is there")


def test_a_list_is_no_record(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    (folder / "metrics.json").write_text("[1, 2]")
    assert "holds a list, not the record of a run" in error_of(root)


DAMAGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "NaN": ("metrics", {"mAP": math.nan}, "mAP: Input should be a finite number, given nan"),
    "infinite": ("metrics", {"mAP": math.inf}, "mAP: Input should be"),
    "text": ("metrics", {"mAP": "high"}, "mAP: Input should be a valid number, given 'high'"),
    "number as text": ("metrics", {"mAP": "0.5"}, "mAP: Input should be a valid number, given '0.5'"),
    "truth": ("metrics", {"rank1": True}, "rank1: Input should be a valid number, given True"),
    "above 1": ("metrics", {"rank1": 1.2}, "rank1: Input should be less than or equal to 1, given 1.2"),
    "below 0": ("metrics", {"mINP": -0.1}, "mINP: Input should be greater than or equal to 0, given -0.1"),
    "no reason": ("metrics", {"mAP": None}, "mAP is null, and not_evaluated does not say why"),
    "missing": ("metrics", {"rank5": ...}, "rank5: Field required"),
    "unknown": ("metrics", {"mApp": 0.5}, "mApp: Extra inputs are not permitted, given 0.5"),
    "negative count": ("metrics", {"num_gallery": -1}, "num_gallery: Input should be greater than or equal"),
    "label use": ("metrics", {"label_use": "some"}, "label_use: Input should be 'none', 'source',"),
    "data": ("run_card", {"data_hash": None}, "data_hash: Input should be a valid string, given None"),
    "parameters": ("run_card", {"parameters": []}, "parameters: Input should be a valid dictionary, giv"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_record_is_refused_by_file_field_and_remedy(root: Path, damage: str) -> None:
    name, values, fault = DAMAGES[damage]
    write_run(root, "baseline", 0)
    folder = write_run(root, "zero_shot", 4)
    change(folder / f"{name}.json", **values)
    message = error_of(root)
    assert message.startswith(f"{folder / name}.json is no whole record of a run: {fault}")
    assert "Make it anew: kedro run --pipeline=zero_shot --params seed=4, with --env, coll" in message


def test_what_a_later_version_wrote_is_named_as_such(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    change(folder / "metrics.json", version=3)
    message = error_of(root)
    assert message.startswith(f"{folder / 'metrics'}.json is of version 3 of its kind, and this version of the project")
    assert "reads 2 at most: a later one wrote it. Use that one, or give the file up. Make it anew:" in message


def test_a_reason_makes_an_absent_figure_whole(root: Path) -> None:
    folder = write_run(root, "zero_shot", 4)
    change(folder / "metrics.json", mAP=None, not_evaluated="no image is query")
    (run,) = load(root)
    assert (run.metrics.mAP, run.metrics.not_evaluated) == (None, "no image is query")


@pytest.mark.parametrize("moved", [("zero_shot", 1), ("baseline", 0), ("zero_shot+small", 0)])
def test_a_copied_run_is_not_counted_twice(root: Path, moved: tuple[str, int]) -> None:
    folder = write_run(root, "zero_shot", 0)
    target = root / moved[0] / f"seed_{moved[1]}"
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    message = error_of(root)
    assert f"is of {BENCHMARK}/zero_shot/seed_0, and lies" in message
    assert f"folder of {BENCHMARK}/{moved[0]}/seed_{moved[1]}. Move it" in message


@pytest.mark.parametrize(("variant", "folder"), [("", "pcl+rn50"), ("rn50", "pcl"), ("rn50", "pcl+sie_olp")])
def test_a_run_of_another_variant_is_not_counted(root: Path, variant: str, folder: str) -> None:
    written = write_run(root, "pcl", 0)
    for file in written.glob("*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | ({"variant": variant} if variant else {})))
    if folder != "pcl":
        (root / "pcl").rename(root / folder)
    folder_named = f"pcl+{variant}" if variant else "pcl"
    says = f"is of {BENCHMARK}/{folder_named}/seed_0, and lies in the folder of {BENCHMARK}/{folder}/seed_0. Move"
    assert says in error_of(root)


def test_it_is_read_only(root: Path) -> None:
    write_run(root, "zero_shot", 0)
    with pytest.raises(DatasetError, match="read only") as caught:
        RunResultsDataset(filepath=str(root)).save([])
    assert isinstance(caught.value.__cause__, UserError)


def test_the_breakdown_is_read_where_it_is_there(root: Path) -> None:
    head = {"benchmark": BENCHMARK, "method": "pcl", "seed": 0}
    content = make_breakdown(precisions=[0.5, None], **head).content()
    (write_run(root, "pcl", 0) / "breakdown.json").write_text(json.dumps(content))
    write_run(root, "zero_shot", 0)
    first, second = load(root)
    assert first.breakdown is not None
    assert first.breakdown.average_precision == (0.5, None)
    assert second.breakdown is None


def write_with_origins(root: Path, **digests: str) -> Path:
    """Write a run whose files say what they were made from; `digests` puts others in their place."""
    head = {"benchmark": BENCHMARK, "method": "pcl", "seed": 0}
    run = make_run(head, {}, [0.5])
    known = {"embeddings": "e" * 64, "beside": "e" * 64, **digests}

    def origin(node: str, **made_from: str) -> Origin:
        return Origin(made_by=f"pcl.{node}", code="1", made_from=made_from)

    assert run.breakdown is not None
    metrics = run.metrics.with_origin(origin("evaluate", embeddings=known["embeddings"]))
    assert metrics.origin is not None
    told = {
        "metrics": metrics,
        "breakdown": run.breakdown.with_origin(origin("evaluate", embeddings=known["beside"])),
        "run_card": run.run_card.with_origin(
            origin("run_card", metrics=known.get("metrics") or str(metrics.origin.digest))
        ),
    }
    folder = root / "pcl/seed_0"
    folder.mkdir(parents=True)
    for name, record in told.items():
        (folder / f"{name}.json").write_text(json.dumps(record.content()))
    return folder


def test_files_of_one_make_are_read(root: Path) -> None:
    write_with_origins(root)
    (run,) = load(root)
    assert run.metrics.origin is not None
    assert run.metrics.origin.made_by == "pcl.evaluate"


@pytest.mark.parametrize(
    ("digests", "beginning"),
    [
        ({"metrics": "b" * 64}, "run_card.json was made from other metrics than"),
        ({"beside": "b" * 64}, "breakdown.json was made from other embeddings than"),
    ],
)
def test_files_of_two_runs_are_refused(root: Path, digests: dict[str, str], beginning: str) -> None:
    folder = write_with_origins(root, **digests)
    message = error_of(root)
    assert message.startswith(f"{folder}/{beginning} {folder}/metrics.json tells: bbbbbbbbbbbb, not ")
    assert "They are not of one run. Make it anew: kedro run --pipeline=pcl" in message


def test_a_figure_that_was_changed_is_noticed(root: Path) -> None:
    change(write_with_origins(root) / "metrics.json", mAP=0.99)
    assert "its content is not what its origin's digest says" in error_of(root)


def test_all_benchmarks_that_have_results(root: Path) -> None:
    everything = AllResultsDataset(filepath=str(root.parent))
    (root.parent / "leaderboard").mkdir()
    with pytest.raises(DatasetError, match="There are no results in"):
        everything.load()
    write_run(root, "pcl", 0)
    write_run(root.parent / "veri776", "pcl", 1, benchmark="veri776")
    card = root.parent / "veri776/pcl/seed_1/run_card.json"
    card.write_text(card.read_text().replace(BENCHMARK, "veri776"))
    found = everything.load()
    assert {name: [run.seed for run in runs] for name, runs in found.items()} == {"market1501": [0], "veri776": [1]}


def test_embedders_are_listed_with_their_variants(tmp_path: Path) -> None:
    for name in ("pcl+small", "pcl", "baseline"):
        folder = tmp_path / "synthetic" / name / "seed_3"
        folder.mkdir(parents=True)
        (folder / "embedder.safetensors").touch()
    found = TrainedEmbeddersDataset(filepath=str(tmp_path)).load()
    assert [(each.benchmark, each.method, each.variant, each.seed) for each in found] == [
        ("synthetic", "baseline", "", 3),
        ("synthetic", "pcl", "", 3),
        ("synthetic", "pcl", "small", 3),
    ]
