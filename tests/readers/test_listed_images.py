"""What `images` may name: a folder, a list of paths, a table, one file; what is known of each image is read along."""

from pathlib import Path

import pandas as pd
import pytest

from reid_pipeline.io.listed_images import ListedImagesDataset, read_listed
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tables import EMBEDDED_IMAGES
from reid_pipeline.user_errors import user_error_text


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not opened here")
    return folder


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def column(images: Path, name: str) -> list:
    found = read_listed(images)
    EMBEDDED_IMAGES.validate(found.rows)
    return found.rows[name].tolist()


class TestFolders:
    def test_images_alone_are_of_nobody(self, tmp_path):
        files(tmp_path, "b.jpg", "a.PNG", ".hidden.jpg", "notes.txt")
        found = read_listed(tmp_path)
        assert found.rows["path"].tolist() == ["a.PNG", "b.jpg"]
        assert found.rows["identity"].tolist() == ["", ""]
        assert found.rows["trackid"].tolist() == [-1, -1]
        assert any("2 other files below" in note for note in found.notes)
        assert found.given == str(tmp_path)

    @pytest.mark.parametrize(
        ("names", "identities"),
        [
            (["anna/1.jpg", "anna/2.jpg", "otto/1.jpg"], ["anna", "anna", "otto"]),
            (["anna/1.jpg"], ["anna"]),
            (["gallery/anna/1.jpg", "query/otto/1.jpg"], ["anna", "otto"]),
            (["2024/05/1.jpg", "2024/06/1.jpg"], ["", ""]),
            (["anna/1.jpg", "2.jpg"], ["", ""]),
        ],
    )
    def test_folders_are_identities_where_all_lie_alike(self, tmp_path, names, identities):
        found = read_listed(files(tmp_path, *names))
        assert dict(zip(found.rows["path"], found.rows["identity"], strict=True)) == dict(
            zip(names, identities, strict=True)
        )
        assert found.by_folder == any(identities)
        assert found.without_folder_names().rows["identity"].tolist() == [""] * len(names)

    def test_a_manifest_at_its_root_says_who(self, tmp_path):
        files(tmp_path, "x/1.jpg", "x/2.jpg", "x/3.jpg")
        written(tmp_path, "manifest.csv", "path,pid,camid,split\nx/2.jpg,Käthe,yard,train\nx/1.jpg,-1,yard,train\n")
        found = read_listed(tmp_path)
        assert found.rows[["path", "identity", "camera"]].to_numpy().tolist() == [["x/2.jpg", "Käthe", "yard"]]
        assert found.without_folder_names() is found, "a table's names stay"
        assert any("junk, and left out" in note for note in found.notes)

    def test_no_image(self, tmp_path):
        with pytest.raises(UserError, match="There is no image below"):
            read_listed(files(tmp_path, "a.txt"))


class TestTables:
    def test_all_columns(self, tmp_path):
        other = files(tmp_path / "elsewhere", "c.jpg") / "c.jpg"
        files(tmp_path, "a.jpg", "b.jpg")
        table = written(
            tmp_path,
            "list.csv",
            "path;identity;camera;time;trackid;comment\n"
            "a.jpg;Zoë;north gate;2024-05-06T09:08:07+02:00;3;x\n"
            "b.jpg;unknown;;2024-05-06 07:08:09.5;;y\n"
            f"{other};;;;;\n",
        )
        found = read_listed(table)
        assert found.root == tmp_path
        assert found.rows.to_dict("list") == {
            "path": ["a.jpg", "b.jpg", str(other)],
            "identity": ["Zoë", "", ""],
            "camera": ["north gate", "", ""],
            "time": ["2024-05-06T07:08:07Z", "2024-05-06T07:08:09.500000Z", ""],
            "trackid": [3, -1, -1],
        }
        assert "Columns not used: comment." in found.notes
        pd.read_csv(table, sep=";", dtype=str).to_parquet(tmp_path / "list.parquet")
        assert read_listed(tmp_path / "list.parquet").rows.equals(found.rows)

    @pytest.mark.parametrize("name", ["identity", "pid", "name"])
    @pytest.mark.parametrize("camera", ["camera", "camid"])
    def test_other_names_of_columns(self, tmp_path, name, camera):
        files(tmp_path, "a.jpg")
        table = written(tmp_path, "list.csv", f"path,{name},{camera}\na.jpg,7,2\n")
        assert (column(table, "identity"), column(table, "camera")) == (["7"], ["2"])

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("file,identity\na.jpg,x\n", "has no column path; its columns are file, identity"),
            ("path,identty\na.jpg,x\n", "has a column 'identty', which is not read. Did you mean 'identity'?"),
            ("path\na.jpg\nz.jpg\n", r"1 of 2 images of list.csv are not there: 'z.jpg' \(line 3\)"),
            ("path\na.jpg\na.jpg\n", r"2 rows of list.csv name an image that another row names: 'a.jpg' \(line 2\)"),
            ("path,time\na.jpg,yesterday\n", r"Column time of list.csv is no time in 1 rows: 'yesterday' \(line 2\)"),
            ("path,time\na.jpg,1714979289\n", "Write ISO 8601"),
            ("path,trackid\na.jpg,-4\n", "trackid out of range in 1 rows"),
            ("path,identity\na.jpg,Anna\nb.jpg,anna\n", "writes 1 names in two forms"),
            ("path,identity\n,Anna\n", "Column path of list.csv is empty in 1 rows: line 2"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, text, words):
        files(tmp_path, "a.jpg", "b.jpg")
        with pytest.raises(UserError, match=words):
            read_listed(written(tmp_path, "list.csv", text))

    def test_backslashes(self, tmp_path):
        files(tmp_path, "a/b.jpg")
        assert column(written(tmp_path, "list.csv", "path\na\\b.jpg\n"), "path") == ["a/b.jpg"]


class TestListsAndFiles:
    def test_a_list_keeps_its_order(self, tmp_path):
        files(tmp_path, "a.jpg", "sub/b.jpg")
        assert column(written(tmp_path, "list.txt", "sub/b.jpg\n\n  a.jpg \n"), "path") == ["sub/b.jpg", "a.jpg"]
        with pytest.raises(UserError, match=r"1 of 1 images of list\.txt are not there: 'c\.jpg' \(line 2\)"):
            read_listed(written(tmp_path, "list.txt", "\nc.jpg\n"))
        with pytest.raises(UserError, match="lists no image"):
            read_listed(written(tmp_path, "list.txt", "\n"))

    def test_one_image(self, tmp_path):
        found = read_listed(files(tmp_path, "a.jpg") / "a.jpg")
        assert (found.root, found.rows["path"].tolist()) == (tmp_path, ["a.jpg"])

    def test_neither(self, tmp_path):
        with pytest.raises(UserError, match=r"b\.mp4 is no list of images: its name ends in '\.mp4'\. Give a folder"):
            read_listed(files(tmp_path, "b.mp4") / "b.mp4")
        with pytest.raises(UserError, match=r"there is no such file\. Did you mean 'b\.mp4'\?"):
            read_listed(tmp_path / "b.mp3")


def test_nothing_named():
    with pytest.raises(Exception, match="There are no images") as caught:
        ListedImagesDataset().load()
    assert "--params images=" in (user_error_text(caught.value) or "")
