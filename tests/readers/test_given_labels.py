"""clusters.csv, edited by hand and in Excel, becomes identities; what was done wrong is answered with line numbers."""

from pathlib import Path

import pytest

from reid_pipeline.readers.custom import read
from reid_pipeline.readers.custom.labels import with_given_labels
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.given_labels import GivenLabels
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST

HEADER = "path,cluster,distance,doubtful,name,camera,run"
IMAGES = tuple(f"{number}.jpg" for number in range(6))
ROWS = [f"{image},{cluster},0.1,False,,,r1" for image, cluster in zip(IMAGES, "001122", strict=True)]


def raw(files: tuple[str, ...] = IMAGES, root: Path = Path("crops")) -> RawFolder:
    return RawFolder(root, files)


def unlabelled(files: tuple[str, ...] = IMAGES) -> Reading:
    return read(raw(files), IngestionParameters(reader="custom"))


def labelled(
    folder: Path, content: str | bytes, name: str = "clusters.csv", runs: dict[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """Return the identity of each image, and the notes."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    reading, facts = with_given_labels(unlabelled(), GivenLabels(file, "zoo", runs or {}), raw())
    table = MANIFEST.validate(reading.manifest)
    found = dict(zip(table["path"], table["identity"], strict=True))
    assert facts.identities == len({name for name in found.values() if name})
    assert ((table["pid"] == -2) == (table["identity"] == "")).all()
    assert table[table["pid"] > 0].groupby("pid")["identity"].nunique().eq(1).all()
    return found, list(reading.notes)


def edited(*changes: tuple[int, str]) -> str:
    """The file with other lines; line 2 is the first below the header."""
    lines = [HEADER, *ROWS]
    for line, text in changes:
        lines[line - 1] = text
    return "\n".join(lines) + "\n"


def refused(folder: Path, content: str | bytes, name: str = "clusters.csv", **options: dict[str, str]) -> str:
    with pytest.raises(UserError) as caught:
        labelled(folder, content, name, **options)
    return str(caught.value)


def test_clusters_and_names_are_identities(tmp_path: Path) -> None:
    """Merge: two clusters with one name. Split: a row with another name. -1 and empty: nobody."""
    content = edited(
        (2, "0.jpg,0,0.1,False,Rex,,r1"),
        (3, "1.jpg,0,0.1,True,,,r1"),
        (4, "2.jpg,1,0.1,False,Rex,,r1"),
        (5, "3.jpg,1,0.1,False,Ada,,r1"),
        (6, "4.jpg,-1,,False,,,r1"),
        (7, "5.jpg,,,False,,,r1"),
    )
    found, notes = labelled(tmp_path, content)
    assert found == {"0.jpg": "Rex", "1.jpg": "cluster 0", "2.jpg": "Rex", "3.jpg": "Ada", "4.jpg": "", "5.jpg": ""}
    assert any("1 clusters have names in some rows and none in 1 others" in note and "line 3" in note for note in notes)
    assert notes[0].startswith("Identities are those of clusters.csv (SHA-256 ")
    assert "4 images of 3." in notes[0]
    assert not any("Nobody is named" in note for note in notes), "what the folder alone says is no longer true"


def test_a_name_that_is_a_number_is_no_cluster(tmp_path: Path) -> None:
    """Somebody calls animals by numbers of their own: 1 is not the cluster 1, which nobody has named."""
    found, _ = labelled(tmp_path, edited((2, "0.jpg,0,0.1,False,1,,r1"), (3, "1.jpg,0,0.1,False,1,,r1")))
    assert (found["0.jpg"], found["2.jpg"]) == ("1", "cluster 1")


def test_the_splits_are_drawn_by_identity_where_the_collection_has_none(tmp_path: Path) -> None:
    file = tmp_path / "clusters.csv"
    file.write_text(edited())
    reading, _ = with_given_labels(unlabelled(), GivenLabels(file, "zoo"), raw())
    assert set(reading.manifest["subset"]) == {"unassigned"}
    assert reading.manifest["pid"].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    "content",
    [
        edited().encode("utf-8-sig"),
        edited().replace("\n", "\r\n").encode(),
        edited().replace(",", ";").replace("0.1", "0,1").encode("utf-8-sig"),
        ("sep=;\r\n" + edited().replace(",", ";").replace("0.1", "0,1").replace("\n", "\r\n")).encode("utf-8-sig"),
        edited().replace(",", "\t").encode("utf-16"),
        edited().replace("path,cluster", "Path , CLUSTER").encode(),
        edited().replace("False", "FALSCH").replace(",r1", ",r1,,").encode(),
    ],
    ids=["bom", "crlf", "german", "sep", "utf-16", "capitals", "empty columns"],
)
def test_what_excel_and_others_write_is_read_alike(tmp_path: Path, content: bytes) -> None:
    found, _ = labelled(tmp_path, content)
    assert list(found.values()) == ["cluster 0"] * 2 + ["cluster 1"] * 2 + ["cluster 2"] * 2


@pytest.mark.parametrize("cell", ["1.0", '"1,0"', "01", "001.00", "+1"])
def test_a_number_with_zeros_or_a_decimal_sign_is_that_number(tmp_path: Path, cell: str) -> None:
    found, notes = labelled(tmp_path, edited((2, f"0.jpg,{cell},0.1,False,,,r1")))
    assert found["0.jpg"] == "cluster 1" == found["2.jpg"]
    assert any("1 numbers of clusters are written with zeros or a decimal sign" in note for note in notes)


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("01.02.2026", "hold a date"),
        ("2026-02-01 00:00:00", "hold a date"),
        ("01-Feb", "hold a date"),
        ("Jan 26", "are no whole number"),
        ("1.000", "may be a thousand or a fraction"),
        ("1.5", "are no whole number"),
        ("Rex", "a name belongs into the column name"),
        ("-3", "are no whole number"),
    ],
)
def test_a_cell_that_is_no_cluster_is_refused_with_its_line(tmp_path: Path, cell: str, answer: str) -> None:
    text = refused(tmp_path, edited((3, f"1.jpg,{cell},0.1,False,,,r1")))
    assert text.startswith("1 cells of column cluster in clusters.csv ")
    assert answer in text
    assert f"{cell!r} (line 3)" in text


def test_paths_that_stand_twice(tmp_path: Path) -> None:
    """The same identity twice is noted, another is refused."""
    again = edited() + ROWS[0] + "\n"
    found, notes = labelled(tmp_path, again)
    assert found["0.jpg"] == "cluster 0"
    assert any("1 images stand in clusters.csv more than once, with the same" in note for note in notes)
    text = refused(tmp_path, edited() + "0.jpg,2,0.1,False,,,r1\n")
    assert "as different individuals: '0.jpg' (line 2 and line 8). Leave one row of each." in text


def test_paths_that_are_missing_stay_as_the_collection_has_them(tmp_path: Path) -> None:
    found, notes = labelled(tmp_path, "\n".join([HEADER, *ROWS[:4]]))
    assert (found["4.jpg"], found["5.jpg"]) == ("", "")
    assert "2 images are not in clusters.csv and stay as the collection has them: 4.jpg, 5.jpg." in notes


def test_paths_that_are_not_in_the_collection(tmp_path: Path) -> None:
    text = refused(tmp_path, edited((3, "l.jpg,0,0.1,False,,,r1")))
    assert text.startswith("1 of 6 paths in clusters.csv are no images of this collection (crops): 'l.jpg' (line 3).")
    assert "remove their rows" in text
    assert "is empty in 1 rows: line 4" in refused(tmp_path, edited((4, ",1,0.1,False,,,r1")))
    found, _ = labelled(tmp_path, edited((3, ".\\1.jpg,0,0.1,False,,,r1")))
    assert found["1.jpg"] == "cluster 0"


def test_a_file_of_another_collection(tmp_path: Path) -> None:
    """The run of its rows is that of a cell; the same file names in both would not show it."""
    text = refused(tmp_path, edited(), runs={"r1": "lake/zero_shot/seed_0"})
    assert "was made of another collection: its run r1 is that of lake/zero_shot/seed_0, and this one is zoo" in text
    assert "collection=lake" in text
    _, notes = labelled(tmp_path, edited(), runs={"r1": "zoo+sample=5/zero_shot/seed_0"})
    assert not any("its paths say" in note for note in notes)
    _, notes = labelled(tmp_path, edited(), runs={"r9": "lake/zero_shot/seed_0"})
    assert any(note.startswith("Run r1 of clusters.csv is in no clusters.csv of the results") for note in notes)
    text = refused(tmp_path, edited((7, "5.jpg,2,0.1,False,,,r2")))
    assert "1 rows of clusters.csv are of another run than the others, which are of r1: 'r2' (line 7)" in text


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("path,clusters,distance,doubtful,name,camera,run", "Did you mean 'cluster'?"),
        ("path,cluster,distance,doubtful,nmae,camera,run", "Did you mean 'name'?"),
        ("Bild,Gruppe,distance,doubtful,name,camera,run", "has no column path and no column cluster"),
        ("path,cluster,distance,cluster,name,camera,run", "several columns of the same name: cluster"),
        (ROWS[0], "has no header"),
    ],
)
def test_a_broken_header_is_refused(tmp_path: Path, header: str, answer: str) -> None:
    assert answer in refused(tmp_path, edited((1, header)))


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    text = refused(tmp_path, b"PK\x03\x04rest", "clusters.xlsx")
    assert text == (
        "clusters.xlsx cannot be read as a table: its name ends in '.xlsx'. Save it as CSV in UTF-8; in Excel that is"
        " 'CSV UTF-8'."
    )
    assert "is a spreadsheet by its content" in refused(tmp_path, b"PK\x03\x04rest")
    assert "is no UTF-8 text (line 2" in refused(tmp_path, edited((2, "0.jpg,0,,,Zo\xe9,,r1")).encode("latin-1"))


def test_names_in_two_forms_and_negative_names_are_refused(tmp_path: Path) -> None:
    text = refused(tmp_path, edited((2, "0.jpg,0,,,Rex,,r1"), (4, "2.jpg,1,,,rex,,r1")))
    assert "Column name of clusters.csv writes 1 names in two forms: 'Rex' (line 2) and 'rex' (line 4)" in text
    assert "Leave name empty, and write -1 into cluster" in refused(tmp_path, edited((2, "0.jpg,0,,,-1,,r1")))


def partly_named(folder: Path, content: str) -> dict[str, str]:
    """A collection whose manifest names two images and gives its own test."""
    table = (
        "path,pid,split\n0.jpg,fox,train\n1.jpg,,train\n2.jpg,owl,train\n3.jpg,,train\n4.jpg,elk,test\n5.jpg,elk,test\n"
    )
    (folder / "manifest.csv").write_text(table)
    found = raw((*IMAGES, "manifest.csv"), folder)
    file = folder / "clusters.csv"
    file.write_text(content)
    own = read(found, IngestionParameters(reader="custom"))
    reading, _ = with_given_labels(own, GivenLabels(file, "zoo"), found)
    assert reading.manifest["subset"].tolist() == own.manifest["subset"].tolist()
    return dict(zip(reading.manifest["path"], reading.manifest["identity"], strict=True))


def test_a_cluster_without_a_name_is_called_as_its_known_images_are(tmp_path: Path) -> None:
    found = partly_named(tmp_path, "\n".join([HEADER, *ROWS[:4]]))
    assert found == {"0.jpg": "fox", "1.jpg": "fox", "2.jpg": "owl", "3.jpg": "owl", "4.jpg": "elk", "5.jpg": "elk"}
    with pytest.raises(UserError, match=r"cluster 0 \('fox' and 'owl', from line 2 on\)\. Split them"):
        partly_named(tmp_path, "\n".join([HEADER, *ROWS[:2], "2.jpg,0,,,,,r1"]))
