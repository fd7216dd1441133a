"""What one trial does, as a value that can be sent to another process."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import explain
from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder

if TYPE_CHECKING:
    from reid_pipeline.tuning.trials import Score


@dataclass(frozen=True)
class Trial:
    """Train a method with drawn values over its configured ones, and score it on the dev split.

    Attributes:
        method: its name; the method itself holds functions, which cannot be sent.
        parameters: of the method, as configured.
        table: split table of `train`, `dev_query` and `dev_gallery`.
        raw_images: where the images lie.
        compute: device, precision, threads.
        evaluation: the protocol.
        seed: of the training.
        score_every: epochs between scores.
    """

    method: str
    parameters: Mapping[str, Any]
    table: pd.DataFrame
    raw_images: RawFolder
    compute: ComputeParameters
    evaluation: EvaluationParameters
    seed: int
    score_every: int

    def __call__(self, values: Mapping[str, Any]) -> "Generator[Score, None, None]":
        """Yield the scores.

        Raises:
            Unusable: the values do not go together, or cannot be trained with.
        """
        from reid_pipeline.engine.runtime import resolve_runtime
        from reid_pipeline.engine.training import TrainingRun
        from reid_pipeline.evaluation.dev_scores import dev_scores
        from reid_pipeline.tuning.trials import Unusable

        method = find_method(self.method)
        try:
            parameters = method.params.model_validate(merged(self.parameters, nested(values)))
        except ValidationError as error:
            raise Unusable(explain(error, self.method)) from error
        runtime = resolve_runtime(self.compute)
        run = TrainingRun(method, parameters, self.table, self.raw_images, runtime, self.seed)
        yield from dev_scores(run, self.evaluation, every=self.score_every)


def quiet_console() -> None:
    """Leave the console to the process that shows the progress of all."""
    import logging

    from rich import get_console

    get_console().quiet = True
    logging.disable(logging.INFO)
