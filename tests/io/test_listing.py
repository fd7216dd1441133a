"""Listing raw folders and folders of results: what cannot be listed is named, links end, names become text."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from unprivileged import run_unprivileged

from reid_pipeline.io import listing
from reid_pipeline.io.listing import has_entries, is_there, list_files, subfolders
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.raw_folder import RawFolder

UPWARD = "Links that lead back to a folder above them, and are not followed: "
DANGLING = "Links that lead nowhere: "
SYSTEM = "Hidden or system folders that cannot be looked into, and are left aside: "


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"no image")
    return root


def refusal(root: Path, **options: bool) -> str:
    with pytest.raises(UserError) as caught:
        has_entries(root, **options)
    return str(caught.value)


class TestLinks:
    @pytest.mark.parametrize("target", ["..", "../", ".", "{root}", "{root}/a", "../a", "{root}/../raw/b/.."])
    def test_one_that_leads_back_up_is_not_followed_and_named(self, tmp_path, target):
        root = fill(tmp_path / "raw", "a/1.jpg", "b/2.jpg")
        (root / "a/back").symlink_to(target.format(root=root))
        found = list_files(root)
        assert found.files == ("a/1.jpg", "b/2.jpg")
        assert found.notes == (f"{UPWARD}a/back.",)

    def test_the_link_that_a_second_ln_makes(self, tmp_path):
        """`ln -s` onto a link that is there already makes one within, which leads to the folder itself."""
        disk = fill(tmp_path / "Market", "query/1.jpg")
        (tmp_path / "raw").symlink_to(disk)
        (tmp_path / "raw" / "Market").symlink_to(disk)
        found = list_files(tmp_path / "raw")
        assert (found.files, found.notes) == (("query/1.jpg",), (f"{UPWARD}Market.",))

    def test_two_links_to_one_folder_elsewhere_stay_two(self, tmp_path):
        fill(tmp_path / "store", "1.jpg")
        root = fill(tmp_path / "raw", "c/2.jpg")
        for name in "ab":
            (root / name).symlink_to(tmp_path / "store")
        (root / "d").symlink_to("c")
        found = list_files(root)
        assert found.files == ("a/1.jpg", "b/1.jpg", "c/2.jpg", "d/2.jpg")
        assert found.notes == ()

    def test_two_folders_with_links_to_each_other(self, tmp_path):
        root = fill(tmp_path, "a/1.jpg", "b/2.jpg")
        (root / "a/b").symlink_to("../b")
        (root / "b/a").symlink_to("../a")
        found = list_files(root)
        assert found.files == ("a/1.jpg", "a/b/2.jpg", "b/2.jpg", "b/a/1.jpg")
        assert found.notes == (f"{UPWARD}a/b/a, b/a/b.",)

    def test_links_that_multiply_are_refused(self, tmp_path):
        for one in range(8):
            (tmp_path / str(one)).mkdir()
            for other in range(8):
                (tmp_path / str(one) / f"to{other}").symlink_to(f"../{other}")
        with pytest.raises(UserError, match=r"lead to one folder by more than 1000 ways, one of them \d/to\d.*Remove"):
            list_files(tmp_path)

    def test_one_to_itself_or_nowhere_stays_a_file_and_is_named(self, tmp_path):
        root = fill(tmp_path, "a/1.jpg")
        (root / "self.jpg").symlink_to("self.jpg")
        (root / "one").symlink_to("other")
        (root / "other").symlink_to("one")
        (root / "lynx").symlink_to("/mnt/not_mounted/lynx")
        (root / "below").symlink_to("a/1.jpg/x")
        found = list_files(root)
        assert found.files == ("a/1.jpg", "below", "lynx", "one", "other", "self.jpg")
        assert found.notes == (f"{DANGLING}below, lynx, one, other, self.jpg.",)

    def test_links_to_files_and_to_what_is_no_regular_file(self, tmp_path):
        root = fill(tmp_path / "raw", "a/1.jpg")
        os.mkfifo(root / "pipe.jpg")
        (root / "zero.jpg").symlink_to("/dev/zero")
        (root / "2.jpg").symlink_to("a/1.jpg")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(root / "socket.csv"))
        found = list_files(root)
        assert found.files == ("2.jpg", "a/1.jpg", "pipe.jpg", "socket.csv", "zero.jpg"), "whoever reads them refuses"
        assert found.notes == ()


class TestDepth:
    @pytest.fixture(autouse=True)
    def removed(self, tmp_path):
        """Remove the folders, which are too deep for pytest's own clearing up."""
        yield
        subprocess.run(["rm", "-rf", str(tmp_path)], check=True)

    def test_deeper_than_python_recurses(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        fill(Path(), "1.jpg")
        assert list_files(tmp_path).files == ("d/" * 1200 + "1.jpg",)

    def test_deeper_than_the_system_reaches(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for _ in range(21):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        fill(Path(), "1.jpg")
        with pytest.raises(
            UserError, match=r"^1 folders or links below .*: d{120}\.\.\. \(File name too long\)\. Make"
        ):
            list_files(tmp_path)


class TestNames:
    ODD = ("<b>&amp;", "new\nline", "\x1b[31m", "trail ", " ", "\u202eback", "😀", "q\"'q", "b\\n", "ü" * 127, "%s{x}")

    @pytest.mark.parametrize("name", ODD)
    def test_text_stays_as_it_is(self, tmp_path, name):
        fill(tmp_path, f"{name}/1.jpg")
        found = list_files(tmp_path)
        assert found.files == (f"{name}/1.jpg",)
        found.require_text(found.files)

    def test_bytes_that_are_no_text_are_escaped_and_refused_only_where_read(self, tmp_path):
        fill(tmp_path, "a/1.jpg", "Jos\udce9/1.jpg", "caf\udce9.jpg", "lis\udce9moi.txt", "ü.jpg")
        (tmp_path / "back\udcff").symlink_to(".")
        found = list_files(tmp_path)
        assert found.files == (r"Jos\xe9/1.jpg", "a/1.jpg", r"caf\xe9.jpg", r"lis\xe9moi.txt", "ü.jpg")
        found.require_text(["a/1.jpg", "ü.jpg"])
        with pytest.raises(UserError) as caught:
            found.require_text([path for path in found.files if path.endswith(".jpg")])
        assert str(caught.value) == (
            rf"2 paths in {tmp_path} are no UTF-8 text, which tables need: Jos\xe9/1.jpg, caf\xe9.jpg. Rename the files"
            f" or folders; if they are Latin-1, all at once: convmv -f latin1 -t utf8 -r --notest {tmp_path}"
        )

    def test_one_that_is_written_like_the_escape_of_another_hides_nothing(self, tmp_path):
        fill(tmp_path, "caf\udce9.jpg", r"caf\xe9.jpg")
        found = list_files(tmp_path)
        assert len(found.files) == 2
        with pytest.raises(UserError, match="are no UTF-8 text"):
            found.require_text(found.files)

    def test_a_list_with_such_a_name(self, tmp_path):
        found = list_files(fill(tmp_path, "donn\udce9es.csv"))
        with pytest.raises(UserError, match=r"1 paths in .* are no UTF-8 text.*: donn\\xe9es\.csv\. Rename"):
            found.read_text(r"donn\xe9es.csv")

    def test_what_would_steer_a_terminal_is_escaped_in_messages(self, tmp_path):
        (tmp_path / "red\x1b[31m\nnext").symlink_to(".")
        (note,) = list_files(tmp_path).notes
        assert note == rf"{UPWARD}red\x1b[31m\nnext."


class TestRawRoot:
    def test_entries_or_none(self, tmp_path):
        assert not has_entries(tmp_path)
        assert has_entries(fill(tmp_path, ".hidden"))
        assert not has_entries(tmp_path / "none", may_be_absent=True)

    def test_an_absent_one_is_linked_by_the_command_as_printed(self, tmp_path, monkeypatch):
        fill(tmp_path / "where it lies", "1.jpg")
        root = tmp_path / "pro ject's" / "data" / "01_raw" / "zoo"
        text = refusal(root)
        assert text.startswith(f"Raw folder {root} does not exist: there is no pro ject's in {tmp_path}. Link the")
        command = re.search(r"\((mkdir .*)\), or pass --params raw_root=<folder>\.$", text)[1]
        target = str(tmp_path / "where it lies")
        assert os.system(command.replace("/where/it/lies", f'"{target}"')) == 0
        assert has_entries(root)
        root.unlink()
        assert f"does not exist. Link the benchmark there (ln -s /where/it/lies '{tmp_path}/pro" in refusal(root)
        monkeypatch.chdir(tmp_path)
        assert f"(ln -s /where/it/lies {tmp_path}/zoo)" in refusal(Path("zoo")), "it works from any other folder"

    def test_the_nearest_name_is_offered(self, tmp_path):
        (tmp_path / "Market-1501").mkdir()
        assert f"no Market1501 in {tmp_path}. Did you mean 'Market-1501'? Link" in refusal(tmp_path / "Market1501/x")

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("file", "is a file, and a folder is needed. Link the folder that holds the images"),
            ("file/below/it", "/file/below/it does not exist: {root}/file is no folder. Correct"),
            ("a.zip", "is a file. Unpack the archive and link the folder instead"),
            ("A.TAR.GZ", "is a file. Unpack the archive"),
            ("pipe", "is a FIFO (named pipe), and a folder is needed"),
            ("zero", "is a device, and a folder is needed"),
            ("self", "cannot be opened: it is a link that leads to itself. Link the folder"),
            ("gone", "is a link to /not/there, which does not exist. Mend it."),
            ("gone/below", "/gone/below does not exist"),
            ("n" * 300, "cannot be opened: File name too long"),
            ("x/" * 3000, "cannot be opened: File name too long"),
            ("nu\0ll", r"/nu\x00ll cannot be opened: embedded null byte"),
            ("\x1b[31m\n", r"/\x1b[31m\n does not exist"),
            ("\udce9", r"/\udce9 does not exist"),
        ],
    )
    @pytest.mark.parametrize("may_be_absent", [False, True])
    def test_what_is_no_folder(self, tmp_path, name, says, may_be_absent):
        fill(tmp_path, "file", "a.zip", "A.TAR.GZ")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "zero").symlink_to("/dev/zero")
        (tmp_path / "self").symlink_to("self")
        (tmp_path / "gone").symlink_to("/not/there")
        if may_be_absent and "does not exist" in says and name not in ("file/below/it", "gone"):
            assert not has_entries(tmp_path / name, may_be_absent=True)
        else:
            text = refusal(tmp_path / name, may_be_absent=may_be_absent)
            assert says.format(root=tmp_path) in text if "{root}" in says else says in text
            assert len(text) < 600
            assert "\n" not in text


class TestLists:
    """`RawFolder.read_bytes`, of tables and benchmarks' lists."""

    def test_regular_files_alone_are_read(self, tmp_path):
        fill(tmp_path, "real.txt")
        os.mkfifo(tmp_path / "pipe.csv")
        (tmp_path / "to_pipe.csv").symlink_to("pipe.csv")
        (tmp_path / "zero.csv").symlink_to("/dev/zero")
        (tmp_path / "folder.csv").mkdir()
        (tmp_path / "link.csv").symlink_to("real.txt")
        (tmp_path / "gone.csv").symlink_to("none")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / "socket.csv"))
        raw = list_files(tmp_path)
        assert raw.read_bytes("link.csv") == b"no image"
        for name, kind in {
            "pipe.csv": "a FIFO (named pipe)",
            "to_pipe.csv": "a FIFO (named pipe)",
            "zero.csv": "a device",
            "/dev/zero": "a device",
            "folder.csv": "a folder",
            "socket.csv": "a socket",
        }.items():
            with pytest.raises(UserError) as caught:
                raw.read_text(name)
            assert str(caught.value) == (
                f"File {tmp_path / name} cannot be read: it is {kind}, not a regular file. Put the file itself there,"
                " or move this away."
            )
        with pytest.raises(UserError, match=r"gone\.csv is a link that leads nowhere, or is gone\. Mend it\."):
            raw.read_text("gone.csv")
        with pytest.raises(UserError, match=r"There is no file reel\.txt in .*\. Did you mean 'real\.txt'\?"):
            raw.read_text("reel.txt")
        with pytest.raises(UserError, match=r"nu\\x00ll\.csv cannot be read: embedded null byte"):
            raw.read_text("nu\0ll.csv")

    def test_one_beyond_all_measure_is_not_read(self, tmp_path):
        (tmp_path / "list.txt").touch()
        os.truncate(tmp_path / "list.txt", 3 << 30)
        with pytest.raises(UserError, match=r"list\.txt has 3\.2 GB, and lists .* up to 1\.1 GB\. Is it the right"):
            RawFolder(tmp_path, ("list.txt",)).read_text("list.txt")


PROGRAM = """
import json, sys
from pathlib import Path
from reid_pipeline.io.listing import has_entries, is_there, list_files, subfolders
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.user_errors import user_error_text

def answer(call):
    try:
        return call()
    except Exception as error:
        return user_error_text(error)

root = Path(sys.argv[1])
found = {name: answer(lambda: list_files(root / name).files) for name in ("locked", "list_only", "enter_only", "link")}
found["system"] = answer(lambda: list_files(root / "system").notes)
found |= {name: answer(lambda: has_entries(root / name)) for name in ("closed", "beyond/raw", "inside/raw")}
found["subfolders"] = answer(lambda: [path.name for path in subfolders(root / "closed")])
found["there"] = answer(lambda: is_there(root / "beyond/raw"))
found["results"] = answer(lambda: RunResultsDataset(filepath=str(root / "results")).exists())
found["runs"] = answer(lambda: RunResultsDataset(filepath=str(root / "runs")).exists())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    root = tmp_path_factory.mktemp("permissions")
    fill(root / "locked", "a/1.jpg", "b/2.jpg", "c/d/3.jpg")
    fill(root / "list_only", "a/1.jpg", "b/2.jpg")
    fill(root / "enter_only", "a/1.jpg", "b/2.jpg")
    fill(root / "link", "a/1.jpg")
    fill(root / "secret", "in/2.jpg")
    (root / "link/b").symlink_to(root / "secret/in")
    fill(root / "system", "a/1.jpg", "lost+found/x", ".Trash-0/x", "$RECYCLE.BIN/x", "a/.git/x")
    fill(root / "closed", "1.jpg")
    fill(root / "beyond", "raw/1.jpg")
    fill(root / "inside", "raw/1.jpg")
    fill(root / "results", "pcl/seed_0/metrics.json", ".report.x1/y")
    fill(root / "runs", "pcl/seed_0/metrics.json")
    modes = {
        "locked/b": 0, "locked/c/d": 0, "list_only/b": 0o400, "enter_only/b": 0o100, "secret": 0, "closed": 0,
        "beyond": 0o600, "inside/raw": 0o100, "results/pcl": 0, "results/.report.x1": 0, "runs/pcl/seed_0": 0o400,
        **dict.fromkeys(("system/lost+found", "system/.Trash-0", "system/$RECYCLE.BIN", "system/a/.git"), 0),
    }  # fmt: skip
    for path, mode in modes.items():
        (root / path).chmod(mode)
    done = run_unprivileged([sys.executable, "-c", PROGRAM, root])
    for path in modes:
        (root / path).chmod(0o700)
    assert done.returncode == 0, done.stderr
    return {"root": str(root), **json.loads(done.stdout)}


@pytest.mark.slow
class TestPermissions:
    def test_no_individual_vanishes(self, answers):
        says = (
            f"2 folders or links below {answers['root']}/locked cannot be looked into, and images would be missing: b"
            " (Permission denied), c/d (Permission denied). Make them readable (chmod u+rx, by their owner), move them"
            " away, or pass --params raw_root=<a folder beside them>. If one has gone meanwhile, give the command"
            " again."
        )
        assert sorted(answers["locked"]) == sorted(says), "in any order of folders"
        assert "below" in answers["enter_only"]
        assert ": b (Permission denied)." in answers["enter_only"]
        assert ": b (Permission denied)." in answers["link"], "a link into a folder that is closed"

    def test_files_that_are_listed_and_closed_are_for_whoever_opens_them(self, answers):
        assert answers["list_only"] == ["a/1.jpg", "b/2.jpg"]

    def test_the_systems_folders_are_left_aside_and_named(self, answers):
        denied = ", ".join(f"{name} (Permission denied)" for name in ("$RECYCLE.BIN", ".Trash-0", "a/.git"))
        assert answers["system"] == [f"{SYSTEM}{denied}, lost+found (Permission denied)."]

    def test_the_raw_folder_itself(self, answers):
        root = answers["root"]
        for name, barrier in (("closed", "closed"), ("beyond/raw", "beyond"), ("inside/raw", "inside/raw")):
            assert answers[name] == (
                f"Raw folder {root}/{name} cannot be opened: Permission denied. Make {root}/{barrier} readable (chmod"
                " u+rx, by its owner), or pass --params raw_root=<another folder>."
            )

    def test_results_do_not_vanish_either(self, answers):
        root = answers["root"]
        assert answers["subfolders"].startswith(f"Folder {root}/closed cannot be listed: Permission denied. What it")
        assert answers["there"].startswith(f"{root}/beyond/raw cannot be looked at: Permission denied.")
        assert f"Folder {root}/results/pcl cannot be listed: Permission denied." in answers["results"]
        assert "seed_0/metrics.json cannot be looked at: Permission denied. What it holds" in answers["runs"]


def test_subfolders_and_what_is_there(tmp_path):
    fill(tmp_path, "b/1", "a/1", ".hidden/1", "file")
    assert [path.name for path in subfolders(tmp_path)] == ["a", "b"]
    assert subfolders(tmp_path / "none") == subfolders(tmp_path / "file") == []
    assert is_there(tmp_path / "file")
    assert not is_there(tmp_path / "file/below")


def test_a_folder_that_goes_while_it_is_listed_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    scandir = os.scandir

    def removing(folder):
        found = scandir(folder)
        if folder == str(tmp_path):
            entries = list(found)
            for name in "ab":
                (tmp_path / name).joinpath("1.jpg" if name == "a" else "2.jpg").unlink()
            (tmp_path / "b").rmdir()
            found = scandir(tmp_path / "a")
            found.close()
            return _Closing(entries)
        return found

    monkeypatch.setattr(listing.os, "scandir", removing)
    with pytest.raises(UserError, match=r": b \(No such file or directory\)\. .*has gone meanwhile, give the command"):
        list_files(tmp_path)


class _Closing(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()
