"""What is the text side of a model worth? Captions of the demo's queries against images of its gallery.

    python bench/words.py                                  every model of the demo that words can be searched with
    python bench/words.py synthetic/baseline/seed_0 ...    these cells

The models, and the drawn images, are those of the project's folder: `kedro run --pipeline=baseline` makes both.
A caption says what the camera sees of the person in the query image; what it is to find are the gallery images of that
person by other cameras, as for the image itself. Image against image is the other measure: by the whole embedding, and
by the projected part alone, which is what words are compared with.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid_drawings import SyntheticBenchmark, benchmark_images, caption_of
from reid_drawings.plan import GALLERY, QUERY, ImagePlan
from reid_pipeline import LoadedEmbedder, load_embedder
from reid_pipeline.evaluation.word_search import projected_vectors, text_vectors
from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.model_files import EMBEDDER, MODELS

RAW = "data/01_raw/synthetic"
HEADER = f"{'model':<36} {'asked by':<24} {'Rank-1':>7} {'mAP':>7}"


@dataclass(frozen=True)
class Row:
    """A line of the table: how well one model finds the images of a person, asked in one way."""

    model: str
    asked_by: str
    rank1: float
    mAP: float  # noqa: N815 - as everywhere

    def __str__(self) -> str:
        return f"{self.model:<36} {self.asked_by:<24} {100 * self.rank1:>7.1f} {100 * self.mAP:>7.1f}"


@dataclass(frozen=True)
class Drawn:
    """The test images of the drawn benchmark."""

    parameters: SyntheticBenchmark
    root: Path

    def plans(self, subset: str) -> list[ImagePlan]:
        """Return the images of query or gallery, without junk."""
        return [plan for plan in benchmark_images(self.parameters) if plan.subset == subset and plan.pid >= 0]

    def files(self, plans: Sequence[ImagePlan]) -> list[Path]:
        """Return their files."""
        return [self.root / plan.path for plan in plans]


def drawn_in(project: Path) -> Drawn:
    """Return the drawn benchmark of a project."""
    values = json.loads((project / RAW / "drawn_from.json").read_text())
    return Drawn(SyntheticBenchmark(**values), project / RAW)


def rows_of(name: str, model: LoadedEmbedder, drawn: Drawn) -> list[Row]:
    """Measure a model: asked by images, by their projected part, and by captions."""
    queries, gallery = (drawn.plans(subset) for subset in (QUERY, GALLERY))
    asked, found = (model.embed(drawn.files(plans), batch_size=256, progress=True) for plans in (queries, gallery))
    captions = text_vectors(model, [caption_of(drawn.parameters, plan) for plan in queries])
    projected = projected_vectors(model, found)
    numbers = [
        np.array([getattr(plan, what) for plan in plans]) for what in ("pid", "camera") for plans in (queries, gallery)
    ]
    ways = {
        "image": (asked, found),
        "image, projected part": (projected_vectors(model, asked), projected),
        "caption": (captions, projected),
    }
    made = []
    for way, (query_vectors, gallery_vectors) in ways.items():
        result = evaluate_retrieval(query_vectors, gallery_vectors, *numbers).metrics()
        made.append(Row(name, way, result["rank1"], result["mAP"]))
    return made


def demo_cells(project: Path) -> list[str]:
    """Return the addresses of the demo's models."""
    files = sorted((project / MODELS / "synthetic").glob(f"*/seed_*/{EMBEDDER}"))
    return [file.parent.relative_to(project / MODELS).as_posix() for file in files]


def measured(cells: Sequence[str], project: Path) -> list[Row]:
    """Measure all cells, and print each as soon as it is known; what words cannot be searched with is named."""
    drawn, made = drawn_in(project), []
    print(HEADER)
    for cell in cells:
        try:
            rows = rows_of(cell, load_embedder(cell, root=project), drawn)
        except UserError as error:
            print(f"{cell:<36} {error}")
            continue
        print("\n".join(map(str, rows)), flush=True)
        made += rows
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="addresses of models; all of the demo where none is given")
    parser.add_argument("--project", type=Path, default=Path(), help="the project's folder")
    given = parser.parse_args()
    measured(given.cells or demo_cells(given.project), given.project)


if __name__ == "__main__":
    main()
