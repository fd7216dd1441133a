"""Shrunken text towers of every kind, under open_clip's own configurations, and tokenizers that need no download."""

import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = ["a", "photo", "of", "x", "person", "vehicle", ".", "dog", "red", "cat", "the", "two", "people", "in", "hall"]

KINDS = {
    "causal, 77 tokens": "ViT-B-16-quickgelu",
    "causal, 32 tokens, a module of its own": "PE-Core-B-16",
    "causal, 77 tokens, a module of its own": "EVA02-B-16",
    "not causal, read at the end of text": "MobileCLIP2-S0",
    "not causal, read at the last token, biased projection": "ViT-B-16-SigLIP2-256",
    "not causal, read at the last token, padded with the end": "ViT-B-16-SigLIP",
    "not causal, no projection": "ViT-SO400M-16-SigLIP-i18n-256",
    "not causal, BERT's tokens": "ViT-L-14-CLIPA",
    "causal, read at an end of text of its own": "ViT-H-14-worldwide",
}
"""Kinds of text towers, by a network of open_clip that has one."""
# Ids of (start, end, padding) as the tokenizers of these networks have them; those without start have None.
_SPECIAL = {
    "timm/ViT-B-16-SigLIP2-256": (None, 1, 0),
    "timm/ViT-B-16-SigLIP": (None, 1, 1),
    "timm/ViT-B-16-SigLIP-i18n-256": (None, 1, 1),
    "bert-base-uncased": (3, 4, 0),
    "facebook/xlm-v-base": (0, 2, 1),
}


def shrunken(name: str, folder: Path) -> dict[str, Any]:
    """Return open_clip's configuration of `name`, 32 wide with 2 layers; `folder` gets its tokenizer, if it has one."""
    import open_clip

    config = open_clip.get_model_config(name)
    text = config["text_cfg"] | {"width": 32, "heads": 2, "layers": 2}
    if source := text.get("hf_tokenizer_name"):
        (folder / "words.json").write_text(json.dumps(_SPECIAL[source]))
        text |= {"hf_tokenizer_name": str(folder), "vocab_size": 64}
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
    # Without a projection the tower's width is that of the joint space.
    return config | {"embed_dim": 32 if text.get("proj_type") == "none" else 24, "vision_cfg": vision, "text_cfg": text}


def listed(monkeypatch: pytest.MonkeyPatch, name: str, config: dict[str, Any]) -> None:
    """Let open_clip list a configuration for as long as the test runs."""
    from open_clip import factory

    monkeypatch.setitem(factory._MODEL_CONFIGS, name, config)


def words_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package `transformers` be there, as far as open_clip's tokenizer calls it: it reads `words.json`."""
    module = types.ModuleType("transformers")
    module.__spec__ = importlib.machinery.ModuleSpec("transformers", None)
    module.__dict__["AutoTokenizer"] = WordTokenizer
    monkeypatch.setitem(sys.modules, "transformers", module)


class WordTokenizer:
    """A tokenizer of whole words, with the calls and marks of those of Hugging Face."""

    def __init__(self, start: int | None, end: int, padding: int) -> None:
        self.start, self.end, self.padding = start, end, padding
        self.sep_token_id = end

    @classmethod
    def from_pretrained(cls, folder: str, **_: Any) -> "WordTokenizer":
        path = Path(folder) / "words.json"
        if not path.is_file():
            raise OSError(f"{folder} holds no tokenizer")
        return cls(*json.loads(path.read_text()))

    def __call__(self, texts: list[str], *, max_length: int, **_: Any) -> Any:
        rows = [self._row(text.lower().replace(".", " .").split(), max_length) for text in texts]
        return types.SimpleNamespace(input_ids=torch.tensor(rows))

    def _row(self, words: list[str], length: int) -> list[int]:
        start = [] if self.start is None else [self.start]
        ids = [*start, *(10 + WORDS.index(word) for word in words)][: length - 1]
        return [*ids, self.end] + [self.padding] * (length - 1 - len(ids))

    def decode(self, ids: list[int]) -> str:
        return " ".join(WORDS[each - 10] for each in ids)
