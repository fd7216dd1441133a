"""The site of docs/: it builds strictly without importing the package, loads nothing from anywhere, and is whole."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from project_copy import ROOT

# Neither torch nor the package can be imported here, and what cannot be imported is read all the same.
BUILD = """\
import runpy, sys
sys.modules |= dict.fromkeys(["torch", "kedro", "reid_pipeline", "reid_drawings"])
sys.argv = ["mkdocs", "build", "--strict", "--site-dir", sys.argv[1]]
runpy.run_module("mkdocs", run_name="__main__")
"""
# Names that are handed on when they are asked for, which a reader of the text alone cannot follow.
WRITTEN_AT = {"reid_pipeline.models.build_image_encoder": "reid_pipeline.models.backbone.build_image_encoder"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_nothing_is_loaded_from_anywhere(site: Path) -> None:
    loading = re.compile(r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//|<link[^>]* href="?(?:https?:)?//')
    assert len(list(site.rglob("*.html"))) > 40
    assert [page.name for page in site.rglob("*.html") if loading.search(page.read_text())] == []
    assert [
        file.name for file in site.rglob("*.css") if re.search(r"(?:url\(|@import )[\"']?https?://", file.read_text())
    ] == []


@pytest.mark.slow
def test_the_public_surface_has_its_reference(site: Path) -> None:
    table = re.findall(r"^\| `(reid_pipeline[\w.]*)` \| (.+?) \|", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    public = {f"{module}.{name}" for module, names in table for name in re.findall(r"`(\w+)`", names)}
    assert {"reid_pipeline.load_embedder", "reid_pipeline.retrieval.evaluate_retrieval"} <= public
    listed = set(re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))
    assert listed == {WRITTEN_AT.get(name, name) for name in public} | {"reid_pipeline.schema.errors.UserError"}
    page = (site / "reference.html").read_text()
    for name in listed:
        module, _, own = name.rpartition(".")
        found = getattr(importlib.import_module(module), own)
        assert f'id="{name}"' in page
        first = re.split(r"[`*\n]", (found.__doc__ or "").strip())[0].rstrip(" .")
        if callable(found):
            assert first, f"{name} has a docstring"
            assert first in page.replace("&#39;", "'").replace("&quot;", '"'), f"that of {name} stands there"
