"""Parameters that are no method's own: the run, ingestion, splits, backbone, plans, evaluation."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.columns import MANIFEST_COLUMNS
from reid_pipeline.schema.embed_parameters import EmbedParameters
from reid_pipeline.schema.errors import nearest
from reid_pipeline.schema.export_parameters import SharedExportParameters
from reid_pipeline.schema.gallery_parameters import GalleryParameters
from reid_pipeline.schema.launcher import Launcher
from reid_pipeline.schema.open_set import OpenSetParameters
from reid_pipeline.schema.report_parameters import ReportParameters
from reid_pipeline.schema.user_paths import user_path

PositiveInt = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=1, le=8192)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Channels = tuple[float, float, float]
Resize = Literal["bicubic", "bilinear"]
SIETokens = Literal["class", "all"]


class ComputeParameters(Parameters):
    """Where and how precisely to compute."""

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="cuda:<index> is one of several")
    precision: Precision = Field("auto", description="auto: bfloat16 (else float16) on CUDA, float32 elsewhere")
    deterministic: bool = Field(True, description="deterministic kernels on CUDA; the CPU always is")
    threads: int = Field(0, ge=0, le=1024, description="of torch on the CPU; 0: its own choice, one a core")
    image_memory: PositiveInt = Field(2_000_000_000, description="bytes of decoded images held in memory at most")
    processes: int = Field(1, ge=1, le=4096, description="that train together, each with a part of every batch")
    launcher: Launcher | None = Field(None, description="command that starts them; null: torchrun on this machine")
    stall_seconds: PositiveInt = Field(60, description="after which a process that stands still is named")
    image_cache_limit: Natural = Field(0, description="bytes of decoded images on disk at most; 0: no cache")


class IngestionParameters(Parameters):
    """Which reader makes the manifest, and how strict it is."""

    reader: str = Field(description="a module of reid_pipeline.readers")
    variant: str | None = Field(None, description="version of the benchmark that must lie there; null: any")
    table: str | None = Field(None, description="custom: file that lists the images; null: the usual names")
    columns: dict[str, str | None] | None = Field(
        None, description="custom: {path: filename} reads path from the table's column filename; null: the usual names"
    )
    strict_counts: bool = Field(False, description="a count that differs from the published one is an error")
    on_unreadable: Literal["fail", "skip"] = Field("fail", description="images that cannot be decoded: skip lists them")
    without_viewpoint: Literal["keep", "drop"] = Field(
        "keep", description="images without a viewpoint, in training or test if others there have one"
    )
    white_value: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="of 16-bit pictures: it and all above are white; 4095 of 12 bits; null: 65535"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _of_a_table(cls, value: Any) -> Any:
        if not value and value is not False:
            return None
        example = "as in {path: filename, pid: individual}"
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} maps no columns: write those of a manifest to your table's, {example}")
        for name in value:
            if name not in MANIFEST_COLUMNS:
                near = nearest(str(name), MANIFEST_COLUMNS)
                raise ValueError(
                    f"{name!r} is no column of a manifest.{near} Those are {', '.join(MANIFEST_COLUMNS)}; write them"
                    f" before your table's, {example}"
                )
        # On the command line a name of digits is a number.
        named = {name: str(other) if type(other) is int else other for name, other in value.items()}
        for name, other in named.items():
            if other is None and name in MANIFEST_COLUMNS[:2]:
                raise ValueError(f"{name} is null, and no table is read without it: name its column, {example}")
            if twice := [each for each in named if named[each] == other is not None and each != name]:
                raise ValueError(f"{name} and {twice[0]} are both read from {other!r}: give each a column of its own")
        return named


class SplitParameters(Parameters):
    """How the published subsets become splits, and what is sampled where nothing was published."""

    dev_fraction: float = Field(0.0, ge=0, le=0.5, description="share of training identities in the dev splits")
    dev_seed: Natural = 0
    repeats: int = Field(10, ge=1, le=100, description="galleries sampled from images published as one pool")
    test_fraction: float = Field(0.5, gt=0, lt=1, description="of unassigned images: share of identities in the test")
    disjoint: bool = Field(True, description="no identity in train and test; false: the share is of every identity")
    seed: Natural = Field(0, description="of all samples but the dev split's")


WEIGHT_FILES = (".pt", ".pth", ".bin", ".safetensors")
"""Endings by which weights are a file, and no tag."""


class BackboneParameters(Parameters):
    """The CLIP image encoder and the pixels it reads."""

    name: str = Field(description="open_clip name, hf-hub:<org>/<repository>, folder, or demo-vit")
    pretrained: str | None = Field(None, description="open_clip tag, local checkpoint; null: random, or a folder's own")
    image_size: tuple[Side, Side] = Field((256, 128), description="height, width in pixels")
    patch_stride: PositiveInt | None = Field(None, description="null: the patch size; smaller: OLP")
    # Per colour.
    pixel_mean: Channels | None = Field((0.5, 0.5, 0.5), description="of pixels in 0..1; null: that of the weights")
    pixel_std: Channels | None = Field((0.5, 0.5, 0.5), description="likewise")
    resize: Resize = Field("bicubic", description="filter of the training images")
    # The paper of CLIP-ReID names no filter; its released loader leaves torchvision's bilinear, PCL-CLIP's is bicubic.
    # It is that of the test, stage-1 features and prototypes.
    evaluation_resize: Resize = Field("bicubic", description="of images without augmentation; CLIP-ReID's: bilinear")
    # Learnt per camera, viewpoint, or pair of both.
    sie: Literal["none", "camera", "view", "both"] = Field("none", description="side information embedding, learnt")
    sie_coefficient: float = Field(1.0, gt=0, description="its factor")
    # CLIP-ReID's paper cites TransReID (all tokens) for it; its released image tower has the class token alone.
    sie_tokens: SIETokens = Field("class", description="that it is added to; all in TransReID, class in CLIP-ReID")

    @field_validator("pixel_std")
    @classmethod
    def _positive(cls, value: Channels | None) -> Channels | None:
        if value is not None and min(value) <= 0:
            raise ValueError(f"pixel_std must be above 0 in every channel, got {value}")
        return value

    @field_validator("pretrained")
    @classmethod
    def _existing_file(cls, value: str | None) -> str | None:
        if value is None:
            return value
        file = user_path(value, "it is")
        if ("/" in value or file.suffix in WEIGHT_FILES) and not file.is_file():
            raise ValueError(
                f"no checkpoint file at {value!r}. Give an existing file, or one of open_clip's tags such as 'openai'"
            )
        return value


class SharedBackboneParameters(BackboneParameters):
    """Parameters of the backbone of all methods that have no own; none must be given."""

    name: str = Field("", description="open_clip name, hf-hub:<org>/<repository>, folder, or demo-vit")


class AugmentationParameters(Parameters):
    """Training augmentation, after the resize: flip, pad, crop, erase (methods.md section 1)."""

    flip: Share = 0.5
    padding: int = Field(10, ge=0, le=1000, description="pixels on each side before the random crop")
    erasing: Share = Field(0.5, description="probability of random erasing")
    erasing_area: tuple[Share, Share] = Field((0.02, 0.4), description="share of the image erased")
    # Height over width, 0.3 to 3.33. CLIP-ReID takes the logarithm to be uniform, as torchvision does; the releases of
    # PCL-CLIP, PCL-CLIP-USL and O2CAP the ratio itself, which makes more of the rectangles tall.
    erasing_aspect: Literal["uniform", "log_uniform"] = Field("log_uniform", description="law of the erased shape")
    # Normalised pixels: 0, standard normal (CLIP-ReID), 0.5 (released PCL-CLIP, whose mean was of pixels in 0..1), or
    # 0.485, 0.456 and 0.406 of the three channels, ImageNet's mean of pixels in 0..1 (released PCL-CLIP-USL).
    erasing_fill: Literal["mean", "noise", "half", "imagenet_mean"] = "mean"

    @field_validator("erasing_area")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"erasing_area {value} is empty: write the smaller share first")
        return value


class TrainingPlan(Parameters):
    """A stage's schedule: how long, how much at once, at which rate (methods.md sections 4 to 8 and 11)."""

    epochs: PositiveInt
    iterations_per_epoch: PositiveInt | None = Field(description="batches; null: one pass over the images")
    batch_size: PositiveInt
    instances: Annotated[int, Field(ge=2)] | None = Field(description="K of the PK sampler; null: random batches")
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(5e-4, ge=0)
    bias_rate_multiplier: float = Field(1.0, gt=0, description="biases learn at this times the rate")
    bias_weight_decay: float | None = Field(None, ge=0, description="of biases; null: weight_decay")
    # After the warm-up: drops at milestones, or half a cosine over all epochs.
    schedule: Literal["steps", "cosine"] = Field("steps", description="cosine: half a period over all epochs")
    # end: epoch 1 runs at the start of the warm-up, as the papers write and PCL-CLIP does.
    step_at: Literal["start", "end"] = Field("end", description="start: one epoch ahead, as CLIP-ReID's released code")
    warmup_epochs: Natural = 10
    warmup_factor: float = Field(0.01, gt=0, le=1, description="share of the rate that the warm-up starts at")
    warmup_learning_rate: float | None = Field(None, gt=0, description="that it starts at; null: warmup_factor")
    # With `step_at` start the rate drops in these epochs, not after them.
    milestones: tuple[PositiveInt, ...] = Field((20, 40), description="steps: the rate drops after these epochs")
    decay: float = Field(0.1, gt=0, le=1, description="steps: factor of a drop")
    final_learning_rate: float = Field(1e-6, gt=0, description="cosine: where it ends")

    @model_validator(mode="after")
    def _whole_identities(self) -> Self:
        size, instances = self.batch_size, self.instances
        if instances is not None and (size % instances or size == instances):
            raise ValueError(f"batch_size {size} must be a multiple (at least twice) of instances {instances}")
        return self

    @model_validator(mode="after")
    def _possible_schedule(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {self.milestones}")
        if self.schedule == "cosine" and self.milestones:
            raise ValueError(
                f"schedule cosine has no milestones, got {self.milestones}. Write milestones: [] or schedule: steps"
            )
        for name in ("warmup_learning_rate", *(["final_learning_rate"] if self.schedule == "cosine" else [])):
            value = getattr(self, name)
            if value is not None and value > self.learning_rate:
                raise ValueError(f"{name} {value:g} must not be above learning_rate {self.learning_rate:g}")
        return self


class TowerPlan(TrainingPlan):
    """The schedule of a stage that trains the image tower: the memory that a step takes, and rates by the tower."""

    chunk_size: PositiveInt | None = Field(None, description="images in one forward pass; null: the whole batch")
    rate_by_width: bool = Field(False, description="rates times 768 / width of the image tower; ViT-B/16 has 768")
    layer_decay: float = Field(1.0, gt=0, le=1, description="factor of the rate from a block to the one before")


class MemoryParameters(Parameters):
    """The prototype memory."""

    temperature: float = Field(0.05, gt=0)
    momentum: float = Field(ge=0, lt=1, description="share of the old prototype in an update")
    update: Literal["hard", "mean"] = Field("hard", description="least similar instance, or every one")


class EvaluationParameters(Parameters):
    """The protocol by which embeddings are evaluated."""

    splits: Literal["test", "dev"] = Field("test", description="query / gallery, or dev_query / dev_gallery")
    camera_filter: bool = Field(True, description="drop gallery images of the query's own pid and camera")
    flip_averaging: bool = Field(False, description="mean embedding of every test image and its mirror image")
    camera_mean_subtraction: bool = Field(False, description="less the mean embedding of all test images of its camera")
    query_expansion: Natural = Field(0, description="nearest embeddings of both sides to average with; 0: none")
    rerank: Literal["none", "k_reciprocal", "clip_reid"] = "none"  # k1 / k2 / lambda 20 / 6 / 0.3, or 50 / 15 / 0.3
    tracklets: Literal["none", "mean", "quality"] = Field("none", description="images of a tracklet pooled; weights")
    open_set: OpenSetParameters = Field(OpenSetParameters(), description="known or new, over drawn galleries")
    resamples: int = Field(1000, ge=0, le=1_000_000, description="of the queries, for 95 % intervals; 0: no intervals")
    max_rank: int = Field(50, ge=1, le=1_000_000)
    batch_size: PositiveInt = 256
    # The released codes embed what they test in float32, whatever they train in.
    precision: Precision = Field("float32", description="of the embeddings of test images; auto: compute.precision")


class ContrastParameters(Parameters):
    """Parameters of the demo CLIP's pretraining."""

    seed: Seed = 0
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    warmup_share: float = Field(ge=0, lt=1, description="share of all steps in linear warm-up")
    weight_decay: float = Field(ge=0)
    padding: int = Field(ge=0, le=1000, description="pixels of the random shift")
    held_out: int = Field(ge=2, description="drawings, from the end, that are only measured on")


class SharedParameters(GalleryParameters, SharedExportParameters):
    """All parameters in conf/ that belong to no method; top-level names outside it are refused."""

    benchmark: str
    seed: Seed = Field(0, description="of all that is sampled; each seed has its own folders")
    backbone: SharedBackboneParameters = SharedBackboneParameters()
    raw_root: str | None = Field(None, description="folder of the images; null: data/01_raw/<benchmark>")
    collection: str | None = Field(None, description="name of images of your own, and of their folders")
    labels_from: str | None = Field(None, description="clusters.csv, confirmed: identities of a collection of your own")
    variant: str | None = Field(None, description="name of these parameters in the results' address")
    sample: Annotated[int, Field(ge=2)] | None = Field(
        None, description="so many training and test identities, trained briefly; true: 50; null: all"
    )
    plan: Literal["auto"] | None = Field(None, description="auto: what base/ alone has of plans follows from the data")
    overlay: str | None = Field(None, description="conf/overlays/<name>.yml, or a file like it")
    method: str | None = Field(None, description="the one that is tuned, imported, or whose changes are shown")
    study: str = Field("main", pattern=r"^\w[\w.-]*$", description="name of the study among its method's")
    checkpoint: str | None = Field(None, description="file of a published ReID model, which import_model reads")
    init_from: str | None = Field(None, description="trained model to start from: a cell's address, or its file")
    tuned: str | None = Field(None, description="take what a study found: <method>, or <method>/<study>")
    model: str | None = Field(None, description="trained model to embed with or export: a cell's address, or its file")
    images: str | None = Field(None, description="what to embed: a folder, an image, a list of paths, or a table")
    name: str | None = Field(None, description="name of the embeddings; null: after images and model")
    compute: ComputeParameters
    ingestion: IngestionParameters
    splits: SplitParameters
    evaluation: EvaluationParameters
    clusters: dict[str, Any] = Field(
        default_factory=dict, description="of the clusters that every method's page shows, but those with their own"
    )
    report: ReportParameters
    embed: EmbedParameters = EmbedParameters()
    synthetic: dict[str, Any] = Field(default_factory=dict, description="overrides of the drawn benchmark")
