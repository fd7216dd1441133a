"""One's own images as people really hand them over: other words, columns, encodings, and files that are damaged."""

import os
import re

import pandas as pd
import pytest
from own_folder import column, has_note

from reid_pipeline.schema.errors import UserError

HEADS = {"manifest.csv": "path,pid,split", "metadata.csv": "path,identity,split"}
FOREIGN = ("filename;individual;site;date", "a.jpg;x;north;2020", "b.jpg;y;south;2021")
MAPPED = {"path": "filename", "pid": "individual", "camid": "site"}


def raw_table(folder, content, name="manifest.csv", **ingestion):
    """Read a table of these bytes, whose images are a.jpg to h.jpg."""
    folder.images(*(f"{letter}.jpg" for letter in "abcdefgh"))
    (folder.root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder.read(**ingestion)


def refusal(folder, content, name="manifest.csv", **ingestion):
    with pytest.raises(UserError) as caught:
        raw_table(folder, content, name, **ingestion)
    return str(caught.value)


def refused_folders(folder, *paths, **ingestion):
    with pytest.raises(UserError) as caught:
        folder.images(*paths).read(**ingestion)
    return str(caught.value)


class TestSplitWords:
    """One table of words for manifests, metadata tables and folders."""

    @pytest.mark.parametrize("word", ["val", "valid", "validation", "dev", "Val", "VALIDATION"])
    @pytest.mark.parametrize("form", [*HEADS, "folders"])
    def test_validation_joins_train(self, folder, form, word):
        if form == "folders":
            paths = ["train/x/a.jpg", f"{word}/x/b.jpg", "test/y/c.jpg"]
            reading = folder.images(*paths).read()
        else:
            reading = folder.manifest(HEADS[form], "a.jpg,x,train", f"b.jpg,x,{word}", "c.jpg,y,test", name=form)
        found = {path.rsplit("/", 1)[-1]: subset for path, subset in column(reading, "subset").items()}
        assert found == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "unassigned"}
        assert f"1 images of {word} were joined to train." in reading.notes

    @pytest.mark.parametrize("form", [*HEADS, "folders"])
    def test_other_words_for_the_same(self, folder, form):
        words = {"a.jpg": "Training", "b.jpg": "probe", "c.jpg": "bounding_box_test"}
        if form == "folders":
            reading = folder.images(*(f"{word}/x/{name}" for name, word in words.items())).read()
        else:
            lines = [f"{name},x,{word}" for name, word in words.items()]
            reading = folder.manifest(HEADS[form], *lines, name=form)
        assert sorted(column(reading, "subset").values()) == ["gallery", "query", "train"]
        for note in ("Training are read as train", "probe are read as query", "bounding_box_test are read as gallery"):
            assert f"1 images of {note}." in reading.notes

    @pytest.mark.parametrize("form", HEADS)
    def test_unknown_words_are_answered_alike(self, folder, form):
        says = r"'vall' \(line 2\)\. Did you mean 'val'\? Allowed are train, .* and val, .*, which join"
        assert re.search(says, folder.refused(HEADS[form], "a.jpg,x,vall", name=form))

    def test_validation_alone_is_what_is_trained_on(self, folder):
        reading = folder.images("val/x/a.jpg", "test/y/b.jpg").read()
        assert list(column(reading, "subset").values()) == ["unassigned", "train"]

    def test_individuals_may_have_such_names(self, folder):
        reading = folder.images("Dev/a.jpg", "Rex/a.jpg", "val/a.jpg").read()
        assert sorted(column(reading, "identity").values()) == ["Dev", "Rex", "val"]

    @pytest.mark.parametrize("paths", [("Train/a.jpg", "Test/b.jpg"), ("training/a.jpg", "val/b.jpg")])
    def test_splits_without_individuals_are_no_individuals(self, folder, paths):
        assert "not deep enough for folders <split>/<identity>/<image>" in refused_folders(folder, *paths)

    def test_an_empty_one_is_a_split_without_images(self, folder):
        (folder.root / "Validation").mkdir(parents=True)
        says = r"^Folder Validation of .* holds no image\. Put images there, or remove it\.$"
        assert re.search(says, refused_folders(folder, "train/x/a.jpg", "test/y/b.jpg"))


class TestColumns:
    @pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
    def test_likely_pairs_and_the_parameter_that_maps_them(self, folder, separator):
        said = folder.refused(*(line.replace(";", separator) for line in FOREIGN))
        assert said == (
            "Columns 'path' and 'pid' are missing in manifest.csv; its columns are filename, individual, site, date."
            " 'filename' looks like path, 'individual' like pid, 'site' like camid: rename them, or give"
            " ingestion.columns: {path: filename, pid: individual, camid: site}, as --params"
            " ingestion.columns.path=filename,ingestion.columns.pid=individual,ingestion.columns.camid=site."
        )

    @pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
    def test_what_it_proposes_reads_the_table(self, folder, separator):
        lines = (line.replace(";", separator) for line in FOREIGN)
        reading = folder.manifest(*lines, columns=MAPPED)
        assert column(reading, "identity") == {"a.jpg": "x", "b.jpg": "y"}
        assert column(reading, "camera") == {"a.jpg": "north", "b.jpg": "south"}
        assert "Columns as ingestion.columns says: {path: filename, pid: individual, camid: site}." in reading.notes
        assert "Columns not used: date." in reading.notes
        assert has_note(reading, "^site: names were numbered"), "messages say the table's own words"

    def test_every_form_that_has_columns(self, folder):
        folder.images("a.jpg", "b.jpg")
        pd.DataFrame({"f": ["a.jpg", "b.jpg"], "who": [7, 8]}).to_parquet(folder.root / "manifest.parquet")
        assert column(folder.read(columns={"path": "f", "pid": "who"}), "identity") == {"a.jpg": "7", "b.jpg": "8"}
        folder.write("list.tsv", "f\twho\tset", "a.jpg\tunknown\tval", "b.jpg\tx\ttrain")
        given = {"path": "f", "pid": "who", "split": "set"}
        reading = folder.read(columns=given, table="list.tsv", variant="metadata")
        assert column(reading, "pid") == {"a.jpg": -2, "b.jpg": 1}
        assert set(column(reading, "subset").values()) == {"train"}

    def test_a_column_in_another_language_is_known_by_what_it_holds(self, folder):
        said = folder.refused("Dateiname;Tier", "a.jpg;x")
        assert "'Dateiname' looks like path: rename them, or give ingestion.columns: {path: Dateiname}" in said

    def test_names_that_a_shell_or_kedro_would_read_otherwise(self, folder):
        said = folder.refused("Image file;pid", "a.jpg;x")
        assert said.endswith("""{path: "Image file"}, as --params 'ingestion.columns.path=Image file'.""")
        said = folder.refused("file, whole;pid", "a.jpg;x")
        assert said.endswith("""{path: "file, whole"}, in conf/custom/parameters.yml.""")

    def test_nothing_is_likely(self, folder):
        assert "or name them: ingestion.columns: {path: <column>, pid: <column>}." in folder.refused("u,v", "1,2")

    def test_two_may_change_places(self, folder):
        reading = folder.manifest("path,pid", "x,a.jpg", columns={"path": "pid", "pid": "path"})
        assert column(reading, "identity") == {"a.jpg": "x"}

    def test_null_says_that_there_is_none(self, folder):
        lines = ("path,pid,camera", "a.jpg,x,Canon", "b.jpg,y,Nikon")
        said = folder.refused(*lines)
        assert "give ingestion.columns: {camid: camera}; if it means something else, give {camid: null}" in said
        reading = folder.manifest(*lines, columns={"camid": None})
        assert column(reading, "camid") == {"a.jpg": None, "b.jpg": None}
        assert "Columns not used: camera." in reading.notes

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            (
                {"path": "filenam"},
                r"^Parameter ingestion\.columns\.path: manifest\.csv has no column 'filenam'\. Did you",
            ),
            ({"pid": "nobody"}, r"has no column 'nobody'\. Its columns are filename, individual, site, date\.$"),
            (
                {"path": "filename", "pid": "individual", "split": "date", "trackid": "Date"},
                r"columns\.trackid: manifest\.csv has no column 'Date'\. Did you mean 'date'\?",
            ),
        ],
    )
    def test_a_mapped_column_that_is_absent(self, folder, columns, says):
        assert re.search(says, folder.refused(*FOREIGN, columns=columns))

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            (
                {"pid": "path"},
                r"column 'path' of manifest\.csv would be read as path and as pid\. Give .*columns\.path a",
            ),
            ({"camid": "trackid"}, r"as camid and as trackid\. Give .*\.trackid a column of its own, or null where"),
        ],
    )
    def test_one_column_for_two(self, folder, columns, says):
        assert re.search(says, folder.refused("path,pid,trackid", "a.jpg,x,3", columns=columns))

    def test_where_there_is_no_table(self, folder):
        said = refused_folders(folder, "x/a.jpg", "y/a.jpg", columns=MAPPED)
        assert "holds none of manifest.csv, manifest.parquet, metadata.csv, metadata.parquet. Name the table" in said
        said = refused_folders(folder, columns=MAPPED, variant="folders")
        assert "is not read where ingestion.variant is folders. Leave one" in said


class TestQuotationMarks:
    @pytest.mark.parametrize(
        ("lines", "line"),
        [
            (["path,pid", "a.jpg,x", 'b.jpg,"y', "c.jpg,z", "d.jpg,z"], 3),
            (["path,pid", 'a.jpg,"x', "b.jpg,y", 'c.jpg,"z"', "d.jpg,z"], 2),
            (["path,pid,note", 'a.jpg,x,"n', "b.jpg,y,n", 'c.jpg,z,n"', "d.jpg,z,n"], 2),
            (['path,"pid', "a.jpg,x"], 1),
            (["path,pid", "", 'a.jpg,x"y', 'b.jpg,"y"z'], 4),
            (["path;pid;note", 'a.jpg;x;"two', 'lines"', 'b.jpg;y;"n', "c.jpg;y;n"], 4),
            (["path,pid", '"a.jpg,x', '"b.jpg,y'], 2),
        ],
    )
    def test_the_line_where_it_opens(self, folder, lines, line):
        said = folder.refused(*lines)
        assert said.startswith(f"manifest.csv: the quotation mark that opens in line {line} is not closed as it should")
        assert 'Close the cell by another (")' in said

    def test_within_a_cell_it_is_a_sign_like_others(self, folder):
        reading = folder.manifest("path,pid,note", 'a.jpg,5" lens,n', 'b.jpg,"the ""big"" one","one', 'two, and b"')
        assert column(reading, "identity") == {"a.jpg": '5" lens', "b.jpg": 'the "big" one'}

    def test_lines_are_counted_beyond_a_cell_of_several(self, folder):
        said = folder.refused("path,pid,note", 'a.jpg,x,"one', 'two"', "b.jpg,-7,n")
        assert "'-7' (line 4)" in said

    def test_long_cells(self, folder):
        outline = " ".join(str(number) for number in range(60_000))
        assert column(folder.manifest("path,pid,outline", f"a.jpg,x,{outline}"), "identity") == {"a.jpg": "x"}


class TestCells:
    def test_too_many(self, folder):
        said = folder.refused("path,pid", "a.jpg,1,0", "b.jpg,2", "c.jpg,2,0,1")
        says = "manifest.csv: 2 rows have more cells than its header, which has 2: line 2, line 4. Cells are"
        assert said.startswith(says)

    def test_too_few_are_noted(self, folder):
        reading = folder.manifest("path,pid,camid", "a.jpg,x", "b.jpg,y,", "c.jpg")
        assert has_note(reading, r"^2 rows of manifest\.csv have fewer cells than its header: line 2, line 4\. .*empty")
        assert column(reading, "identity") == {"a.jpg": "x", "b.jpg": "y", "c.jpg": ""}

    @pytest.mark.parametrize("header", ["path,pid", "path,pid,", "path,pid,,"])
    @pytest.mark.parametrize("end", [",", ",,"])
    def test_separators_at_the_end_of_a_line_make_no_column(self, folder, header, end):
        if len(header + end) < len("path,pid,,"):
            end = ","
        reading = folder.manifest(header, f"a.jpg,x{end}", f"b.jpg,y{end}")
        assert column(reading, "identity") == {"a.jpg": "x", "b.jpg": "y"}
        assert not has_note(reading, "without a name")

    def test_names_are_text(self, folder):
        given = ["007", "1e5", "NA", "null", '""', "inf", "1.5", "9" * 30]
        lines = [f"{letter}.jpg,{name}" for letter, name in zip("abcdefgh", given, strict=True)]
        reading = folder.manifest("path,pid", *lines)
        assert list(column(reading, "identity").values()) == [name.strip('"') for name in given]
        assert column(reading, "pid")["e.jpg"] == -2
        for name in ("NA", "null", "inf"):
            assert has_note(reading, rf"^pid '{name}' is read as the name of one individual")

    def test_decimal_commas_and_dates_are_text(self, folder):
        reading = folder.manifest("path;pid", "a.jpg;1,0", "b.jpg;2020-01-02")
        assert column(reading, "identity") == {"a.jpg": "1,0", "b.jpg": "2020-01-02"}

    def test_a_camera_without_a_name_is_pointed_out(self, folder):
        reading = folder.manifest("path,pid,camid", "a.jpg,x,north", "b.jpg,y,nan")
        assert "camid 'nan' is read as a name; leave the cells empty where none is known." in reading.notes

    @pytest.mark.parametrize("path", [" a.jpg", "a.jpg ", "\ta.jpg"])
    def test_blanks_around_a_path(self, folder, path):
        reading = folder.manifest("path,pid", f'"{path}",x')
        assert column(reading, "identity") == {"a.jpg": "x"}
        assert "1 paths have blanks around them and were read without." in reading.notes

    @pytest.mark.parametrize("path", ["a", "deep/A", "'a.jpg'"])
    def test_a_path_without_its_ending(self, folder, path):
        assert "Did you mean 'a.jpg'? Images end in" in folder.refused("path,pid", f"{path},x")

    def test_blank_rows_are_passed_over_also_above_the_header(self, folder):
        reading = raw_table(folder, "\n \npath,pid\n , \na.jpg,x\n\n")
        assert column(reading, "identity") == {"a.jpg": "x"}
        assert "'-5' (line 4)" in refusal(folder, "\n\npath,pid\na.jpg,-5\n")

    def test_no_header(self, folder):
        said = folder.refused("a.jpg;x", "b.jpg;y")
        assert said.startswith("manifest.csv has no header: line 1, its first, names an image. Put a line")


class TestFiles:
    TEXT = "path\tpid\r\na.jpg\tKäthe\r\nb.jpg\tZoë\r\n"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
    def test_encodings_and_line_ends(self, folder, encoding, end):
        reading = raw_table(folder, self.TEXT.replace("\r\n", end).encode(encoding))
        assert column(reading, "identity") == {"a.jpg": "Käthe", "b.jpg": "Zoë"}

    def test_big_endian(self, folder):
        reading = raw_table(folder, b"\xfe\xff" + self.TEXT.encode("utf-16-be"))
        assert column(reading, "identity")["a.jpg"] == "Käthe"

    def test_the_line_that_excel_puts_above(self, folder):
        assert column(raw_table(folder, "sep=;\r\npath;pid\r\na.jpg;x,y\r\n"), "identity") == {"a.jpg": "x,y"}
        assert "'-5' (line 3)" in refusal(folder, "sep=;\r\npath;pid\r\na.jpg;-5\r\n")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (
                TEXT.encode("latin-1"),
                r"^manifest\.csv is no UTF-8 text \(line 2, byte 17\)\. Save it as UTF-8; in Excel",
            ),
            (TEXT.encode("utf-16")[:-1], r"^manifest\.csv begins as UTF-16 text and is none from byte \d+ on\. Save"),
            (TEXT.encode("utf-16-le"), r"^manifest\.csv (?:holds a NUL byte in line 1|is no UTF-8 text)"),
            (b"path,pid\na.jpg,x\nb.jpg,y\0z\n", r"^manifest\.csv holds a NUL byte in line 3: it is damaged, or of"),
            (b"PK\x03\x04\x14\0", r"^manifest\.csv is a spreadsheet by its content, .*\. Save it as CSV in UTF-8"),
            (b"\xd0\xcf\x11\xe0\xa1", r"^manifest\.csv is a spreadsheet by its content"),
            (b"PAR1\x15\0PAR1", r"^manifest\.csv is Parquet by its content\. Let its name end in \.parquet\.$"),
            (b"\xef\xbb\xbf\r\n", r"^manifest\.csv is empty\. Its first line names the columns\.$"),
            (b"<!DOCTYPE html>\n<p>Sign in</p>\n", r"its columns are <!DOCTYPE html>\."),
        ],
    )
    def test_what_is_no_table(self, folder, content, says):
        assert re.search(says, refusal(folder, content))

    @pytest.mark.parametrize("content", [b"", b"PAR1xx", b"PAR1" + b"x" * 50 + b"PAR1", b"path,pid\na.jpg,x\n"])
    def test_damaged_parquet(self, folder, content):
        said = refusal(folder, content, "manifest.parquet")
        assert re.search(r"^manifest\.parquet cannot be read as Parquet: .*\. Write it again, or save it as CSV", said)

    @pytest.mark.parametrize("values", [[["x"], ["y"]], [{"n": "x"}, {"n": "y"}], [b"x", b"y"]])
    def test_parquet_of_no_text(self, folder, values):
        folder.images("a.jpg", "b.jpg")
        pd.DataFrame({"path": ["a.jpg", "b.jpg"], "pid": values}).to_parquet(folder.root / "manifest.parquet")
        with pytest.raises(
            UserError, match=r"^Column pid of .* holds lists, records or bytes in 2 rows: row 1, row 2\."
        ):
            folder.read()

    def test_numbers_of_parquet(self, folder):
        folder.images("a.jpg", "b.jpg", "c.jpg")
        table = pd.DataFrame({"path": ["a.jpg", "b.jpg", "c.jpg"], "pid": [1e19, 7.0, float("inf")]})
        table.to_parquet(folder.root / "manifest.parquet")
        assert list(column(folder.read(), "identity").values()) == ["10000000000000000000", "7", "inf"]

    @pytest.mark.parametrize("name", ["camid", "viewid", "trackid"])
    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (float("inf"), r"mixes numbers and names: 'inf' \(row 2\) beside '1' \(row 1\)"),
            (-1.0, r"out of range in 1 rows of manifest\.parquet: '-1' \(row 2\)"),
            (1.5, r"out of range in 1 rows of manifest\.parquet: '1\.5' \(row 2\)"),
            (1e300, r"out of range in 1 rows of manifest\.parquet: '1000"),
            (2.0**63, r"out of range in 1 rows of manifest\.parquet: '9223372036854775808' \(row 2\)"),
        ],
    )
    def test_numbers_of_parquet_out_of_range(self, folder, name, value, says):
        folder.images("a.jpg", "b.jpg")
        table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "pid": ["x", "y"], name: [1.0, value]})
        table.to_parquet(folder.root / "manifest.parquet")
        with pytest.raises(UserError, match=says):
            folder.read()

    @pytest.mark.parametrize("name", ["manifest.xlsx", "Metadata.ods", "manifest.jsonl"])
    def test_tables_of_other_programs_are_not_passed_over(self, folder, name):
        said = refusal(folder, b"PK\x03\x04", name)
        assert re.search(rf"holds {name}, which cannot be read as a table\. Save it as \w+\.csv in UTF-8", said)
        said = refusal(folder, b"PK\x03\x04", name, table=name)
        assert re.search(rf"^{name} cannot be read as a table: .*\. Save it as CSV in UTF-8; in Excel", said)

    @pytest.mark.parametrize("name", ["lists", "lists.csv"])
    def test_a_folder_is_no_table(self, folder, name):
        folder.images(f"{name}/a.jpg")
        assert f"{name} in {folder.root} is a folder, not a table. Give" in refused_folders(folder, table=name)


class TestFolders:
    FORMS = (
        "Folders are read as <identity>/<image>; as <split>/<identity>/<image>, where the splits are train, query and"
        " gallery, or train and test; or as images alone, directly in the folder."
    )

    @pytest.mark.parametrize(
        ("paths", "says"),
        [
            (("x/a.jpg", "y/b.jpg", "c.jpg"), "1 images lie beside folders: c.jpg"),
            (("x/1/a.jpg", "y/1/a.jpg"), "2 of 2 images lie too deep for folders <identity>/<image>"),
            (("train/x/a.jpg", "y/b.jpg"), "holds splits (train) and other folders: y."),
            (("train/x/a.jpg", "val/y.jpg"), "1 of 2 images lie not deep enough for folders <split>/"),
            (("x/a.jpg", "x/b.jpg"), "All images lie in one folder, x/"),
        ],
    )
    def test_every_refusal_says_which_forms_there_are(self, folder, paths, says):
        said = refused_folders(folder, *paths)
        assert says in said
        assert said.endswith(self.FORMS)

    @pytest.mark.parametrize("paths", [("zoo/x/a.jpg", "zoo/y/a.jpg"), ("zoo/train/x/a.jpg", "zoo/test/y/a.jpg")])
    def test_one_folder_around_all(self, folder, paths):
        said = refused_folders(folder, *paths)
        assert f"pass as raw_root {folder.root}/zoo, which holds them all." in said

    def test_the_layout_of_a_benchmark(self, folder):
        names = ("bounding_box_train/0001_c1s1_1.jpg", "query/0002_c1s1_1.jpg", "bounding_box_test/0002_c2s1_1.jpg")
        assert "Market-1501's layout, which --env=market1501 reads." in refused_folders(folder, *names)

    def test_empty_folders_are_noted(self, folder):
        for name in ("z", "w/deep", ".cache", "__MACOSX"):
            (folder.root / name).mkdir(parents=True)
        reading = folder.images("x/a.jpg", "y/a.jpg").read()
        assert "2 folders hold no image, and are no individuals: w, z." in reading.notes

    def test_empty_folders_in_a_split_are_noted(self, folder):
        (folder.root / "train/z").mkdir(parents=True)
        reading = folder.images("train/x/a.jpg", "test/y/a.jpg").read()
        assert "1 folders hold no image, and are no individuals: train/z." in reading.notes

    def test_what_is_no_text_or_leads_nowhere_is_no_obstacle(self, folder):
        folder.images("x/a.jpg", "y/a.jpg")
        (folder.root / os.fsdecode(b"K\xe4the")).mkdir()
        (folder.root / "loop").symlink_to("loop")
        assert r"1 folders hold no image, and are no individuals: K\xe4the." in folder.read().notes

    def test_names_with_separators(self, folder):
        names = ["a,b", "a;b", "a|b", "a\tb", 'a"b', "a b"]
        reading = folder.images(*(f"{name}/1.jpg" for name in names)).read()
        assert sorted(column(reading, "identity").values()) == sorted(names)
