"""Text features of the prompts that a model learns for its identities, before they are learnt and after.

Shape suffixes: N identities, E width of CLIP's joint space.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from reid_pipeline.engine.checkpoint import Checkpoint
from reid_pipeline.engine.seeding import chance_as_it_was, numpy_generator, seed_global_state
from reid_pipeline.engine.starting import Start


@runtime_checkable
class Prompted(Protocol):
    """A model with a prompt for each identity, such as `PromptedReIDModel`, which other methods do without."""

    def encode_text(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the text features of identities' prompts: int64 [B] to float [B, E]."""


class PromptFeatures(NamedTuple):
    """Text features of sampled identities."""

    names: tuple[str, ...]  # the user's, [N]
    before: np.ndarray  # float32 [N, E]: of the tokens as they are sampled when training begins
    after: np.ndarray  # float32 [N, E]: of the learnt tokens


def prompt_features(start: Start, checkpoint: Checkpoint, seed: int, count: int) -> PromptFeatures | None:
    """Return the text features of up to `count` identities; None of a model without prompts, or a count of 0.

    `start` is what the training of the checkpoint began from, and `seed` its seed: the tokens before are its own.
    """
    names = checkpoint.description.label_map
    labels = torch.from_numpy(np.sort(numpy_generator(seed, "explain", "texts").permutation(len(names))[:count]))
    if not len(labels):
        return None
    with chance_as_it_was():
        seed_global_state(seed, "build")
        model = start.model()
    if not isinstance(model, Prompted):
        return None
    model.eval()
    with torch.no_grad():
        before = model.encode_text(labels).float().numpy()
        model.load_state_dict(checkpoint.tensors)
        after = model.encode_text(labels).float().numpy()
    return PromptFeatures(tuple(names[label] for label in labels.tolist()), before, after)
