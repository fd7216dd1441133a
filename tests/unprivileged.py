"""Programs as a user that is not root: root may read and write whatever the modes of files say."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_DROP_BOUNDING, _READ_ANY_FILE = 24, (1, 2)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def run_unprivileged(command: Sequence[str | Path], **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command and return what it printed; permissions bind it, also where the tests run as root.

    Root loses, for this command and its children, the two capabilities that let it pass by the modes of files. It
    does not become another user, who might not reach the interpreter: modes bind it as the owner of its files.
    """
    drop = _drop_capabilities if os.geteuid() == 0 else None
    return subprocess.run(
        [str(word) for word in command], **{"capture_output": True, "text": True, "preexec_fn": drop, **options}
    )


def _drop_capabilities() -> None:
    system = ctypes.CDLL(None, use_errno=True)
    for capability in _READ_ANY_FILE:
        if system.prctl(_DROP_BOUNDING, capability, 0, 0, 0):
            sys.exit("this root cannot give up its capabilities: run the tests as a user that is not root")
