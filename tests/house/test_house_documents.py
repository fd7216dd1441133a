"""Documents: links lead somewhere, commands exist, Python blocks run."""

import re
from pathlib import Path
from typing import Any

import pytest
from documents import DOCUMENTS, blocks
from project_copy import ROOT, source_files

ADR = ROOT / "docs" / "adr"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    local = [(document.parent / link).resolve() for link in links if "://" not in link]
    missing = [path for path in local if not path.exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_that_is_named_exists(document: Path) -> None:
    places = [ROOT, ROOT / "src", ROOT / "src/reid_pipeline", ROOT / "src/reid_drawings", document.parent]
    named = re.findall(r"`([\w./]+/[\w.]+\.py)`", document.read_text())
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    examples = {f"src/reid_pipeline/{name}.py" for name in ("methods/batch_centres", "readers/corridor")}
    history = missing if document.name == "CHANGELOG.md" else set()
    assert missing - examples - history == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_make_targets_exist(document: Path) -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"(?:`|^\$ )make ([a-z]+)", document.read_text(), re.MULTILINE))
    assert named <= set(phony.split())


def test_pipelines_that_are_named_exist() -> None:
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(ROOT)
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"kedro run [^`\n]*--pipelines?=(\w+)", document.read_text())
    }
    assert named - {"batch_centres"} <= set(pipelines)
    assert {"unsupervised_pcl", "zero_shot", "ingestion", "pretrain_demo_clip"} <= named


@pytest.mark.slow
def test_the_python_surface_is_as_documented() -> None:
    namespace: dict[str, Any] = {}
    found = blocks(ROOT / "docs" / "api.md", "python")
    assert len(found) == 9
    for number, block in enumerate(found, 1):
        exec(compile(block, f"docs/api.md block {number}", "exec"), namespace)


def test_signatures_are_as_documented() -> None:
    import inspect
    from importlib import import_module

    text = " ".join((ROOT / "docs" / "api.md").read_text().split())
    surface = {
        "retrieval": ["evaluate_retrieval", "rerank_k_reciprocal", "average_query_expansion"],
        "geometry": ["jaccard_distance"],
        "clustering": ["cluster_pseudo_labels"],
        "models": ["build_image_encoder"],
        "losses": ["identity_loss"],
    }
    for room, names in surface.items():
        for name in names:
            function = getattr(import_module(f"reid_pipeline.{room}"), name)
            bare = [
                parameter.replace(annotation=inspect.Parameter.empty)
                for parameter in inspect.signature(function).parameters.values()
            ]
            assert f"`{name}{inspect.Signature(bare)}`".replace("'", '"') in text.replace("'", '"')


def test_decisions_are_numbered_listed_and_complete() -> None:
    pages = sorted(ADR.glob("0*.md"))
    index = (ADR / "README.md").read_text()
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        title = re.match(r"# (\d+)\. (.+)\n", text)
        assert title is not None
        assert int(title[1]) == int(page.name[:4])
        assert f"| [{page.name[:4]}]({page.name}) | {title[2]} |" in index
        for heading in ("\nStatus: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"):
            assert heading in text, page.name


def test_the_changelog_heads_with_this_version() -> None:
    from reid_pipeline import __version__

    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == __version__


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_file_names_a_home_or_a_scratch_folder() -> None:
    somewhere = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work|opt)/\w")
    named = [
        file.as_posix()
        for file in source_files()
        if file.suffix in {".md", ".py", ".toml", ".yml", ".yaml", ".lock", ""}
        and file.parts[0] not in {"data", "tests"}
        and somewhere.search((ROOT / file).read_text(errors="replace"))
    ]
    assert named == []
