"""Every method on a shrunken network of every kind of tower: it trains, resumes to the bit, and gives an embedder.

A new kind of tower needs no line here, nor does a new method.
"""

import copy
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from matrices import cells
from published import published
from test_method_conformance import shrunk
from tower_examples import configurations, examples, forget_examples, shipped_names

from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.embedder import embedder_from_description
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.open_clip_lists import ModelConfig, configs
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.text_configs import fault_of_text
from reid_pipeline.models.towers import build_tower, tower_kinds
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow

SIZE = (64, 32)
POPULATION = Population(identities=4, cameras=3)
PLAN = {"epochs": 2, "iterations_per_epoch": 1}

# One network of each kind, and one of stages that has batch norms inside.
NETWORKS = [next(iter(configs)) for configs in configurations().values()] + ["small-fastvit"]


@pytest.fixture(scope="module", autouse=True)
def listed_networks() -> Iterator[None]:
    """Let open_clip list the shrunken networks while these tests run."""
    examples()
    yield
    forget_examples()


@pytest.fixture(scope="module")
def people(data: TrainingData) -> TrainingData:
    images = ReIDImages(data.images.root, data.images.paths, SIZE)
    return TrainingData(images, data.labels, data.camids, data.runtime, data.seed)


def small_parameters(method: str, network: str) -> Parameters:
    model = find_method(method).params
    given = shrunk(published(method), model)
    if "clustering" in given:  # fewer images than there, of untrained networks
        given["clustering"] |= {"eps": 0.5}
    given["backbone"] |= {"name": network, "image_size": list(SIZE), "patch_stride": None}
    return model.model_validate(given)


def built(method: str, parameters: Parameters, seed: int = 0) -> ReIDModel:
    seed_global_state(seed, "build")
    return find_method(method).build(parameters, POPULATION)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert not [name for name in left if not torch.equal(left[name], right[name])]


# Those that run the code of the others too, on every kind; the others on the first of them.
WHOLE = ("svll_reid", "unsupervised_pcl")
CELLS = cells(
    list(product(NETWORKS, method_names())),
    always=[(network, method) for network, method in product(NETWORKS, method_names())
            if method in WHOLE or network == NETWORKS[0]],
)  # fmt: skip


@pytest.mark.parametrize(("network", "method"), CELLS)
def test_a_method_on_a_kind_of_tower(network: str, method: str, people: TrainingData) -> None:
    parameters = small_parameters(method, network)
    if parameters.backbone.sie != "none" and not takes(network, num_cameras=3):  # svll_reid as published
        with pytest.raises(UserError, match=r"added to tokens, .*Set backbone\.sie=none "):
            built(method, parameters)
        plain = parameters.backbone.model_copy(update={"sie": "none"})
        parameters = parameters.model_copy(update={"backbone": plain})
    model = built(method, parameters)
    resumed = built(method, parameters, seed=9)
    start = weights(model)
    resumed.load_state_dict(start)
    for place, _ in enumerate(find_method(method).stage_names):

        def stage(place: int = place):
            made = find_method(method).stages(parameters)[place]
            made.plan = made.plan.model_copy(update=PLAN)
            return made

        epochs = fit(stage(), model, people)
        state = copy.deepcopy(next(epochs).state)  # what a run that is killed here has stored
        *_, last = epochs
        *_, finished = fit(stage(), resumed, people, resume=state)
        assert all(torch.isfinite(torch.tensor(record["loss"])) for record in last.history)
        assert [each["loss"] for each in finished.history] == [each["loss"] for each in last.history]
        assert_equal(weights(model), weights(resumed))
    moved = {name for name, each in weights(model).items() if not torch.equal(each, start[name])}
    learning = {name for name, each in model.named_parameters() if each.requires_grad}
    assert moved >= learning if find_method(method).stage_names else not moved
    assert any(name.startswith("encoder.visual.") for name in moved) or method == "zero_shot"
    assert not any(name.startswith("text_encoder.") for name in moved)

    embedder = model.embedder()
    embeddings = extract_embeddings(embedder, people.plain_images, people.runtime, ids=people.ids)
    assert embeddings.shape == (24, embedder.encoder.embedding_width)
    torch.testing.assert_close(torch.from_numpy(embeddings).norm(dim=1), torch.ones(24))
    rebuilt = embedder_from_description(json.loads(json.dumps(embedder.description())), embedder.state_dict())
    images = torch.randn(3, 3, *SIZE)
    assert torch.equal(embedder(images), rebuilt(images))


PROMPTED = {"clip_reid", "svll_reid"}


def tower(network: str, **changes: Any) -> ImageEncoder:
    settings = TowerSettings(SIZE, None, 0, 0, (0.5,) * 3, (0.5,) * 3)
    return build_tower(Architecture(network), settings._replace(**changes))


def takes(network: str, **changes: Any) -> bool:
    """Whether a network takes a setting; False: it is refused in a sentence that has a remedy."""
    freeze = changes.pop("freeze", False)
    refusal = ""
    try:
        built_tower = tower(network, **changes)
        if freeze:
            built_tower.freeze_patch_projection()
    except UserError as error:
        refusal = str(error)
    remedy = r"Set (backbone.sie=none |`(patch_stride: null|freeze_patch_projection: false))"
    assert not refusal or re.search(remedy, refusal)
    return not refusal


def in_words(answers: list[bool]) -> str:
    return "yes" if all(answers) else "some" if any(answers) else "no"


def image_rows() -> list[str]:
    """The table of docs/methods.md: kinds of image towers, the methods without text, and what not all towers have."""
    settings: list[dict[str, Any]] = [{"num_cameras": 2}, {"patch_stride": 2}, {"freeze": True}]
    rows = []
    for kind, names in zip(tower_kinds(), configurations().values(), strict=True):
        answers = [in_words([takes(name, **each) for name in names]) for each in settings]
        methods = ["yes" for method in method_names() if method not in PROMPTED]
        rows.append(f"| {kind.KIND} | {' | '.join([*methods, 'by its text tower', *answers])} |")
    return rows


def text_kind(config: ModelConfig) -> str:
    """How a text tower reads, in the words of docs/methods.md."""
    text = config["text_cfg"]
    if "multimodal_cfg" in config:
        return "CoCa's"
    if text.get("hf_model_name"):
        return "a language model of `transformers`"
    order = "not causal" if text.get("no_causal_mask") else "causal"
    read = {"argmax": "end of text", "eos": "end of text", "last": "last token"}[text.get("pool_type", "argmax")]
    tokens = "tokenizer by `transformers`" if text.get("hf_tokenizer_name") else "tokenizer of open_clip"
    return f"{order}, read at the {read}, {tokens}"


def text_rows() -> list[str]:
    """The second table: kinds of text towers, how many networks have one, and whether prompts can be learnt."""
    found: dict[str, list[str]] = {}
    for name, config in sorted(configs().items()):
        if name in shipped_names() and config["text_cfg"]:  # others were pretrained without texts
            found.setdefault(text_kind(config), []).append(name)
    by_count = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    known = configs()
    return [
        f"| {kind} | {len(names)} | {min(names, key=len)} | {'no' if fault_of_text(known[names[0]]) else 'yes'} |"
        for kind, names in by_count
    ]


def test_the_tables_of_the_documentation(project: Path) -> None:
    text = (project / "docs" / "methods.md").read_text(encoding="utf-8")
    missing = [row for row in [*image_rows(), *text_rows()] if row not in text]
    assert not missing, "\n".join(["docs/methods.md, section Towers, lacks:", *missing])


@pytest.mark.parametrize("method", method_names())
@pytest.mark.parametrize("network", ["roberta-ViT-B-32", "coca_ViT-B-32", "nllb-clip-base"])
def test_a_text_tower_without_prompts_is_refused_by_methods_with_text_alone(network: str, method: str) -> None:
    """Refusals come before weights are read, and name networks that serve; other methods do not look at the text."""
    parameters = small_parameters(method, "small-vit")
    backbone = parameters.backbone.model_copy(update={"name": network, "pretrained": "absent.pt", "sie": "none"})
    changed = parameters.model_copy(update={"backbone": backbone})
    wanted = r"clip_reid and svll_reid.*serve, such as" if method in PROMPTED else r"absent\.pt' does not exist"
    with pytest.raises(UserError, match=wanted) as caught:
        built(method, changed)
    assert "SigLIP" not in str(caught.value)  # its tokenizer needs a package that is not in requirements.lock
