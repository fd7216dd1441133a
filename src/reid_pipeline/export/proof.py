"""The proof that a file is the model: features and mAP of both on the same images, and the bounds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reid_pipeline.engine.progress import track
from reid_pipeline.export.graph import ExportGraph
from reid_pipeline.export.proof_images import BATCH, Filter, ProofImages
from reid_pipeline.export.sessions import BATCHES, Inputs, Run, inputs_of, latency, run_of_graph
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.exports import FeatureAgreement, Latency, ResizeCost

MAP_POINTS = {"float32": 0.1, "float16": 0.2, "int8": 0.5}
"""Points of mAP by which an export may differ from its model."""
COSINES = {"float32": 0.9999, "float16": 0.999, "int8": 0.98}
"""The least cosine of an image's two vectors, where there are no labels; docs/exporting.md has where these are from."""
OPENCV = "bilinear without antialiasing, as OpenCV's INTER_LINEAR"


@dataclass(frozen=True)
class Proof:
    """A model's own figures, which files are compared with.

    Attributes:
        graph: the network in float32.
        images: what both are run on.
        vectors: of the network, float32 [n, E].
        mAP: of these; None without labels.
        latencies: of the network, by batch.
    """

    graph: ExportGraph
    images: ProofImages
    vectors: np.ndarray
    mAP: float | None  # noqa: N815 - as the records have it
    latencies: dict[int, float]
    seconds: float

    @classmethod
    def of(cls, graph: ExportGraph, images: ProofImages, seconds: float) -> "Proof":
        """Run the network itself; latencies are measured over so many seconds each."""
        run = run_of_graph(graph)
        vectors = _vectors(run, graph, images, "model")
        score = None if images.score is None else images.score(vectors)
        return cls(
            graph, images, vectors, score, {batch: latency(run, graph, batch, seconds) for batch in BATCHES}, seconds
        )

    def agreement(self, vectors: np.ndarray) -> FeatureAgreement:
        """Compare unit vectors with the model's."""
        difference = np.abs(vectors - self.vectors)
        cosines = np.einsum("nd,nd->n", vectors.astype(np.float64), self.vectors.astype(np.float64))
        scored = {}
        if self.images.score is not None and self.mAP is not None:
            score = self.images.score(vectors)
            scored = {"mAP": score, "mAP_difference": score - self.mAP}
        return FeatureAgreement(
            largest_difference=float(difference.max()),
            mean_difference=float(difference.mean()),
            cosine_min=float(cosines.min()),
            cosine_mean=float(cosines.mean()),
            **scored,
        )

    def of_run(self, run: Run, what: str) -> FeatureAgreement:
        """Run an exported network on all images, and compare."""
        return self.agreement(_vectors(run, self.graph, self.images, what))

    def timed(self, run: Run) -> tuple[Latency, ...]:
        """Measure an exported network beside the model."""
        return tuple(
            Latency(batch=batch, exported=latency(run, self.graph, batch, self.seconds), model=self.latencies[batch])
            for batch in BATCHES
        )

    def resize_costs(self) -> tuple[ResizeCost, ...]:
        """Return what another filter than the model's costs, by the model itself."""
        vectors = _vectors(run_of_graph(self.graph), self.graph, self.images, "other filter", "opencv")
        return (ResizeCost(resize=OPENCV, agreement=self.agreement(vectors)),)


def bound(precision: str, agreement: FeatureAgreement) -> str:
    """Return the bound that holds for an export, in words."""
    if agreement.mAP is not None:
        return f"mAP within {MAP_POINTS[precision]} points"
    return f"every cosine at least {COSINES[precision]}, as no image has a label"


def refusal(precision: str, agreement: FeatureAgreement) -> str:
    """Return what is wrong with an export, a clause; empty where it is within its bound."""
    if agreement.mAP is None or agreement.mAP_difference is None:
        least = COSINES[precision]
        found = agreement.cosine_min
        return "" if found >= least else f"its least cosine to the model is {found:.5f}, and {least} is needed"
    points = 100 * agreement.mAP_difference
    if abs(points) <= MAP_POINTS[precision]:
        return ""
    before = 100 * (agreement.mAP - agreement.mAP_difference)
    return (
        f"its mAP is {100 * agreement.mAP:.2f} and the model's {before:.2f}, a difference of {points:+.2f} points, of"
        f" which {MAP_POINTS[precision]} are allowed"
    )


def calibration_batches(graph: ExportGraph, images: ProofImages) -> list[Inputs]:
    """Return inputs made of the calibration images."""
    return list(_inputs(graph, images, calibration=True))


def sha256(content: bytes) -> str:
    """Return a file's digest."""
    return hashlib.sha256(content).hexdigest()


def _vectors(
    run: Run, graph: ExportGraph, images: ProofImages, title: str, resize_filter: Filter | None = None
) -> np.ndarray:
    """Return unit vectors of all images, in order, float32 [n, E]."""
    batches = _inputs(graph, images, resize_filter)
    shown = track(batches, title, total=len(images.tested.paths), unit="images", size=BATCH)
    vectors = np.concatenate([run(inputs) for inputs in shown])
    require_finite(vectors, title)
    return vectors


def require_finite(vectors: np.ndarray, what: str) -> None:
    """Refuse vectors with numbers that are none; `what` made them."""
    bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    if bad:
        raise UserError(
            f"{what} gives numbers that are not finite for {bad} of {len(vectors)} images: half precision overflowed,"
            " or the model has diverged. Nothing was written. Leave float16 out, export.precision=float32+int8, or"
            " export another model."
        )


def _inputs(
    graph: ExportGraph, images: ProofImages, resize_filter: Filter | None = None, *, calibration: bool = False
) -> Iterator[Inputs]:
    files = images.calibration if calibration else images.tested
    own: Filter = graph.embedder.encoder.evaluation_resize
    for pixels, (camids, viewids) in files.batches(graph.made.size, resize_filter or own):
        yield inputs_of(graph, graph.made.fed(pixels), camids, viewids)
