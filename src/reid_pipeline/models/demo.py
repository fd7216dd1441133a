"""The packed weights of the small CLIP of our own, `demo-vit`.

The token embedding of a CLIP has 49,408 rows; the demo's captions touch a few hundred. The packed form
stores those rows alone (`token_embedding.rows`, `token_embedding.values`), all else in half precision.

Shape suffixes: R stored rows, V vocabulary, T width of the text tower.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from reid_pipeline.schema.errors import UserError

DEMO_TAG = "demo"
DEMO_WEIGHTS = Path(__file__).parent / "weights" / "demo_clip.safetensors"

_VOCABULARY = 49408
_EMBEDDING = "token_embedding.weight"
_ROWS = "token_embedding.rows"
_VALUES = "token_embedding.values"


def pack_demo_state(state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Return the small form of a CLIP's state, as `safetensors` stores it.

    Args:
        state: state of the demo CLIP, float.
        rows: Int64 [R], the token ids that training touched, in 0..V-1; repeats are merged. The embedding of
            every other token is dropped, and is zero after `unpack_demo_state`.

    Raises:
        ValueError: a row is outside the vocabulary, or a value does not fit into half precision.
    """
    embedding_VT = state[_EMBEDDING]
    rows_R = torch.unique(rows.detach().cpu().long())
    if rows_R.numel() and (rows_R[0] < 0 or rows_R[-1] >= len(embedding_VT)):
        raise ValueError(f"Token ids lie in 0..{len(embedding_VT) - 1}; got {int(rows_R[0])}..{int(rows_R[-1])}.")
    stored = {key: value for key, value in state.items() if key != _EMBEDDING}
    stored[_VALUES] = embedding_VT.detach().cpu()[rows_R]
    packed = {key: value.detach().cpu().half().contiguous() for key, value in stored.items()}
    overflown = [key for key, value in packed.items() if not torch.isfinite(value).all()]
    if overflown:
        raise ValueError(f"Not finite in half precision: {', '.join(overflown[:5])}.")
    packed[_ROWS] = rows_R
    return packed


def unpack_demo_state(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full state of the demo CLIP, float32, from what `pack_demo_state` returned."""
    state = {key: value.float() for key, value in packed.items() if key not in (_ROWS, _VALUES)}
    values_RT = packed[_VALUES].float()
    embedding_VT = torch.zeros(_VOCABULARY, values_RT.shape[1])
    embedding_VT[packed[_ROWS]] = values_RT
    state[_EMBEDDING] = embedding_VT
    return state


def load_demo_state() -> dict[str, Tensor]:
    """Read the demo CLIP's weights that ship with the package.

    Raises:
        UserError: the file is absent.
    """
    if not DEMO_WEIGHTS.is_file():
        raise UserError(
            f"The weights of the demo CLIP are not there: {str(DEMO_WEIGHTS)!r}. They ship with the package; make them "
            f"again with `kedro run --pipeline=pretrain_demo_clip`."
        )
    return unpack_demo_state(load_file(DEMO_WEIGHTS, device="cpu"))
