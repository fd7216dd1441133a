"""The programs in bench/, which is no package."""

import importlib.util
import sys
from types import ModuleType

from project_copy import ROOT


def bench_program(name: str) -> ModuleType:
    """Import bench/<name>.py; the programs import each other as they do when they are run."""
    folder = str(ROOT / "bench")
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
