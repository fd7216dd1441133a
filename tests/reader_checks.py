"""What holds for a reader, by its module alone; its layout is filled with drawn pictures and read back."""

import random
from functools import cache
from pathlib import Path

import pandas as pd

from reid_drawings import Picture, SyntheticBenchmark, SyntheticVehicles, draw_pictures
from reid_pipeline.readers import lay_out, layouts, reader
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import SUBSETS
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST

SIZE = {
    "seed": 6,
    "num_cameras": 2,
    "train_identities": 4,
    "test_identities": 3,
    "cameras_per_identity": (2, 2),
    "images_per_camera": (2, 2),
}
PARAMETERS = {"person": SyntheticBenchmark(**SIZE, distractors=2, junk=1), "vehicle": SyntheticVehicles(**SIZE)}


@cache
def pictures_of(kind: str) -> dict[bytes, Picture]:
    """Return pictures of a `person` or a `vehicle` by their content, which identifies them whatever their name."""
    drawn = draw_pictures(PARAMETERS[kind], processes=1)
    found = {picture.data: picture for picture in drawn}
    assert len(found) == len(drawn)
    return found


def kinds_of(layout: str) -> list[str]:
    """Return what a layout can hold: people, vehicles, or either."""
    noun = reader(layouts()[layout][0]).BENCHMARK.noun
    return [noun] if noun in PARAMETERS else [*PARAMETERS]


def laid_out(layout: str, kind: str) -> dict[str, bytes]:
    return lay_out(layout, list(pictures_of(kind).values()))


def read_files(name: str, files: dict[str, bytes], root: Path, variant: str | None = None) -> Reading:
    """Write files below a folder and read it, in an order of files that is none."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    shuffled = random.Random(0).sample(list(files), len(files))
    reading = reader(name).read(RawFolder(root, tuple(shuffled)), IngestionParameters(reader=name, variant=variant))
    MANIFEST.validate(reading.manifest)
    return reading


def check_benchmark(name: str) -> None:
    """What is published of a benchmark is complete, and agrees with itself."""
    known = reader(name).BENCHMARK
    for text in (known.title, known.reference, known.licence, known.source, known.layout):
        assert text.strip() == text != ""
    assert known.noun in ("person", "vehicle", "individual")
    assert known.cameras is None or known.cameras > 0
    names = [version.name for version in known.versions]
    assert len(set(names)) == len(names)
    for version in known.versions:
        assert version.counts.keys() >= {"train"}
        for part, counts in version.counts.items():
            assert part in SUBSETS or part.isdecimal()
            assert counts.images >= (counts.identities or 1) > 0


def check_layout(layout: str, kind: str, root: Path) -> None:
    """A reader finds in its own layout the pictures, identities, cameras, viewpoints and splits that were drawn."""
    name, form = layouts()[layout]
    known, files, pictures = reader(name).BENCHMARK, laid_out(layout, kind), pictures_of(kind)
    assert list(files) == sorted(files)
    reading = read_files(name, files, root)
    assert reading.version in {None, *known.forms, *(version.name for version in known.versions)}
    if form is not None:
        pd.testing.assert_frame_equal(read_files(name, files, root, form).manifest, reading.manifest)
    table = reading.manifest
    assert table["path"].tolist() == sorted(table["path"])
    rows = [(row, pictures[files[row.path]]) for row in table.itertuples()]
    found = {picture.data for _, picture in rows}
    assert found >= {picture.data for picture in pictures.values() if picture.identity > 0}, "every one is read"
    check_identities(rows)
    check_cameras(rows, published=known.cameras is not None)
    check_viewpoints(rows)
    check_subsets(rows)
    for column in {"colour", "type"} & set(table):
        assert [getattr(row, column) for row, _ in rows] == [getattr(picture, column) for _, picture in rows]


def check_identities(rows: list[tuple]) -> None:
    """An identity has one pid and one name and shares neither, distractors are 0, junk is -1; or nobody is known."""
    if all(row.pid == -2 for row, _ in rows):
        assert all(row.identity == "" for row, _ in rows)
        return
    assert all(row.pid == picture.identity for row, picture in rows if picture.identity < 1)
    for who in ("pid", "identity"):
        pairs = {(getattr(row, who), picture.identity) for row, picture in rows if picture.identity > 0}
        assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs) > 1
    assert all(row.pid > 0 for row, picture in rows if picture.identity > 0)


def check_cameras(rows: list[tuple], *, published: bool) -> None:
    """Cameras are those of the pictures; a layout may lose them only where the benchmark has none."""
    if published or not all(pd.isna(row.camid) for row, _ in rows):
        assert [row.camid for row, _ in rows] == [picture.camera for _, picture in rows]


def check_viewpoints(rows: list[tuple]) -> None:
    """Each viewpoint has one number and no two the same, or the layout has none."""
    if not all(pd.isna(row.viewid) for row, _ in rows):
        pairs = {(row.viewid, picture.viewpoint) for row, picture in rows}
        assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs) > 1


def check_subsets(rows: list[tuple]) -> None:
    """Training images stay so, and no image of the test becomes one; a query may be in the gallery as well."""
    assert len({(row.subset, picture.data) for row, picture in rows}) == len(rows), "no image is read twice"
    if all(row.pid == -2 for row, _ in rows):
        return
    queries = {picture.data for row, picture in rows if row.subset == "query"}
    for row, picture in rows:
        if picture.subset == "train":
            assert row.subset == "train"
        elif row.subset not in ("test", "unassigned"):
            assert row.subset == picture.subset or (row.subset == "gallery" and picture.data in queries)
    if queries:
        assert queries == {picture.data for _, picture in rows if picture.subset == "query"}
