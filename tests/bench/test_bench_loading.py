"""bench/loading.py compares like with like, and runs; the figures are in docs/performance.md."""

import re

from project_copy import ROOT
from warm_python import run

PROGRAM = ROOT / "bench" / "loading.py"
ROWS = [
    "decode, Pillow",
    "decode, torchvision",
    "decode and resize, Pillow",
    "decode and resize, torchvision v2",
    "decode and resize, ours",
    "usual pipeline, Pillow",
    "usual pipeline, torchvision v2",
    "ours, no cache",
    "ours, from the cache",
    "cache: fill",
    "cache: gather",
    "augmentation alone",
    "normalisation alone",
]


def test_it_runs():
    done = run(PROGRAM, "--quick", "--files", "3", folder=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\S.*?)  +[0-9,]+ ", done.stdout, flags=re.MULTILINE) == ROWS * 2
    for ratio in re.findall(r"^usual pipeline, Pillow .* (\S+)$", done.stdout, flags=re.MULTILINE):
        assert ratio == "1.00"
