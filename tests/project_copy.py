"""A copy of the project in a folder of its own, for tests that run its commands."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from warm_python import command as warm_command

ROOT = Path(__file__).parents[1]

# The demo in small: drawn in a second, random weights, two epochs of two steps; the report does not explain.
SMALL_DRAWING = (
    "{train_identities: 8, test_identities: 6, distractors: 4, junk: 2, cameras_per_identity: [3, 3],"
    " images_per_camera: [2, 2],"
    " lighting: 0.0, places_per_camera: 1, tracklet_length: 4}"
)
NOT_EXPLAINED = "report: {explain: {identities: 0, texts: 0, pictures: 0, queries: 0}}"
SMALL_BACKBONE = "{name: demo-vit, pretrained: null, image_size: [64, 32]}"
_SHARED = f"backbone: {SMALL_BACKBONE}, augmentation: {{padding: 4}}"
_PLAN = "iterations_per_epoch: 2, batch_size: 8, instances: 4, warmup_epochs: 0, milestones: []"
SMALL_METHODS = {
    "zero_shot": f"zero_shot: {{backbone: {SMALL_BACKBONE}}}\n",
    "unsupervised_pcl": f"""\
unsupervised_pcl:
  {{{_SHARED}, plan: {{epochs: 2, {_PLAN}}},
  clustering: {{k1: 6, k2: 2, eps: 0.7, min_samples: 2, max_noise_share: 1.0}}}}
""",
    "clip_reid": f"""\
clip_reid:
  {{{_SHARED}, plan: {{epochs: 1, {_PLAN}}},
  prompts: {{plan: {{epochs: 1, batch_size: 16, warmup_epochs: 0}}}}}}
""",
}


def small_stages(text: str) -> str:
    """Return dvc.yaml with one seed and the small methods alone."""
    document = yaml.safe_load(text)
    document["vars"] = [{"seeds": [0]}]
    stages = document["stages"]
    for name in [name for name, stage in stages.items() if "matrix" in stage and name not in SMALL_METHODS]:
        del stages[name]
    for name in ("report", "leaderboard"):
        kept = {*SMALL_METHODS, f"{name}.txt"}
        stages[name]["deps"] = [dep for dep in stages[name]["deps"] if dep.split("/")[-1] in kept]
    for plot in (plot for each in document["plots"] for plot in each.values()):
        plot["y"] = {
            path: [name for name in column if name in SMALL_METHODS] if isinstance(column, list) else column
            for path, column in plot["y"].items()
            if "/comparison/" in path or ("/seed_0/" in path and path.split("/")[-3] in SMALL_METHODS)
        }
    return str(yaml.safe_dump(document, sort_keys=False))


class ProjectCopy:
    """The project in a folder and git repository of its own, and what commands say there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **environment: str) -> str:
        """Run a command of the environment, with `.venv` active, and return what it printed.

        The command `kedro`, also as DVC finds it on the path, is that of a warm Python.
        """
        programs = Path(sys.executable).parent
        warm = warm_command("kedro", self.folder.parent / "warm")
        program = warm / "kedro" if command[0] == "kedro" else programs / command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env={
                **os.environ,
                **environment,
                "PATH": os.pathsep.join([str(warm), str(programs), os.environ["PATH"]]),
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "200",
                "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "tmp" / "site"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    def run_git(self, *words: str) -> str:
        """Return what git says in the copy."""
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def source_files() -> list[Path]:
    """Return what git has, or would have, of the project: paths relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(Path(name) for name in set(listed.split("\0")) - {""} if (ROOT / name).is_file())
