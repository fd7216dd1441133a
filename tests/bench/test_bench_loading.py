"""bench/loading.py compares like with like, and runs; the figures are in docs/performance.md."""

import re
import subprocess
import sys

from project_copy import ROOT

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
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--quick", "--files", "3"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\S.*?)  +[0-9,]+ ", done.stdout, flags=re.MULTILINE) == ROWS * 2
    for ratio in re.findall(r"^usual pipeline, Pillow .* (\S+)$", done.stdout, flags=re.MULTILINE):
        assert ratio == "1.00"
