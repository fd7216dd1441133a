"""Words find pictures: texts as vectors in CLIP's joint space, beside the projected part of image embeddings.

The image tower may have been trained since; the text tower is the one of the weights that training started from, since
no method of this project changes it. What it is still worth: docs/embedding.md.

Shape suffixes: L tokens, T width of an embedded token; in texts t texts, d width of the joint space.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reid_pipeline.evaluation.loaded_embedder import LoadedEmbedder
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.pretrained import pretrained_state, weights_digest
from reid_pipeline.models.text_encoder import TextEncoder
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.origin import TEXT_TOWER

_log = logging.getLogger(__name__)


def text_vectors(embedder: LoadedEmbedder, words: Sequence[str]) -> np.ndarray:
    """Return each text in CLIP's joint space, to be compared with `projected_vectors` of the same model.

    Args:
        embedder: a model whose embeddings have a projected part.
        words: texts, such as "a person in a red jacket with a backpack", each for itself.

    Returns:
        float32 [t, d] of unit rows.

    Raises:
        UserError: embeddings have no projected part, or are read after necks; the CLIP has no text tower, or it is not
            there; a text is empty, too long, or says nothing that the tower knows.
    """
    projected = require_projected(embedder)
    if empty := [place for place, text in enumerate(words) if not text.strip()]:
        raise UserError(f"Text {empty[0]} of {len(words)} is empty. Write what the picture is to show, in English.")
    tower = text_tower(embedder)
    if tower.projected_width != projected.stop - projected.start:
        raise UserError(
            f"{_NO_WORDS}: its text tower has {tower.projected_width} numbers, and the projected part of its embeddings"
            f" {projected.stop - projected.start}."
        )
    vectors = [_encoded(tower, text) for text in words]
    return np.stack(vectors) if vectors else np.empty((0, tower.projected_width), dtype=np.float32)


def projected_vectors(embedder: LoadedEmbedder, vectors: np.ndarray) -> np.ndarray:
    """Return the projected part of embeddings of that model, normalised anew.

    Args:
        embedder: the model.
        vectors: its embeddings, float32 [n, D].

    Returns:
        float32 [n, d] of unit rows: their products with `text_vectors` are cosines.

    Raises:
        UserError: there is no such part.
    """
    columns = require_projected(embedder)
    if vectors.ndim != 2 or vectors.shape[1] != embedder.width:
        raise UserError(f"Vectors {list(vectors.shape)} are not of this model, whose embeddings have {embedder.width}.")
    part = vectors[:, columns].astype(np.float32)
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    made: np.ndarray = part / np.maximum(lengths, np.finfo(np.float32).tiny)
    return made


def require_projected(embedder: LoadedEmbedder) -> slice:
    """Return the columns of the projected part of the embeddings; a UserError where there is none."""
    if embedder.embedder.neck == "after":
        raise UserError(
            f"{_NO_WORDS}: its embeddings are read after necks, which lead out of the space of images and texts."
            " Take zero_shot, baseline, clip_reid or svll_reid."
        )
    if embedder.projected is None:
        raise UserError(
            f"{_NO_WORDS}: its image tower {embedder.description['backbone']!r} has no projection into a space that"
            " images and texts share. Take a model on a CLIP that has one, such as ViT-B-16-quickgelu."
        )
    return embedder.projected


def text_tower(embedder: LoadedEmbedder) -> TextEncoder:
    """Return the text tower of the weights that a model's training started from.

    Raises:
        UserError: the network has none that texts can be read with, or its weights are not known, or not there.
    """
    name = str(embedder.description["backbone"])
    architecture = Architecture(name)
    try:
        architecture.require_prompts()
    except UserError as error:
        raise UserError(f"{_NO_WORDS}: {name!r} has no text tower that this project can read texts with.") from error
    pretrained = _pretrained(embedder, name)
    try:
        return TextEncoder(architecture, pretrained_state(architecture, pretrained, text=True)).eval()
    except UserError as error:
        raise UserError(f"{_NO_WORDS}: its text tower cannot be read. {error}") from error


def _pretrained(embedder: LoadedEmbedder, name: str) -> str | Path:
    """Return the weights that the text tower is of, as `backbone.pretrained` names them."""
    origin = embedder.origin
    wanted = origin.made_from.get(TEXT_TOWER) or origin.weights
    own = origin.parameters.get(origin.method or "", {})
    backbone: Any = own.get("backbone") if isinstance(own, Mapping) else None
    pretrained = backbone.get("pretrained") if isinstance(backbone, Mapping) else None
    if pretrained is None or wanted in (None, "random"):
        raise UserError(
            f"{_NO_WORDS}: it does not say which CLIP's weights it started from, or these were random: its text tower"
            " is not known."
        )
    if (found := weights_digest(name, pretrained)) != wanted:
        raise UserError(
            f"{_NO_WORDS}: its text tower is not there. The weights {pretrained!r} of {name!r} are not those that it"
            f" started from (SHA-256 {found[:12]} instead of {str(wanted)[:12]})."
        )
    return str(pretrained)


@torch.no_grad()
def _encoded(tower: TextEncoder, text: str) -> np.ndarray:
    """Return the unit vector of one text, float32 [d]."""
    tokens_L, longer = tower.tokenize([text])[0], tower.tokenize([text], length=2 * tower.context_length)[0]
    if not torch.equal(tokens_L[tokens_L != tower.pad_id], longer[longer != tower.pad_id]):
        raise UserError(f"The text {text[:60]!r}... is too long for {tower.name!r}: say it in fewer words.")
    position = tower.read_position(tokens_L)
    embedded_1LT = tower.embed(tokens_L[None, : tower.run_length(position)])
    _refuse_unknown(tower, text, tokens_L[1:position], embedded_1LT[0, 1:position])
    vector = tower.encode(embedded_1LT, position)[0].float()
    return torch.nn.functional.normalize(vector, dim=0).numpy()


def _refuse_unknown(tower: TextEncoder, text: str, tokens_L: torch.Tensor, embedded_LT: torch.Tensor) -> None:
    """Refuse a text of words without an embedding, and warn of single ones: the demo CLIP has those of its captions."""
    empty = ~embedded_LT.any(dim=1)
    if not empty.any():
        return
    decode = getattr(tower.tokenizer, "tokenizer", tower.tokenizer).decode
    unknown = first_few([repr(decode([token]).strip()) for token in tokens_L[empty].tolist()])
    if empty.all():
        raise UserError(f"The weights of {tower.name!r} know nothing of the text {text[:60]!r}. Use other words.")
    _log.warning("The weights of %r do not know %s: the text is read without.", tower.name, unknown)


_NO_WORDS = "Words cannot be searched for with this model"
