from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.checkpoint_files import looks_like
from reid_pipeline.models.pretrained import pretrained_state
from reid_pipeline.schema.errors import UserError

State = dict[str, Tensor]
DEMO = Architecture("demo-vit")


def _training_checkpoint(state: State, path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}}}, path)


def _separate_text_module(state: State, path: Path) -> None:
    keep = ("visual.", "logit_scale")
    torch.save({key if key.startswith(keep) else f"text.{key}": value for key, value in state.items()}, path)


def _half_safetensors(state: State, path: Path) -> None:
    save_file({key: value.half() for key, value in state.items()}, path)


@pytest.mark.parametrize(
    ("write", "file_name"),
    [(_training_checkpoint, "epoch_3.pt"), (_separate_text_module, "text.bin"), (_half_safetensors, "a.safetensors")],
)
def test_open_clips_own_formats(tmp_path: Path, demo_state: State, write, file_name: str) -> None:
    path = tmp_path / file_name
    write(demo_state, path)
    tolerance = 2e-3 if "safetensors" in file_name else 0
    loaded = pretrained_state(DEMO, path, text=True)
    assert loaded.keys() == demo_state.keys()
    for key, value in loaded.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, demo_state[key], atol=tolerance, rtol=tolerance)
    DEMO.clip().load_state_dict(loaded)


def test_a_lone_image_tower(tmp_path: Path, demo_state: State) -> None:
    visual = {key.removeprefix("visual."): v for key, v in demo_state.items() if key.startswith("visual.")}
    torch.save(visual, tmp_path / "visual.pt")
    assert torch.equal(pretrained_state(DEMO, tmp_path / "visual.pt")["visual.proj"], visual["proj"])
    with pytest.raises(UserError, match=r"tensor '\w+[\w.]*' is absent from the file"):
        pretrained_state(DEMO, tmp_path / "visual.pt", text=True)


def test_random_weights_follow_the_seed_and_pretrained_ones_draw_nothing(tmp_path: Path, demo_state: State) -> None:
    def encoder_after(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return build_image_encoder("demo-vit", image_size=(96, 48)).visual.conv1.weight

    assert torch.equal(encoder_after(1), encoder_after(1))
    assert not torch.equal(encoder_after(1), encoder_after(2))
    torch.save(demo_state, tmp_path / "demo.pt")
    before = torch.get_rng_state()
    build_image_encoder("demo-vit", pretrained=tmp_path / "demo.pt", image_size=(96, 48))
    assert torch.equal(before, torch.get_rng_state())


def test_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "ViT-B-16.pt").touch()
    with pytest.raises(UserError, match=r"ViT-B-61.pt' does not exist. Did you mean 'ViT-B-16.pt'\?.*`pretrained`"):
        pretrained_state(DEMO, str(tmp_path / "ViT-B-61.pt"))
    with pytest.raises(UserError, match="is a folder"):
        pretrained_state(DEMO, tmp_path)


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors"])
def test_a_broken_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all" * 10)
    with pytest.raises(UserError, match=r"cannot be read as weights: it .*set `pretrained` to it"):
        pretrained_state(DEMO, tmp_path / name)


def test_a_pickle_may_not_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"visual.proj": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(UserError, match=r"tensor 'visual\.proj' is an object of pathlib\.Path\.touch"):
        pretrained_state(DEMO, tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_make(tmp_path: Path) -> None:
    torch.save({"vision_model.embeddings.class_embedding": torch.zeros(3)}, tmp_path / "hf.pt")
    with pytest.raises(UserError, match=r"no tensor is named 'visual...'.*Hugging Face transformers"):
        pretrained_state(DEMO, tmp_path / "hf.pt")
    torch.save({"module.image_encoder.proj": torch.zeros(3)}, tmp_path / "reid.pt")
    with pytest.raises(UserError, match=r"names of a published ReID model: kedro run --pipeline=import_model"):
        pretrained_state(DEMO, tmp_path / "reid.pt")


def test_another_depth_is_named(tmp_path: Path, demo_state: State) -> None:
    shallow = {key: value for key, value in demo_state.items() if ".resblocks.5." not in key}
    torch.save(shallow, tmp_path / "shallow.pt")
    with pytest.raises(UserError, match=r"'visual.transformer.resblocks.5\S+' is absent.* \(11 more tensors differ\)"):
        pretrained_state(DEMO, tmp_path / "shallow.pt")


@pytest.mark.parametrize("name", ["demo-vit", "ViT-L-14", "ViT-B-32", "RN50", "RN101", "ViT-H-14"])
def test_a_file_tells_its_architecture(name: str) -> None:
    import open_clip

    with torch.device("meta"):
        state = open_clip.CLIP(**open_clip.get_model_config(name)).state_dict() if name != "demo-vit" else None
    state = state or Architecture(name).clip(device="meta").state_dict()
    assert looks_like(state)[0] == name
    assert looks_like({"visual.proj": torch.zeros(1)}) == []
