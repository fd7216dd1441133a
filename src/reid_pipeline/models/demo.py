"""The packed weights of the small CLIP of our own, `demo-vit`.

The token embedding of a CLIP has 49,408 rows; the demo's captions touch a few hundred. The packed form
stores those rows alone (`token_embedding.rows`, `token_embedding.values`), all else in half precision.

Shape suffixes: R stored rows, V vocabulary, T width of the text tower.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from reid_pipeline.schema.errors import UserError

DEMO_TAG = "demo"
DEMO_WEIGHTS = Path(__file__).parent / "weights" / "demo_clip.safetensors"
DEMO_VOCABULARY = 49408

_EMBEDDING = "token_embedding.weight"
_ROWS = "token_embedding.rows"
_VALUES = "token_embedding.values"


def pack_demo_state(state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Return the small form of a CLIP's state, as `safetensors` stores it.

    Args:
        state: state of the demo CLIP, float.
        rows: Int64 [R], the token ids that training touched, in 0..V-1; repeats are merged.

    Returns:
        Float16 tensors; the token embedding as int64 [R] ids, ascending, and float16 [R, T] values. The
        embedding of every other token is dropped, and is zero after `unpack_demo_state`.

    Raises:
        ValueError: a row is outside the vocabulary, or a value does not fit into half precision.
    """
    embedding_VT = state[_EMBEDDING]
    rows_R = torch.unique(rows.detach().cpu().long())
    if rows_R.numel() and (rows_R[0] < 0 or rows_R[-1] >= len(embedding_VT)):
        raise ValueError(f"Token ids lie in 0..{len(embedding_VT) - 1}; got {int(rows_R[0])}..{int(rows_R[-1])}.")
    kept = {key: value for key, value in state.items() if key != _EMBEDDING}
    kept[_VALUES] = embedding_VT.detach().cpu()[rows_R]
    packed = {key: value.detach().cpu().half().contiguous() for key, value in kept.items()}
    overflown = [key for key, value in packed.items() if not torch.isfinite(value).all()]
    if overflown:
        raise ValueError(f"Not finite in half precision: {', '.join(overflown[:5])}.")
    packed[_ROWS] = rows_R
    return packed


def unpack_demo_state(packed: Mapping[str, Tensor], *, vocabulary: int = DEMO_VOCABULARY) -> dict[str, Tensor]:
    """Return the full state of a CLIP, float32, from its packed form.

    Args:
        packed: what `pack_demo_state` returned.
        vocabulary: V, rows of the token embedding.

    Returns:
        state of the demo CLIP; tokens that were not stored have a zero embedding.
    """
    state = {key: value.float() for key, value in packed.items() if key not in (_ROWS, _VALUES)}
    values_RT = packed[_VALUES].float()
    embedding_VT = torch.zeros(vocabulary, values_RT.shape[1])
    embedding_VT[packed[_ROWS]] = values_RT
    state[_EMBEDDING] = embedding_VT
    return state


def load_demo_state(path: Path | None = None) -> dict[str, Tensor]:
    """Read the demo CLIP's weights that ship with the package.

    Args:
        path: another file in the same form.

    Raises:
        UserError: the file is absent.
    """
    from safetensors.torch import load_file

    path = path or DEMO_WEIGHTS
    if not path.is_file():
        raise UserError(
            f"The weights of the demo CLIP are not there: {str(path)!r}. They ship with the package; make them "
            f"again with `kedro run --pipeline=pretrain_demo_clip`."
        )
    return unpack_demo_state(load_file(path, device="cpu"))
