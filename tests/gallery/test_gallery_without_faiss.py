"""faiss is an extra: a gallery does without, and what needs it says how it is installed."""

import sys
from pathlib import Path

import pytest
from small_gallery import MODEL, WIDTH, clustered, filled, rows

from reid_pipeline.gallery import Gallery
from reid_pipeline.schema.errors import UserError


@pytest.fixture
def without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError):
        import faiss  # noqa: F401


@pytest.mark.usefixtures("without_faiss")
def test_a_gallery_of_the_usual_kind_answers(tmp_path: Path) -> None:
    vectors = clustered(0, 20, 2, noise=0.1)
    gallery = filled(tmp_path / "g", vectors, rows([f"one {number // 2}" for number in range(40)]))
    gallery.calibrate(0.1)
    answers = gallery.identify(vectors[::2])
    assert answers["identity"].tolist() == [f"one {number}" for number in range(20)]


@pytest.mark.usefixtures("without_faiss")
@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_an_approximate_one_says_what_is_missing(tmp_path: Path, index: str) -> None:
    with pytest.raises(UserError) as caught:
        Gallery.create(tmp_path / "g", model=MODEL, width=WIDTH, index=index)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"A gallery with index {index!r} needs faiss, which is not installed: pip install faiss-cpu. With index 'exact'"
        " it does without."
    )
    assert not (tmp_path / "g").exists()
