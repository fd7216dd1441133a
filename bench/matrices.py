"""The matrices of tests of which the suite runs some cells, whole: about three minutes on two cores.

    .venv/bin/python bench/matrices.py

Files in every published layout, from the folder to the report of a training; a network of every kind of tower,
exported as ONNX and run, and trained by every method; every row of docs/towers.md, its tower built anew. Exit 1 if one
of them fails.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "tests/e2e/test_every_layout.py",
    "tests/export/test_export_towers.py",
    "tests/methods/test_methods_on_towers.py",
    "tests/models/test_towers_table.py",
)


def main(options: Sequence[str] = ()) -> int:
    """Run the files with all their cells, with further options of pytest; return its status."""
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *FILES, *options]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "WHOLE_MATRICES": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
