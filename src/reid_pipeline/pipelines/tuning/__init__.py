"""A study of a method's parameters, scored on identities cut from the training split."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.ingestion import TABLES
from reid_pipeline.pipelines.tuning.nodes import collect_results, make_tuning_table, run_study


def create_pipeline() -> Pipeline:
    """Return manifest -> table without test rows -> trials -> best parameters, CSV, page.

    Which method is tuned is a parameter, so that the whole of `parameters` is read.
    """
    cut = ["manifest", "image_facts", "params:ingestion", "params:splits", "params:tuning"]
    read = ["parameters", "params:tuning", "params:compute", "params:evaluation", "tuning_split_table"]
    files = ["raw_images", "known_image_stamps", "study_file"]
    results = ["tuned_parameters", "study_trials_csv", "study_page"]
    return pipeline(
        [
            node(make_tuning_table, cut, "tuning_split_table", name="make_tuning_table", tags=TABLES),
            node(run_study, [*read, *files], "study_trials", name="run_study"),
            node(collect_results, "study_trials", results, name="collect_results"),
        ]
    )
