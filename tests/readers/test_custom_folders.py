"""One's own images, named by folders, or not named at all."""

import re
import unicodedata

import pandas as pd
import pytest

from reid_pipeline.readers import reader, reader_names
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST


@pytest.fixture
def read(tmp_path):
    """Read a folder of these files; a path that ends in `/` is an empty folder."""
    root = tmp_path / "own"

    def read(*paths, **ingestion):
        for path in paths:
            file = root / path
            (file if path.endswith("/") else file.parent).mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                file.touch()
        files = tuple(sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()))
        raw = RawFolder(root, files)
        reading = reader("custom").read(raw, IngestionParameters(reader="custom", **ingestion))
        MANIFEST.validate(reading.manifest)
        assert reading.manifest["path"].tolist() == sorted(reading.manifest["path"])
        return reading

    return read


@pytest.fixture
def refused(read):
    def refused(*paths, **ingestion):
        with pytest.raises(UserError) as caught:
            read(*paths, **ingestion)
        return str(caught.value)

    return refused


def rows_of(reading):
    return {row.path: (row.identity, row.pid, row.subset) for row in reading.manifest.itertuples()}


def test_the_benchmark_is_nobodys_in_particular():
    assert "custom" in reader_names()
    benchmark = reader("custom").BENCHMARK
    assert (benchmark.title, benchmark.noun, benchmark.versions) == ("your own images", "individual", ())


class TestSplitsAndIdentities:
    def test_train_query_gallery(self, read):
        reading = read(
            "train/fox-7/1.jpg", "train/owl/1.PNG", "query/owl/2.jpeg", "gallery/owl/3.webp", "gallery/0/4.tif"
        )
        assert rows_of(reading) == {
            "train/fox-7/1.jpg": ("fox-7", 2, "train"),
            "train/owl/1.PNG": ("owl", 3, "train"),
            "query/owl/2.jpeg": ("owl", 3, "query"),
            "gallery/owl/3.webp": ("owl", 3, "gallery"),
            "gallery/0/4.tif": ("0", 1, "gallery"),
        }
        for name in ("camid", "viewid", "trackid"):
            assert reading.manifest[name].isna().all()
        assert set(reading.manifest["camera"]) == {""}
        assert reading.notes == ("Read as folders <split>/<identity>/<image>: 5 images.",)

    def test_train_and_test(self, read):
        reading = read("train/a/1.jpg", "test/b/1.jpg", "test/b/2.jpg")
        assert rows_of(reading)["test/b/1.jpg"] == ("b", 2, "unassigned")
        assert reading.notes[1:] == ("Training is as given by split; query and gallery are drawn from 2 test images.",)

    def test_identities_alone(self, read):
        reading = read("10/1.jpg", "9/1.jpg", "9/2.jpg", "-1/1.jpg")
        assert rows_of(reading) == {
            "10/1.jpg": ("10", 2, "unassigned"),
            "9/1.jpg": ("9", 1, "unassigned"),
            "9/2.jpg": ("9", 1, "unassigned"),
            "-1/1.jpg": ("-1", -1, "unassigned"),
        }
        assert reading.notes == (
            "Read as folders <identity>/<image>: 4 images.",
            "1 images have identity -1: junk, and left out.",
        )

    def test_spaces_and_letters(self, read):
        path = unicodedata.normalize("NFD", "old Zoë/a b.jpg")
        assert rows_of(read(path, "狐/一.png")) == {
            path: (path.split("/")[0], 1, "unassigned"),
            "狐/一.png": ("狐", 2, "unassigned"),
        }

    @pytest.mark.parametrize(
        ("paths", "says"),
        [
            (("train/a/1.jpg", "query/a/2.jpg"), r"^the folders: query is given but gallery is empty"),
            (
                ("train/a/1.jpg", "query/a/2.jpg", "gallery/"),
                r"^Folder gallery of .* holds no image\. Put images there, or remove it",
            ),
            (("train/", "test/a/2.jpg"), r"^Folder train of .* holds no image"),
            (("test/a/1.jpg", "test/b/1.jpg"), r"^the folders: split says test, and nothing says train"),
            (
                ("train/a/1.jpg", "test/a/2.jpg", "query/b/1.jpg", "gallery/b/2.jpg"),
                r"query and gallery are given, and 1 rows are neither.*: 'test' \(test/a/2\.jpg\)",
            ),
            (
                ("train/a/1.jpg", "vault/a/2.jpg"),
                r"holds splits \(train\) and other folders: vault\. Put these into train, query",
            ),
            (
                ("train/a/1.jpg", "train/2.jpg"),
                r"^1 of 2 images lie not deep enough for folders <split>/<identity>/<image>: train/2\.jpg\.",
            ),
            (
                ("train/a/1.jpg", "train/a/left/2.jpg"),
                r"^1 of 2 images lie too deep for folders <split>/<identity>/<image>: train/a/left/2\.jpg\.",
            ),
            (
                ("a/1.jpg", "b/c/2.jpg"),
                r"^1 of 2 images lie too deep for folders <identity>/<image>: b/c/2\.jpg\. Move them; or pass"
                r" as raw_root the folder that holds the splits or identities\. List the images in manifest",
            ),
            (("a/1.jpg", "2.jpg"), r"^1 images lie beside folders: 2\.jpg\. .*ingestion\.variant=unlabelled"),
            (
                ("all/1.jpg", "all/2.jpg"),
                r"^All images lie in one folder, all/: one identity .*--params raw_root=.*/own/all or give",
            ),
            (
                ("7/1.jpg", "007/1.jpg", "8/1.jpg"),
                r"^Column identity of the folders writes 1 names in two forms: '007' \(007/1\.jpg\) and '7' ",
            ),
            (("Fox/1.jpg", "fox/1.jpg"), r"'Fox' \(Fox/1\.jpg\) and 'fox' \(fox/1\.jpg\)"),
        ],
    )
    def test_what_is_wrong(self, refused, paths, says):
        assert re.search(says, refused(*paths))

    def test_an_empty_folder_is_no_split_where_there_are_none(self, read):
        assert len(read("a/1.jpg", "b/1.jpg", "train/").manifest) == 2


class TestUnlabelled:
    def test_a_bare_folder(self, read):
        reading = read("b.jpg", "a 1.png")
        assert rows_of(reading) == {"a 1.png": ("", -2, "train"), "b.jpg": ("", -2, "train")}
        assert reading.notes == (
            "Read as unlabelled images: 2 images.",
            "Nobody is named: all images are unlabelled training images, and there is no test.",
        )

    def test_any_tree_if_asked(self, read):
        paths = ("a.jpg", "query/x/b.jpg", "one/two/three/c.jpg")
        assert set(rows_of(read(*paths, variant="unlabelled")).values()) == {("", -2, "train")}

    def test_a_bare_folder_is_one_in_whichever_way_it_is_asked(self, read):
        pd.testing.assert_frame_equal(read("a.jpg").manifest, read("a.jpg", variant="folders").manifest)


class TestOtherFiles:
    COMPANIONS = ("README", "Readme.md", "LICENSE", "licence.txt", "about.json", "labels.csv", "x.yml", "images.dvc")

    @pytest.mark.parametrize("images", [("a.jpg",), ("a/1.jpg", "b/1.jpg"), ("train/a/1.jpg", "test/b/1.jpg")])
    def test_companions_at_the_root_are_noted(self, read, images):
        reading = read(*images, *self.COMPANIONS)
        assert reading.manifest["path"].tolist() == sorted(images)
        (note,) = [note for note in reading.notes if note.startswith("Beside the images, and not read: ")]
        assert "LICENSE, README, Readme.md, about.json, images.dvc and 3 more." in note

    def test_hidden_files_and_system_files_are_counted(self, read):
        reading = read(
            "a/1.jpg", "b/1.jpg", "a/._1.jpg", "b/Thumbs.db", ".gitignore", ".cache/c.jpg", "__MACOSX/a/1.jpg"
        )
        assert reading.manifest["path"].tolist() == ["a/1.jpg", "b/1.jpg"]
        assert "5 hidden files and files of file managers were left aside." in reading.notes

    @pytest.mark.parametrize("variant", [None, "folders", "unlabelled"])
    def test_what_is_no_image(self, refused, variant):
        said = refused("a/1.jpg", "b/1.jpg", "a/notes.txt", "clip.mp4", "b/README.md", "a/no_suffix", variant=variant)
        assert said.startswith("4 files below ")
        assert "are no images: a/no_suffix, a/notes.txt, b/README.md, clip.mp4. Images end in .jpg, .jpeg" in said

    def test_many_are_bounded(self, refused):
        said = refused("a/1.jpg", *(f"a/{number}.txt" for number in range(30)))
        assert said.startswith("30 files below ")
        assert "and 25 more" in said
        assert said.count(".txt") == 5

    @pytest.mark.parametrize("paths", [("README.md",), (".hidden.jpg",), ("train/",)])
    def test_nothing_to_read(self, refused, paths):
        assert re.match(r"There is no image below .*/own\. Images end in .*pass --params raw_root=", refused(*paths))

    @pytest.mark.parametrize("name", ["manifest_1.csv", "Metadata.csv"])
    def test_a_misnamed_table_is_left_aside_only_if_said_so(self, read, refused, name):
        paths = ("a/1.jpg", "b/1.jpg", name)
        assert "ingestion.variant=folders leaves it aside" in refused(*paths)
        assert len(read(*paths, variant="folders").manifest) == 2
