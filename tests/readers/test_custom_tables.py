"""One's own images, listed in a table: manifests and metadata tables to the manifest."""

import re
import unicodedata

import pandas as pd
import pytest
from own_folder import Folder, column, has_note

from reid_pipeline.schema.errors import UserError


class TestManifest:
    def test_every_column(self, folder):
        reading = folder.manifest(
            "path,pid,camid,viewid,trackid,split",
            "b.jpg,fox-7,3,0,70001,train",
            "a.jpg,badger,0,,12,train",
            "c.jpg,fox-7,1,7,,query",
            "d.jpg,fox-7,3,2,5,gallery",
        )
        table = reading.manifest.astype(object)
        assert table.where(table.notna(), None).to_dict("list") == {
            "path": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
            "identity": ["badger", "fox-7", "fox-7", "fox-7"],
            "subset": ["train", "train", "query", "gallery"],
            "test_sets": ["", "", "", ""],
            "pid": [1, 2, 2, 2],
            "camid": [0, 3, 1, 3],
            "camera": ["0", "3", "1", "3"],
            "viewid": [None, 0, 7, 2],
            "trackid": [12, 70001, None, 5],
        }
        assert reading.notes[0] == "Read as a manifest: manifest.csv, 4 images."
        assert has_note(reading, r"^4 images below the folder are not in manifest\.csv .*: e\.jpg, f\.jpg")

    def test_two_columns_are_enough(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,1", "b.jpg,2")
        assert set(column(reading, "subset").values()) == {"unassigned"}
        for name in ("camid", "viewid", "trackid"):
            assert set(column(reading, name).values()) == {None}

    def test_parquet_says_the_same_as_csv(self, folder, tmp_path):
        lines = ["path,pid,camid,viewid,trackid,split", "a.jpg,7,0,,3,train", "b.jpg,12,1,2,,test"]
        from_csv = folder.manifest(*lines)
        other = Folder(tmp_path / "other").images(*(f"{letter}.jpg" for letter in "abcdefgh"))
        table = pd.read_csv(folder.root / "manifest.csv")
        assert table["viewid"].dtype == "float64", "as pandas makes of a column with gaps"
        table.to_parquet(other.root / "manifest.parquet")
        from_parquet = other.read()
        assert column(from_parquet, "camera") == {"a.jpg": "0", "b.jpg": "1"}
        pd.testing.assert_frame_equal(from_parquet.manifest, from_csv.manifest)
        assert column(from_parquet, "identity") == {"a.jpg": "7", "b.jpg": "12"}

    def test_parquet_rows_count_from_one_and_a_named_index_is_a_column(self, folder):
        folder.images("a.jpg", "b.jpg")
        table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "pid": ["x", "y"], "camid": [1, -3]})
        table.set_index("path").to_parquet(folder.root / "manifest.parquet")
        with pytest.raises(UserError, match=r"camid out of range in 1 rows .*'-3' \(row 2\)"):
            folder.read()

    def test_a_broken_parquet_file(self, folder):
        folder.images("a.jpg").write("manifest.parquet", "no parquet")
        with pytest.raises(UserError, match=r"^manifest\.parquet cannot be read as Parquet: "):
            folder.read()

    def test_leading_zeros_stay(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,007", "b.jpg,012", "c.jpg,NA")
        assert column(reading, "identity") == {"a.jpg": "007", "b.jpg": "012", "c.jpg": "NA"}

    @pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
    def test_other_separators_are_noted(self, folder, separator, name):
        lines = ["path,pid,camid", "a.jpg,x,0", "b.jpg,y,1"]
        reading = folder.manifest(*(line.replace(",", separator) for line in lines))
        assert column(reading, "identity") == {"a.jpg": "x", "b.jpg": "y"}
        assert f"manifest.csv separates its cells by {name}." in reading.notes

    def test_quoted_cells_blank_lines_and_windows_line_ends(self, folder):
        folder.images("a, b.jpg", "c.jpg")
        (folder.root / "manifest.csv").write_bytes(b'\xef\xbb\xbf"path", pid \r\n"a, b.jpg",x\r\n\r\nc.jpg,y\r\n,\r\n')
        assert column(folder.read(), "identity") == {"a, b.jpg": "x", "c.jpg": "y"}

    def test_row_numbers_are_those_of_an_editor(self, folder):
        said = folder.refused("path,pid,camid", "a.jpg,1,0", "", "b.jpg,2,-4")
        assert "'-4' (line 4)" in said

    def test_a_row_with_too_many_cells(self, folder):
        said = folder.refused("path,pid", "a.jpg,1", "b,c.jpg,2")
        assert re.match(
            r"manifest\.csv: 1 rows have more cells than its header, .*: line 3\. .*commas.*quotation", said
        )

    @pytest.mark.parametrize(
        ("lines", "says"),
        [
            ([], r"^manifest\.csv is empty\. Its first line names the columns\."),
            (["path,pid"], r"^manifest\.csv lists no image: there is no row below its header"),
            (["path,pid", ",", ""], r"^manifest\.csv lists no image"),
            (["path,pid,pid", "a.jpg,1,1"], r"several columns of the same name: pid\. Rename or remove"),
        ],
    )
    def test_a_table_without_content(self, folder, lines, says):
        assert re.search(says, folder.refused(*lines))

    def test_not_utf8(self, folder):
        folder.images("a.jpg").write("manifest.csv", "path,pid", "a.jpg,Käthe", encoding="latin-1")
        with pytest.raises(UserError, match=r"manifest\.csv is no UTF-8 text .*Save it as UTF-8"):
            folder.read()


class TestColumns:
    @pytest.mark.parametrize(
        ("header", "says"),
        [
            ("path,identity", r"^Column 'pid' is missing in manifest\.csv; its columns are path, identity\."),
            (
                "path,identity",
                r" 'identity' looks like pid: rename them, or give ingestion\.columns: \{pid: identity\}",
            ),
            ("path,PID", r" 'PID' looks like pid: rename them, or give .* as --params ingestion\.columns\.pid=PID\.$"),
            ("path,weight", r"its columns are path, weight\. Rename those that are meant, or name them: ingestion\.c"),
            ("filename,pid", r"^Column 'path' is missing in manifest\.csv.* 'filename' looks like path"),
        ],
    )
    def test_missing(self, folder, header, says):
        assert re.search(says, folder.refused(header, "a.jpg,1"))

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("camera", "camid"),
            ("cam_id", "camid"),
            ("cam", "camid"),
            ("CamID", "camid"),
            ("camdi", "camid"),
            ("view_id", "viewid"),
            ("orientation", "viewid"),
            ("tracklet", "trackid"),
            ("splits", "split"),
            ("subset", "split"),
        ],
    )
    def test_a_near_miss_is_no_extra_column(self, folder, name, meant):
        said = folder.refused(f"path,pid,{name}", "a.jpg,1,0")
        assert f"manifest.csv has a column {name!r}, which is not read. Did you mean {meant!r}?" in said
        assert "or remove it" in said

    def test_others_are_noted_and_not_read(self, folder):
        reading = folder.manifest(
            ",path,pid,camid,camera,date,image_id,name", "0,a.jpg,1,0,north,2020,5,Rex", "1,b.jpg,2,1,,,,"
        )
        note = "Columns not used: (without a name), camera, date, image_id, name."
        assert note in reading.notes, "camera is no near miss where camid is there"


class TestIdentities:
    def test_numbers_sort_as_numbers_and_names_as_names(self, folder):
        numbers = folder.manifest("path,pid", "a.jpg,10", "b.jpg,9", "c.jpg,0", "d.jpg,9")
        assert column(numbers, "pid") == {"a.jpg": 3, "b.jpg": 2, "c.jpg": 1, "d.jpg": 2}
        assert column(numbers, "identity")["c.jpg"] == "0", "an individual like any other"
        names = folder.manifest("path,pid", "a.jpg,10", "b.jpg,9", "c.jpg,zoë")
        assert column(names, "pid") == {"a.jpg": 1, "b.jpg": 2, "c.jpg": 3}

    def test_junk(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,-1", "b.jpg,3", "c.jpg,-1")
        assert column(reading, "pid") == {"a.jpg": -1, "b.jpg": 1, "c.jpg": -1}
        assert "2 images have pid -1: junk, and left out." in reading.notes

    def test_empty_in_training_and_gallery(self, folder):
        reading = folder.manifest(
            "path,pid,split", "a.jpg,,train", "b.jpg,x,train", "c.jpg,x,query", "d.jpg, ,gallery", "e.jpg,x,gallery"
        )
        assert column(reading, "pid") == {"a.jpg": -2, "b.jpg": 1, "c.jpg": 1, "d.jpg": 0, "e.jpg": 1}
        assert column(reading, "identity")["d.jpg"] == ""
        assert "1 images have no individual: unlabelled." in reading.notes
        assert "1 images of the gallery have no individual: distractors, which match nobody." in reading.notes

    def test_empty_where_unassigned(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,", "b.jpg,x")
        assert column(reading, "pid") == {"a.jpg": -2, "b.jpg": 1}
        assert set(column(reading, "subset").values()) == {"unassigned"}

    def test_empty_throughout(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,", "b.jpg,")
        assert set(column(reading, "pid").values()) == {-2}
        assert set(column(reading, "subset").values()) == {"train"}
        assert has_note(reading, "Nobody is named: all images are unlabelled training images")

    def test_empty_in_test_is_noted(self, folder):
        reading = folder.manifest("path,pid,split", "a.jpg,x,train", "b.jpg,,test", "c.jpg,y,test")
        assert column(reading, "pid")["b.jpg"] == -2
        assert has_note(reading, r"^1 of these are not among the given training images; .*trained on only")

    def test_empty_in_query(self, folder):
        said = folder.refused("path,pid,split", "a.jpg,,query", "b.jpg,x,gallery", "c.jpg,x,query")
        assert said.startswith("Column pid names nobody in 1 query rows of manifest.csv: line 2. A query needs")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("7", "007"),
            ("7", "7.0"),
            ("Rex", "rex"),
            ("rex", "rex "),
            ("0", "000"),
            (unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")),
        ],
    )
    def test_two_forms(self, folder, one, other):
        said = folder.refused("path,pid", f"a.jpg,{one}", "b.jpg,x", f"c.jpg,{other}", f"d.jpg,{one}")
        assert said.startswith(
            f"Column pid of manifest.csv writes 1 names in two forms: {one!r} (line 2) and {other!r} (line 4)."
        )
        assert "Write each in one form" in said

    def test_two_forms_are_bounded(self, folder):
        rows = [f"{place}.jpg,{place // 2 + 1:0{1 + place % 2}d}" for place in range(16)]
        folder.images(*(row.split(",")[0] for row in rows))
        said = folder.refused("path,pid", *rows)
        assert "writes 8 names in two forms: '1' (line 2) and '01' (line 3), " in said
        assert "'5' (line 10) and '05' (line 11) and 3 more." in said
        assert "'6'" not in said

    def test_other_negative_numbers(self, folder):
        said = folder.refused("path,pid", "a.jpg,-2", "b.jpg,-1", "c.jpg,4")
        assert said.startswith("1 cells of column pid in manifest.csv are negative numbers: '-2' (line 2).")
        assert "-1 means junk" in said

    def test_a_word_for_nobody_is_pointed_out(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,unknown", "b.jpg,unknown", "c.jpg,Rex")
        assert column(reading, "pid") == {"a.jpg": 2, "b.jpg": 2, "c.jpg": 1}
        assert has_note(reading, r"^pid 'unknown' is read as the name of one individual \(2 images\); leave")


class TestCamerasViewsAndTracks:
    def test_names_are_numbered_in_sorted_order(self, folder):
        reading = folder.manifest("path,pid,camid", "a.jpg,x,north", "b.jpg,y,east", "c.jpg,y,north")
        assert column(reading, "camid") == {"a.jpg": 1, "b.jpg": 0, "c.jpg": 1}
        assert column(reading, "camera") == {"a.jpg": "north", "b.jpg": "east", "c.jpg": "north"}
        assert "camid: names were numbered in sorted order, east = 0, north = 1." in reading.notes

    def test_numbers_stay_and_may_be_written_with_a_point(self, folder):
        reading = folder.manifest("path,pid,camid", "a.jpg,x,12", "b.jpg,y,9999", "c.jpg,y,3.0")
        assert column(reading, "camid") == {"a.jpg": 12, "b.jpg": 9999, "c.jpg": 3}
        assert column(reading, "camera") == {"a.jpg": "12", "b.jpg": "9999", "c.jpg": "3.0"}

    def test_cameras_are_called_as_they_are_written(self, folder):
        reading = folder.manifest("path,pid,camid", "a.jpg,x, Am Tor ", "b.jpg,y,<7>", 'c.jpg,y,"1, 2"')
        assert column(reading, "camera") == {"a.jpg": "Am Tor", "b.jpg": "<7>", "c.jpg": "1, 2"}
        numbers = folder.manifest("path,pid,camid", "a.jpg,x,007", "b.jpg,y,12 ", "c.jpg,y,007")
        assert column(numbers, "camid") == {"a.jpg": 7, "b.jpg": 12, "c.jpg": 7}
        assert column(numbers, "camera") == {"a.jpg": "007", "b.jpg": "12", "c.jpg": "007"}

    @pytest.mark.parametrize("cells", [("", ""), (" ", "")])
    def test_an_empty_column_means_no_cameras(self, folder, cells):
        reading = folder.manifest("path,pid,camid", f"a.jpg,x,{cells[0]}", f"b.jpg,y,{cells[1]}")
        assert column(reading, "camid") == {"a.jpg": None, "b.jpg": None}
        assert column(reading, "camera") == {"a.jpg": "", "b.jpg": ""}

    def test_a_camera_here_and_none_there(self, folder):
        said = folder.refused("path,pid,camid", "a.jpg,x,0", "b.jpg,y,", "c.jpg,y,")
        assert said.startswith("Column camid of manifest.csv is empty in 2 of 3 rows: line 3, line 4. Images")
        assert "fill every cell, or none" in said

    @pytest.mark.parametrize(
        ("name", "cell", "largest"),
        [
            ("camid", "-1", 9999),
            ("camid", "-0", 9999),
            ("camid", "1.5", 9999),
            ("camid", "10000", 9999),
            ("viewid", "-1", 9999),
            ("trackid", "1000000000", 999_999_999),
        ],
    )
    def test_out_of_range(self, folder, name, cell, largest):
        said = folder.refused(f"path,pid,{name}", "a.jpg,x,0", f"b.jpg,y,{cell}", "c.jpg,y,1")
        assert said == (
            f"{name} out of range in 1 rows of manifest.csv: {cell!r} (line 3). Allowed are whole numbers"
            f" from 0 to {largest}, or names throughout."
        )

    @pytest.mark.parametrize("name", ["camid", "viewid", "trackid"])
    def test_numbers_and_names(self, folder, name):
        said = folder.refused(f"path,pid,{name}", "a.jpg,x,0", "b.jpg,y,north", "c.jpg,y,1")
        assert said.startswith(
            f"Column {name} of manifest.csv mixes numbers and names: 'north' (line 3) beside '0' (line 2),"
            " '1' (line 4)."
        )

    @pytest.mark.parametrize(
        ("one", "other"), [("North", "north"), ("7", "07"), ("7", "7.0"), ("7", "+7"), ("7", "7 ")]
    )
    def test_a_camera_in_two_forms(self, folder, one, other):
        said = folder.refused("path,pid,camid", f"a.jpg,x,{one}", f"b.jpg,y,{other}")
        assert f"Column camid of manifest.csv writes 1 names in two forms: {one!r} (line 2) and" in said

    @pytest.mark.slow
    def test_too_many_names(self, folder):
        names = [f"{number:05d}x" for number in range(10_001)]
        folder.images(*(f"many/{name}.png" for name in names))
        said = folder.refused("path,pid,camid", *(f"many/{name}.png,y,{name}" for name in names))
        assert "camid out of range: manifest.csv has 10001 different names in it, and 10000 are allowed" in said

    def test_views_may_be_missing_and_named(self, folder):
        reading = folder.manifest("path,pid,viewid", "a.jpg,x,left", "b.jpg,y,", "c.jpg,y,front")
        assert column(reading, "viewid") == {"a.jpg": 1, "b.jpg": None, "c.jpg": 0}
        assert "viewid: names were numbered in sorted order, front = 0, left = 1." in reading.notes


class TestSplits:
    def subsets(self, folder, *words):
        lines = [f"{letter}.jpg,{letter},{word}" for letter, word in zip("abcdefgh", words, strict=False)]
        return folder.manifest("path,pid,split", *lines)

    def refused(self, folder, *words):
        with pytest.raises(UserError) as caught:
            self.subsets(folder, *words)
        return str(caught.value)

    @pytest.mark.parametrize(
        ("words", "subsets"),
        [
            (("train", "query", "gallery"), ["train", "query", "gallery"]),
            (("query", "gallery"), ["query", "gallery"]),
            (("", " ", ""), ["unassigned"] * 3),
            (("train", "test", ""), ["train", "unassigned", "unassigned"]),
            (("train", "", ""), ["train", "unassigned", "unassigned"]),
            (("train", "train"), ["train", "train"]),
        ],
    )
    def test_what_can_be_said(self, folder, words, subsets):
        assert list(column(self.subsets(folder, *words), "subset").values()) == subsets

    def test_what_is_drawn_is_noted(self, folder):
        reading = self.subsets(folder, "train", "test", "test", "")
        assert has_note(reading, r"drawn from 2 test images and 1 that say nothing\.$")
        assert "All images are training images: there is no test." in self.subsets(folder, "train").notes

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("train", "query"), r"^manifest\.csv: query is given but gallery is empty\. Give both"),
            (("train", "gallery"), r"^manifest\.csv: gallery is given but query is empty\. Give both"),
            (
                ("train", "query", "gallery", "", "test"),
                r"2 rows are neither, nor train: '' \(line 5\), 'test' \(line 6\)",
            ),
            (("test", "test"), r"^manifest\.csv: split says test, and nothing says train\. Say train"),
            (("test", ""), r"split says test, and nothing says train"),
            (("Trian", "test"), r"1 unknown words: 'Trian' \(line 2\)\. Did you mean 'train'\?"),
            (("train", "galery"), r"'galery' \(line 3\)\. Did you mean 'gallery'\? Allowed are train, query,"),
            (("train", "0"), r"'0' \(line 3\)\. Allowed are train, query, gallery, test, or nothing; and val, valid,"),
        ],
    )
    def test_what_cannot(self, folder, words, says):
        assert re.search(says, self.refused(folder, *words))


class TestPaths:
    @pytest.mark.parametrize("path", ["/data/a.jpg", "C:\\data\\a.jpg", "https://x.org/a.jpg", "\\\\nas\\a.jpg"])
    def test_absolute(self, folder, path):
        said = folder.refused("path,pid", "b.jpg,1", f"{path},2")
        assert "1 paths in manifest.csv are absolute or lead outside the folder" in said
        assert f"{path!r} (line 3)" in said
        assert f"Write them relative to {folder.root}" in said

    @pytest.mark.parametrize("path", ["../a.jpg", "x/../../a.jpg", "..\\a.jpg", "./../a.jpg"])
    def test_outside(self, folder, path):
        folder.images("../a.jpg")
        said = folder.refused("path,pid", "b.jpg,1", f"{path},2")
        assert f"lead outside the folder: {path!r} (line 3)." in said

    def test_braces_in_a_folder_name_do_no_harm(self, tmp_path):
        folder = Folder(tmp_path / "{0}{name}")
        assert "{0}{name}" in folder.refused("path,pid", "../a.jpg,2")

    def test_missing_on_disk(self, folder):
        lines = [f"gone_{number}.jpg,x" for number in range(7)]
        said = folder.refused("path,pid", "a.jpg,y", *lines)
        assert said.startswith(f"7 of 8 paths in manifest.csv are not below {folder.root}: 'gone_0.jpg' (line 3)")
        assert "'gone_4.jpg' (line 7) and 2 more." in said
        assert said.count("gone_") == 5

    @pytest.mark.parametrize(
        ("path", "meant"),
        [("a.jpg", "deep/a.jpg"), ("deep/A.JPG", "deep/a.jpg"), ("deep/picture_11.jpg", "deep/picture_1.jpg")],
    )
    def test_missing_with_a_hint(self, folder, path, meant):
        folder.images("deep/a.jpg", "deep/picture_1.jpg", "z.jpg").write("manifest.csv", "path,pid", f"{path},1")
        with pytest.raises(UserError, match=re.escape(f" Did you mean {meant!r}? Paths are relative to that")):
            folder.read()

    def test_paths_are_below_the_root_wherever_the_table_lies(self, folder):
        folder.images("a.jpg").write("lists/all.csv", "path,pid", "a.jpg,1")
        assert column(folder.read(table="lists/all.csv"), "pid") == {"a.jpg": 1}

    def test_twice(self, folder):
        said = folder.refused("path,pid", "a.jpg,1", "b.jpg,1", "a.jpg,2", "./b.jpg,1")
        assert said.startswith("2 files are named more than once in manifest.csv: 'a.jpg' (line 2, line 4),")
        assert "'b.jpg' (line 3, line 5). One row per image" in said

    def test_empty(self, folder):
        said = folder.refused("path,pid", "a.jpg,1", ",2", " ,3")
        assert said.startswith("Column path of manifest.csv is empty in 2 rows: line 3, line 4.")

    def test_no_image(self, folder):
        folder.write("notes.txt", "hello")
        said = folder.refused("path,pid", "a.jpg,1", "notes.txt,1")
        assert said.startswith("1 paths in manifest.csv do not name an image: 'notes.txt' (line 3). Images end in")

    def test_backslashes_are_noted(self, folder):
        folder.images("deep/er/a.jpg", "deep/b.jpg", "odd\\name.jpg")
        folder.write("manifest.csv", "path,pid", "deep\\er\\a.jpg,1", ".\\deep\\b.jpg,2", "odd\\name.jpg,3")
        reading = folder.read()
        assert column(reading, "pid") == {"deep/b.jpg": 2, "deep/er/a.jpg": 1, "odd\\name.jpg": 3}
        assert "2 paths are written with \\ and were read with /." in reading.notes

    def test_superfluous_signs(self, folder):
        folder.images("x/a.jpg", "x/b.jpg")
        folder.write("manifest.csv", "path,pid", "./x/a.jpg,1", "x//./b.jpg,2")
        assert column(folder.read(), "pid") == {"x/a.jpg": 1, "x/b.jpg": 2}

    @pytest.mark.parametrize("path", ["two words/a b.jpg", "Füchse/Zoë 1.JPG", "狐/一.png", "a'b&c.jpeg"])
    def test_spaces_and_letters(self, folder, path):
        folder.images(path).write("manifest.csv", "path,pid", f"{path},Zoë")
        reading = folder.read()
        assert column(reading, "identity") == {path: "Zoë"}
        assert len(reading.notes) == 1

    @pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD")])
    def test_the_other_unicode_form(self, folder, on_disk, in_table):
        path = unicodedata.normalize(on_disk, "Füchse/Zoë.jpg")
        folder.images(path, "b.jpg")
        listed = unicodedata.normalize(in_table, path)
        reading = folder.write("manifest.csv", "path,pid", f"{listed},1", "b.jpg,2").read()
        assert set(column(reading, "pid")) == {path, "b.jpg"}, "the path is the file's own"
        assert has_note(reading, r"^1 paths were found by their letters and not by their bytes")

    def test_both_unicode_forms_on_disk(self, folder):
        one, other = (unicodedata.normalize(form, "Zoë.jpg") for form in ("NFC", "NFD"))
        reading = folder.images(one, other).write("manifest.csv", "path,pid", f"{one},1", f"{other},2").read()
        assert column(reading, "pid") == {one: 1, other: 2}


class TestWhichTable:
    def test_a_table_by_name(self, folder):
        reading = folder.manifest("path,pid", "a.jpg,1", name="labels.tsv", table="labels.tsv")
        assert reading.notes[0] == "Read as a manifest: labels.tsv, 1 images."

    def test_its_columns_tell_the_form(self, folder):
        reading = folder.manifest("path,identity", "a.jpg,1", name="labels.csv", table="labels.csv")
        assert reading.notes[0] == "Read as a metadata table of wildlife-datasets: labels.csv, 1 images."

    def test_a_table_that_is_not_there(self, folder):
        said = folder.refused("path,pid", "a.jpg,1", name="labels.csv", table="label.csv")
        assert said == f"There is no file label.csv in {folder.root}. Did you mean 'labels.csv'?"

    def test_a_table_of_another_kind(self, folder):
        said = folder.refused("x", name="labels.xlsx", table="labels.xlsx")
        assert said == (
            "labels.xlsx cannot be read as a table: its name ends in '.xlsx'. Save it as CSV in UTF-8; in Excel that is"
            " 'CSV UTF-8'."
        )

    def test_a_manifest_goes_before_metadata(self, folder):
        folder.write("metadata.csv", "path,identity", "a.jpg,other")
        reading = folder.manifest("path,pid", "a.jpg,1")
        assert column(reading, "identity") == {"a.jpg": "1"}
        assert "Not read, since manifest.csv is: metadata.csv." in reading.notes
        assert column(folder.read(variant="metadata"), "identity") == {"a.jpg": "other"}

    def test_two_manifests(self, folder):
        folder.write("manifest.parquet", "x")
        said = folder.refused("path,pid", "a.jpg,1")
        assert "holds manifest.csv and manifest.parquet, and they may differ. Remove one, or give" in said

    @pytest.mark.parametrize("name", ["Manifest.csv", "manifst.csv", "manifest.tsv", "metadata.CSV"])
    def test_a_name_that_is_nearly_right(self, folder, name):
        said = folder.refused("path,pid", "a.jpg,1", name=name)
        assert f"holds {name}, which is not read by that name. Did you mean '" in said
        assert f"give ingestion.table={name}; ingestion.variant=folders leaves it aside" in said

    @pytest.mark.parametrize("variant", ["manifest", "metadata"])
    def test_a_form_that_is_asked_for_and_not_there(self, folder, variant):
        folder.images("a.jpg")
        says = rf"variant: '{variant}' needs {variant}\.csv or {variant}\.parquet in .*, or ingestion\.table="
        with pytest.raises(UserError, match=says):
            folder.read(variant=variant)

    def test_an_unknown_form(self, folder):
        folder.images("a.jpg")
        says = r"variant: 'unlabeled' is no form.* Did you mean 'unlabelled'\? Allowed are manifest, metadata,"
        with pytest.raises(UserError, match=says):
            folder.read(variant="unlabeled")

    def test_a_table_and_folders_at_once(self, folder):
        said = folder.refused("path,pid", "a.jpg,1", table="manifest.csv", variant="unlabelled")
        assert "'manifest.csv' is not read where ingestion.variant is unlabelled. Leave one" in said


class TestMetadata:
    def metadata(self, folder, *lines):
        return folder.manifest(*lines, name="metadata.csv")

    def test_as_wildlife_datasets_writes_it(self, folder):
        reading = self.metadata(
            folder,
            ",image_id,identity,path,camera,orientation,original_split,date,bbox",
            '0,17,lynx-2,a.jpg,trap B,left,train,2020-01-01,"[0, 0, 5, 5]"',
            "1,18,unknown,b.jpg,trap A,right,train,,",
            "2,19,lynx-1,c.jpg,trap B,,val,,",
            "3,20,lynx-1,d.jpg,trap A,left,test,,",
            "4,21,,e.jpg,trap A,left,test,,",
        )
        assert column(reading, "identity") == {
            "a.jpg": "lynx-2",
            "b.jpg": "",
            "c.jpg": "lynx-1",
            "d.jpg": "lynx-1",
            "e.jpg": "",
        }
        assert list(column(reading, "pid").values()) == [2, -2, 1, 1, -2]
        assert list(column(reading, "camid").values()) == [1, 0, 1, 0, 0]
        assert list(column(reading, "camera").values()) == ["trap B", "trap A", "trap B", "trap A", "trap A"]
        assert list(column(reading, "viewid").values()) == [0, 1, None, 0, 0]
        assert list(column(reading, "subset").values()) == ["train"] * 3 + ["unassigned"] * 2
        for note in (
            "Read as a metadata table of wildlife-datasets: metadata.csv, 5 images.",
            "Columns not used: (without a name), image_id, date, bbox.",
            "Images are taken whole; bbox is not read.",
            "1 images have identity 'unknown': nobody is known there.",
            "1 images of val were joined to train.",
            "camera: names were numbered in sorted order, trap A = 0, trap B = 1.",
            "orientation: names were numbered in sorted order, left = 0, right = 1.",
            "2 images have no individual: unlabelled.",
        ):
            assert note in reading.notes

    def test_parquet(self, folder):
        folder.images("a.jpg", "b.jpg", "c.jpg")
        pd.DataFrame(
            {
                "path": ["a.jpg", "b.jpg", "c.jpg"],
                "identity": pd.Categorical(["x", None, "y"]),
                "original_split": ["train", "train", None],
                "bbox": [[0.0, 1.0], None, [2.0]],
            }
        ).to_parquet(folder.root / "metadata.parquet")
        reading = folder.read()
        assert column(reading, "pid") == {"a.jpg": 1, "b.jpg": -2, "c.jpg": 2}
        assert column(reading, "subset") == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "unassigned"}

    def test_the_split_may_be_called_split(self, folder):
        reading = self.metadata(folder, "path,identity,split", "a.jpg,x,train", "b.jpg,x,test")
        assert column(reading, "subset") == {"a.jpg": "train", "b.jpg": "unassigned"}
        both = self.metadata(folder, "path,identity,split,original_split", "a.jpg,x,test,train", "b.jpg,x,train,")
        assert column(both, "subset") == {"a.jpg": "train", "b.jpg": "unassigned"}
        assert "Columns not used: split." in both.notes

    def test_query_and_gallery(self, folder):
        lines = ["a.jpg,x,train", "b.jpg,x,query", "c.jpg,x,gallery", "d.jpg,unknown,gallery"]
        reading = self.metadata(folder, "path,identity,original_split", *lines)
        assert column(reading, "subset")["c.jpg"] == "gallery"
        assert column(reading, "pid")["d.jpg"] == 0

    @pytest.mark.parametrize(
        ("lines", "says"),
        [
            (["path,name", "a.jpg,x"], r"^Column 'identity' is missing in metadata\.csv.*'name' looks like pid"),
            (["path,identity,cam", "a.jpg,x,0"], r"has a column 'cam', which is not read\. Did you mean 'camera'"),
            (["path,identity,viewpoint", "a.jpg,x,0"], r"Did you mean 'orientation'\?"),
            (
                ["path,identity,original_split", "a.jpg,x,trian"],
                r"^Column original_split .*'trian' \(line 2\)\. Did you mean 'train'\? Allowed are train",
            ),
            (
                ["path,identity,camera", "a.jpg,x,0", "b.jpg,x,"],
                r"^Column camera of metadata\.csv is empty in 1 of 2 rows: line 3",
            ),
            (["path,identity,camera", "a.jpg,x,-1"], r"^camera out of range in 1 rows of metadata\.csv"),
            (["path,identity", "a.jpg,Rex", "b.jpg,rex"], r"^Column identity of metadata\.csv writes 1 names"),
            (
                ["path,identity,original_split", "a.jpg,unknown,query", "b.jpg,x,gallery"],
                r"^Column identity names nobody in 1 query rows of metadata\.csv: line 2",
            ),
            (
                ["path,identity,bbox", "a.jpg,x,1", "a.jpg,y,2"],
                r"named more than once.*'a\.jpg' \(line 2, line 3\).*Cut the individuals of one picture out",
            ),
        ],
    )
    def test_what_is_wrong_is_named_in_its_own_words(self, folder, lines, says):
        with pytest.raises(UserError, match=says):
            self.metadata(folder, *lines)
