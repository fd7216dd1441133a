"""The runs that `labels_from` is checked against: of all results, a cell of the same collection first."""

from pathlib import Path

from reid_pipeline.io.labels import GivenLabelsDataset
from reid_pipeline.readers.custom.labels import RUN


def write(results: Path, cell: str, text: str) -> None:
    file = results / cell / "clusters.csv"
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8-sig")


def test_a_run_of_this_collection_goes_before_another_that_is_alike(tmp_path: Path) -> None:
    # The same folder under two names, and the same model: both have the same run.
    for name in ("abc", "zoo", "zzz"):
        write(tmp_path, f"{name}/baseline/seed_0", f"path;cluster;{RUN}\n1.jpg;0;aa-11\n")
    write(tmp_path, "zoo/pcl/seed_0", f"path,{RUN}\n1.jpg,bb-22\n")
    write(tmp_path, "zoo/pcl/seed_1", "")
    write(tmp_path, "zoo/pcl/seed_2", f"path,{RUN}\n")
    for collection, cell in (("zoo", "zoo"), ("zzz", "zzz"), ("abc", "abc"), ("new", "abc")):
        given = GivenLabelsDataset(filepath=str(tmp_path / "x.csv"), path=str(tmp_path), collection=collection).load()
        assert given is not None
        assert given.runs == {"aa-11": f"{cell}/baseline/seed_0", "bb-22": "zoo/pcl/seed_0"}
