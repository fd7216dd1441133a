"""Training that is scored on the dev split as it goes: what a trial of a study does."""

from collections.abc import Iterable, Iterator

import pandas as pd
import torch

from reid_pipeline.clustering import ClusteringCollapse
from reid_pipeline.engine.best_model import exported_tensors
from reid_pipeline.engine.checkpoint import Checkpoint, checkpoint_of
from reid_pipeline.engine.finite import NotFinite
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.training import TrainingRun
from reid_pipeline.evaluation.embedding import embed_test_rows
from reid_pipeline.evaluation.protocol import evaluate_draws
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.columns import PATH, REPEAT, TEST_SET
from reid_pipeline.schema.open_set import OpenSetParameters
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.splits import SplitTables
from reid_pipeline.tuning.trials import Score, Unusable


def dev_scores(run: TrainingRun, evaluation: EvaluationParameters, *, every: int = 1) -> Iterator[Score]:
    """Train all stages; yield the mAP on the dev split after every few epochs, and the last, of the last stage.

    Earlier stages are not scored, since what they learn (prompts) does not change embeddings. Nothing is stored. The
    training is that of `train_stage`, to the bit, and the last score is of the model that it exports: where that is the
    best of all epochs, or training ends early, too. The `splits` of `evaluation` is not read.

    Raises:
        Unusable: a loss, the weights or the embeddings are not finite, or the clustering collapses.
    """
    earlier: Checkpoint | None = None
    *before, last = run.method.stages(run.parameters)
    try:
        for stage in before:
            *_, trained = fit(stage, run.model(earlier), run.data())
            description = run.describe(stage, run.origin(stage, earlier))
            earlier = checkpoint_of({**trained.state, "description": description})
        model = run.model(earlier)
        for progress in fit(last, model, run.data()):
            _require_finite(progress.state["model"].values(), f"weights after epoch {progress.epoch}")
            if progress.is_last:  # no epoch follows that would go on from these weights
                model.load_state_dict(dict(exported_tensors(progress.state)))
                yield Score(progress.epochs, progress.epochs, _dev_map(run, model.embedder(), evaluation))
            elif progress.epoch % every == 0:
                yield Score(progress.epoch, progress.epochs, _dev_map(run, model.embedder(), evaluation))
    except (NotFinite, ClusteringCollapse) as error:
        raise Unusable(str(error)) from error


def _dev_map(run: TrainingRun, embedder: Embedder, evaluation: EvaluationParameters) -> float:
    protocol = evaluation.model_copy(update={"splits": "dev", "resamples": 0, "open_set": OpenSetParameters(draws=0)})
    galleries = pd.DataFrame({TEST_SET: [], REPEAT: [], PATH: []})
    tables = SplitTables(run.split_table, galleries)
    embeddings = embed_test_rows(embedder, tables, run.raw_images, run.runtime, protocol)
    _require_finite([torch.from_numpy(embeddings.vectors)], "embeddings of the dev split")
    metrics, _ = evaluate_draws(embeddings, run.split_table, galleries, protocol)
    return float(metrics["mAP"])


def _require_finite(tensors: Iterable[torch.Tensor], what: str) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise Unusable(f"The {what} are not finite: training diverged.")
