"""Run the documented commands in a fresh clone, one after the other, and print a table of what each did.

    .venv/bin/python bench/documented.py --venv .venv

Commands are those of the console blocks of README, CONTRIBUTING and docs/, in the order of the site. What needs a
collection, a file or a machine that is not here, and what takes longer than a few minutes, is not run: the table says
why. Before a page, the pictures are made that its reader brings along, out of drawn people. About half an hour on two
cores. Without `--venv` the clone makes its own environment first, as `make env` does.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from console_blocks import blocks_of, claims, console_blocks  # noqa: E402 - found by the line above

REAL = "market1501|msmt17|dukemtmc|occluded_duke|veri776|vehicleid|corridor"
# Of what is not run: the reason, by a pattern of the command.
NOT_RUN = {
    r"/where/|~/|dino_|weights/a, b|data/01_raw/custom": "needs a collection or file of the reader",
    rf"--env=({REAL})|01_raw/({REAL})": "needs a published collection",
    r"batch_centres": "needs the module that the page writes",
    r"<time>": "needs the time of an earlier run",
    r"method=pcl,study|pipeline=tuning": "a study: 20 minutes and more",
    r"tuned=pcl|--from-nodes=pcl\.|method=pcl": "needs a study or a training of pcl",
    r"pretrain_demo_clip": "about half an hour",
    r"overlay=(cap|o2cap|data/)|synthetic\.camera|dev_fraction|plan\.milestones": "trains the demo once more",
    r"pipeline=clip_reid": "trains for minutes",
    r"make test|^\.venv/bin/python bench": "minutes of both cores; figures are in docs/performance.md",
    r"make demo DATA": "the demo with vehicles: minutes",
    r"^make (demo|env)$": "the environment, and the demo that is run by itself",
    r"^reid-pipeline|whl|^pip |-m venv|activate": "installs, or is of an installed package",
    r"^(dvc|git|sed|head|sha256sum|grep) |make stages": "follows dvc repro, 48 minutes",
    r"--to-nodes=unsupervised_pcl": "follows dvc repro",
    r"kedro run --params": "all methods: follows dvc repro's time",
    r"collection=(zoo|2024_10)|/zoo/": "needs a collection or file of the reader",
}
FIRST = ("docs/first_run.md", "docs/tonight.md", "docs/gallery.md", "docs/embedding.md", "docs/using.md")
NAMES = ("Ada", "Ada at night", "Bo")


def reason_of(command: str) -> str:
    """Return why a command is not run; empty where it is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command)), "")


def commands() -> list[tuple[str, str]]:
    """Return document and command in order, a path first; one that stood on a page before is left out."""
    first: dict[str, str] = {}
    for name in dict.fromkeys([*FIRST, *(block.document for block in console_blocks())]):
        for command in (command for block in blocks_of(name) for command in block.commands):
            first.setdefault(command, name)
    return [(name, command) for command, name in first.items()]


def clone(folder: Path, venv: Path | None) -> None:
    """Clone the repository as it is committed; link the environment that was given, or make one."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    if venv is None:
        subprocess.run(["make", "env"], cwd=folder, check=True)
        return
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(venv.absolute() / name)


def bring_crops(folder: Path) -> None:
    """Make `crops/`: pictures of six drawn people, whom no name tells apart."""
    (folder / "crops").mkdir()
    files = sorted((folder / "data/01_raw/synthetic/bounding_box_train").glob("*.jpg"))
    people = sorted({file.name[:4] for file in files})[:6]
    for number, file in enumerate(file for file in files if file.name[:4] in people):
        shutil.copy(file, folder / "crops" / f"{number:03d}.jpg")


def bring_known(folder: Path) -> None:
    """Make `known/` with a folder for each of thirty drawn people, and `new/` with one of them and a stranger."""
    files = sorted((folder / "data/01_raw/synthetic/bounding_box_test").glob("[0-9]*.jpg"))
    of_person: dict[str, list[Path]] = {}
    for file in files:
        of_person.setdefault(file.name[:4], []).append(file)
    people = [found for pid, found in of_person.items() if pid != "0000" and len(found) > 4]
    for number, found in enumerate(people[:30]):
        name = NAMES[number] if number < len(NAMES) else f"person {number}"
        (folder / "known" / name).mkdir(parents=True)
        for file in found[:4]:
            shutil.copy(file, folder / "known" / name)
    (folder / "new").mkdir()
    for number, file in enumerate((people[0][4], people[40][0]), 1):
        shutil.copy(file, folder / "new" / f"{number}.png")


def bring_photos(folder: Path) -> None:
    """Make `photos/`: the drawn queries."""
    shutil.copytree(folder / "data/01_raw/synthetic/query", folder / "photos")


BRINGS: dict[str, Callable[[Path], None]] = {
    "docs/tonight.md": bring_crops,
    "docs/gallery.md": bring_known,
    "docs/embedding.md": bring_photos,
}


def run(command: str, folder: Path, limit: float) -> str:
    """Run a command in the clone; return what it did."""
    path = os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]])
    handed = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "KEDRO_ENV"}}
    environment = {**handed, "PATH": path, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "NO_COLOR": "1"}
    started = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        printed, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"**not finished** within {limit:.0f} s"
    seconds = time.monotonic() - started
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    made = next((line for line in reversed(lines) if re.match(r"(report|model|table|page|gallery) ", line)), "")
    last = (made or (lines[-1] if lines else "nothing printed"))[:110]
    return f"{'done' if process.returncode == 0 else f'**status {process.returncode}**'}, {seconds:.0f} s: {last}"


def main(given: argparse.Namespace) -> int:
    """Print a line for each command; return 1 where one failed."""
    folder = (given.folder or Path(tempfile.mkdtemp())) / "clone"
    clone(folder, given.venv)
    print("| page | command | in a fresh clone | in the suite |\n|---|---|---|---|")
    failed, brought = 0, set()
    for name, command in commands():
        did = reason_of(command)
        if not did:
            if name in BRINGS and name not in brought:
                BRINGS[name](folder)
                brought.add(name)
            did = run(command, folder, given.limit)
            failed += "**" in did
        else:
            did = f"not run: {did}"
        in_suite = "executed" if (name, command) in claims() else ""
        print(f"| {name} | `{command.replace('|', '/')}` | {did.replace('|', '/')} | {in_suite} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, help="an environment to link, in the place of one of the clone's own")
    parser.add_argument("--folder", type=Path, help="where the clone is made; else a temporary one")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one command")
    sys.exit(main(parser.parse_args()))
