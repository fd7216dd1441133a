"""The card of an export as Markdown, and in a few lines for a terminal."""

from collections.abc import Iterable, Sequence

from reid_pipeline.export.proof import bound
from reid_pipeline.schema.exports import ExportCard, ExportedFile, FeatureAgreement, TensorFacts


def card_markdown(card: ExportCard) -> str:
    """Return the page."""
    parts = [
        f"# {card.name}",
        card.description,
        _proof(card),
        "## Files",
        _table(
            ("file", "arithmetic", "bytes", "mAP", "less the model's", "least cosine", "mean cosine",
             "largest difference", "mean difference", "bound"),
            (_file(each) for each in card.files),
        ),
        *(f"{each.file}: {why}" for each in card.files for why in each.refused),
        "## Latency",
        f"Milliseconds an image, on {card.machine.cpu}; threads: {card.machine.threads}.",
        _table(("file", "batch", "exported", "by torch"), _latencies(card.files)),
        "## In and out",
        _table(("name", "type", "shape", "what"), (_tensor(each) for each in (*card.inputs, *card.outputs))),
        f"The network normalises by mean {_numbers(card.pixel_mean)} and standard deviation"
        f" {_numbers(card.pixel_std)} itself. " + (f"Opset {card.opset}." if card.opset else ""),
        "## Before the network",
        f"The caller resizes. The model was tested on images resized by {card.resize}. Another filter costs:",
        _table(
            ("filter", "mAP", "less the model's", "least cosine", "mean cosine"),
            ((each.resize, *_scores(each.agreement)) for each in card.resizes),
        ),
        "## Weights",
        card.licence,
        "## Sums",
        _table(("file", "SHA-256"), ((each.file, each.sha256) for each in card.files)),
        "Made and run with " + ", ".join(f"{name} {value}" for name, value in card.machine.packages.items()) + ".",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def card_text(card: ExportCard) -> str:
    """Return the proof in a few lines."""
    lines = [_proof(card)]
    for each in card.files:
        least = " ".join(f"{time.exported:g} ms an image in batches of {time.batch}," for time in each.latency)
        lines.append(f"{each.file}: {_in_words(each.agreement)}, {least} {each.bytes:,} bytes")
    lines += [f"{each.resize}: {_in_words(each.agreement)}" for each in card.resizes]
    return "\n".join(lines)


def _in_words(found: FeatureAgreement) -> str:
    """Return what was measured; without labels there is no mAP."""
    score, points, least, _ = _scores(found)
    return f"{f'mAP {score} ({points} points), ' if found.mAP is not None else ''}least cosine {least}"


def _proof(card: ExportCard) -> str:
    proof = card.proof
    if proof.mAP is None:
        return f"Proved on {proof.images} images ({proof.source}), without labels."
    return (
        f"Proved on the {proof.source}: {proof.images} images, {proof.queries} queries, mAP {_percent(proof.mAP)} by"
        " the model in float32 on the same inputs."
    )


def _file(each: ExportedFile) -> tuple[str, ...]:
    found = each.agreement
    differences = (f"{found.largest_difference:.1e}", f"{found.mean_difference:.1e}")
    return each.file, each.arithmetic, f"{each.bytes:,}", *_scores(found), *differences, bound(each.precision, found)


def _scores(found: FeatureAgreement) -> tuple[str, str, str, str]:
    points = "-" if found.mAP_difference is None else f"{100 * found.mAP_difference:+.2f}"
    return _percent(found.mAP), points, f"{found.cosine_min:.6f}", f"{found.cosine_mean:.6f}"


def _latencies(files: Sequence[ExportedFile]) -> Iterable[tuple[str, ...]]:
    for each in files:
        for time in each.latency:
            yield each.file, str(time.batch), f"{time.exported:g}", f"{time.model:g}"


def _tensor(each: TensorFacts) -> tuple[str, ...]:
    return each.name, each.dtype, " x ".join(map(str, each.shape)), each.words


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
