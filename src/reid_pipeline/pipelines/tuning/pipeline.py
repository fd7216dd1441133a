"""Wiring of the tuning pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.ingestion.pipeline import TABLES
from reid_pipeline.pipelines.tuning import nodes


def create_pipeline() -> Pipeline:
    """Return manifest -> table without test rows -> trials -> best parameters, CSV, page.

    Which method is tuned is a parameter, so that the whole of `parameters` is read.
    """
    return pipeline(
        [
            node(
                nodes.make_tuning_table,
                ["manifest", "image_facts", "params:ingestion", "params:splits", "params:tuning"],
                "tuning_split_table",
                name="make_tuning_table",
                tags=TABLES,
            ),
            node(
                nodes.run_study,
                [
                    "parameters",
                    "params:tuning",
                    "params:compute",
                    "params:evaluation",
                    "tuning_split_table",
                    "raw_images",
                    "known_image_stamps",
                    "study_file",
                ],
                "study_trials",
                name="run_study",
            ),
            node(
                nodes.collect_results,
                "study_trials",
                ["tuned_parameters", "study_trials_csv", "study_page"],
                name="collect_results",
            ),
        ]
    )
