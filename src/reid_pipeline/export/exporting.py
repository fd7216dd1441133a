"""An export from beginning to end: trace, write, prove; nothing is handed over of which a part is not proved."""

import logging
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reid_pipeline import __version__
from reid_pipeline.export.card_page import card_markdown
from reid_pipeline.export.files import OPSET, Traced, onnx_bytes, pt2_bytes
from reid_pipeline.export.graph import ExportGraph
from reid_pipeline.export.int8 import int8_models
from reid_pipeline.export.licences import licence_note
from reid_pipeline.export.packages import require_formats, versions
from reid_pipeline.export.proof import Proof, bound, calibration_batches, refusal, sha256
from reid_pipeline.export.proof_images import ProofImages
from reid_pipeline.export.sessions import Run, run_of_onnx, run_of_pt2
from reid_pipeline.export.signatures import require_side_information_fits, signature
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.export_parameters import ExportParameters
from reid_pipeline.schema.exports import ExportCard, ExportedFile, ExportMachine, ProofFacts
from reid_pipeline.schema.origin import Origin

Kind = Literal["onnx", "pt2"]
_ARITHMETIC = {"float32": "float32", "float16": "weights and all between normalisation and unit vector float16"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """What an export writes: files by name, the card of all, and its page."""

    files: dict[str, bytes]
    card: ExportCard
    page: str


@dataclass(frozen=True)
class Export:
    """A model to be exported.

    Attributes:
        embedder: the model.
        name: of the export.
        origin: of the embedder, with its digest.
        parameters: how it is exported.
        threads: of the CPU, which latency is measured with.
    """

    embedder: Embedder
    name: str
    origin: Origin
    parameters: ExportParameters
    threads: int

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The formats that are written."""
        given = self.parameters.format
        return ("onnx", "pt2") if given == "all" else (given,)

    def require_possible(self) -> None:
        """Refuse an export that cannot succeed, before any work.

        Raises:
            UserError: a package is missing; int8 is asked of `.pt2`; a tracker is to feed a model that reads cameras.
        """
        require_formats(self.kinds)
        if self.kinds == ("pt2",) and self.parameters.precision == ("int8",):
            raise UserError("int8 is written as ONNX alone. Give format=onnx, or another export.precision.")
        encoder = self.embedder.encoder
        require_side_information_fits(self._graph(), encoder.num_cameras, encoder.num_views)

    def run(self, images: ProofImages) -> Exported:
        """Export and prove.

        Raises:
            UserError: as `require_possible`, or an export differs from the model by more than its bound.
        """
        self.require_possible()
        graph = ExportGraph(self.embedder, self._graph())
        proof = Proof.of(graph, images, self.parameters.latency_seconds)
        whole = Traced(graph)
        made = [each for precision in self.parameters.precision for each in self._files(precision, whole, proof)]
        card = self._card(graph, proof, [facts for facts, _ in made])
        return Exported({facts.file: content for facts, content in made}, card, card_markdown(card))

    def _graph(self) -> Any:
        encoder = self.embedder.encoder
        size = (int(encoder.image_size[0]), int(encoder.image_size[1]))
        return signature(self.parameters.signature, size, encoder.pixel_mean, encoder.pixel_std)

    def _files(self, precision: str, whole: Traced, proof: Proof) -> Iterator[tuple[ExportedFile, bytes]]:
        """Yield what is written in one precision, each with its proof."""
        _log.info("export: %s", precision)
        if precision == "int8":
            if "onnx" in self.kinds:
                yield self._int8(whole.model, proof)
            else:
                _log.info("export: int8 is written as ONNX alone, and left out of format=pt2")
            return
        used = Traced(ExportGraph(self.embedder, whole.graph.made, half=True)) if precision == "float16" else whole
        for kind in self.kinds:
            metadata = self._metadata(used.graph, precision)
            if kind == "onnx":
                content = onnx_bytes(used.model, metadata, self._description())
            else:
                content = pt2_bytes(used.program, metadata)
            facts, fault = self._proved(kind, precision, content, proof, _ARITHMETIC[precision])
            if fault:
                raise self._refused(facts, fault)
            yield facts, content

    def _int8(self, model: Any, proof: Proof) -> tuple[ExportedFile, bytes]:
        """Return the first arithmetic of 8 bits that is within the bound."""
        metadata = self._metadata(proof.graph, "int8")
        refused: list[str] = []
        for arithmetic, made in int8_models(model, calibration_batches(proof.graph, proof.images)):
            content = onnx_bytes(made, {**metadata, "arithmetic": arithmetic}, self._description())
            facts, fault = self._proved("onnx", "int8", content, proof, arithmetic)
            if not fault:
                return facts.model_copy(update={"refused": tuple(refused)}), content
            refused.append(f"not {arithmetic}, by which {fault}")
            _log.info("export: int8, %s", refused[-1])
        raise self._refused(facts, "; ".join(refused))

    def _proved(
        self, kind: Kind, precision: str, content: bytes, proof: Proof, arithmetic: str
    ) -> tuple[ExportedFile, str]:
        """Return a file's proof, and what is wrong with it; empty where nothing is."""
        run: Run = run_of_onnx(content, self.threads) if kind == "onnx" else run_of_pt2(content)
        agreement = proof.of_run(run, f"{precision}.{kind}")
        fault = refusal(precision, agreement)
        facts = ExportedFile(
            file=f"{proof.graph.made.prefix}{precision}.{kind}",
            format=kind,
            precision=precision,
            arithmetic=arithmetic,
            sha256=sha256(content),
            bytes=len(content),
            agreement=agreement,
            bound=bound(precision, agreement),
            latency=() if fault else proof.timed(run),
        )
        return facts, fault

    def _refused(self, facts: ExportedFile, fault: str) -> UserError:
        others = "+".join(each for each in self.parameters.precision if each != facts.precision) or "float32"
        return UserError(
            f"The export of {self.name} as {facts.file} is not the model: {fault}. Nothing was written. Leave that"
            f" precision out, export.precision={others}."
        )

    def _description(self) -> str:
        encoder, origin = self.embedder.encoder, self.origin
        made = f" by {origin.method}" if origin.method else ""
        on = f" on {origin.benchmark}" if origin.benchmark else ""
        trained = "not adapted" if origin.method == ZERO_SHOT else f"trained{made}{on}"
        return (
            f"Image embedder of reid_pipeline for re-identification: {encoder.name}, {trained}, images of"
            f" {encoder.image_size[0]} x {encoder.image_size[1]} (rows x columns) to unit vectors of"
            f" {encoder.embedding_width} numbers."
        )

    def _metadata(self, graph: ExportGraph, precision: str) -> dict[str, str]:
        """Return what the file says of itself, as text; no name is one that Ultralytics sets an attribute by."""
        encoder = self.embedder.encoder
        tensors = {"inputs": graph.inputs(), "outputs": graph.outputs()}
        own = {
            "reid_pipeline": __version__,
            "name": self.name,
            "licence": licence_note(self.embedder.origin),
            "origin": self.origin.model_dump_json(),
            "precision": precision,
            "signature": graph.made.name,
            "opset": str(OPSET),
            **{key: _json([each.content() for each in found]) for key, found in tensors.items()},
            "resize": f"{encoder.evaluation_resize}, antialiased",
            "pixel_mean": _json(encoder.pixel_mean),
            "pixel_std": _json(encoder.pixel_std),
        }
        return own | (_ultralytics(graph.made.size) if graph.made.name == "ultralytics" else {})

    def _card(self, graph: ExportGraph, proof: Proof, files: list[ExportedFile]) -> ExportCard:
        encoder, images = self.embedder.encoder, proof.images
        card = ExportCard(
            name=self.name,
            description=self._description(),
            licence=licence_note(self.embedder.origin),
            signature=graph.made.name,
            inputs=graph.inputs(),
            outputs=graph.outputs(),
            opset=OPSET if "onnx" in self.kinds else None,
            image_size=(int(encoder.image_size[0]), int(encoder.image_size[1])),
            resize=f"{encoder.evaluation_resize}, antialiased",
            pixel_mean=encoder.pixel_mean,
            pixel_std=encoder.pixel_std,
            proof=ProofFacts(
                images=len(images.tested.paths), source=images.source, queries=images.queries, mAP=proof.mAP
            ),
            files=tuple(files),
            resizes=proof.resize_costs(),
            machine=ExportMachine(
                cpu=processor(), cpus=os.cpu_count() or 1, threads=self.threads, packages=versions(self.kinds)
            ),
        )
        read = {"export": self.parameters.model_dump(mode="json")}
        made_from = {**self.origin.made_from, "embedder": self.origin.digest or ""}
        return card.with_origin(
            self.origin.replace(made_by="export", parameters=read, made_from=made_from, code=__version__)
        )


def _ultralytics(size: tuple[int, int]) -> dict[str, str]:
    """Return what versions of Ultralytics up to 8.3 ask of a file's metadata."""
    return {"stride": "32", "task": "classify", "batch": "1", "imgsz": _json(size), "names": "{0: 'individual'}"}


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of this machine's processor."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())
