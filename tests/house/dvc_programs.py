"""The programs in dvc/, which are no package."""

import importlib.util
import sys
from types import ModuleType

from project_copy import ROOT


def dvc_program(name: str) -> ModuleType:
    """Return dvc/<name>.py as a module, run once."""
    folder = str(ROOT / "dvc")
    known = f"dvc_programs_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, f"{folder}/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.path.insert(0, folder)  # write.py imports imports.py
        try:
            sys.modules[known] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[known])
        finally:
            sys.path.remove(folder)
    return sys.modules[known]
