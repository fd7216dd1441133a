from collections.abc import Iterator

import pytest
import torch
from openai_format import OpenAIFiles, random_openai_state, torchscript_module
from torch import Tensor

from reid_pipeline.models.architecture import Architecture


@pytest.fixture(scope="session")
def openai_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAIFiles]:
    """One random ViT-B/16 in OpenAI's two formats; 300 MB each, so made once and removed."""
    folder = tmp_path_factory.mktemp("openai")
    files = OpenAIFiles(random_openai_state(), folder / "ViT-B-16-state.pt", folder / "ViT-B-16.pt")
    torch.save(files.state, files.state_dict)
    torchscript_module(files.state).save(str(files.archive))
    yield files
    files.state_dict.unlink()
    files.archive.unlink()


@pytest.fixture(scope="session")
def demo_state() -> dict[str, Tensor]:
    """State of a randomly initialised demo CLIP."""
    torch.manual_seed(3)
    return {key: value.clone() for key, value in Architecture("demo-vit").clip().state_dict().items()}


@pytest.fixture
def demo_images() -> Tensor:
    return torch.randn(3, 3, 96, 48, generator=torch.Generator().manual_seed(1))
