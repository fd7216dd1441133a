"""Every pipeline by the name that users type."""

from kedro.pipeline import Pipeline

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipelines import (
    changes,
    cross_benchmark,
    embed,
    export,
    gallery,
    import_model,
    ingestion,
    leaderboard,
    method,
    pages,
    pretrain_demo_clip,
    report,
    tuning,
)
from reid_pipeline.schema.addresses import ZERO_SHOT


def register_pipelines() -> dict[str, Pipeline]:
    """Return one pipeline per method (raw data to report), and those that stand alone.

    A method that trains brings `zero_shot` along: its report shows before and after.
    """
    prepared = ingestion.create_pipeline()
    zero_shot = method.create_pipeline(find_method(ZERO_SHOT))
    methods = {name: prepared + zero_shot + method.create_pipeline(find_method(name)) for name in method_names()}
    return {
        **methods,
        "ingestion": prepared,
        "import_model": prepared + import_model.create_pipeline(),
        "embed": embed.create_pipeline(),
        "export": export.create_pipeline(),
        "report": report.create_pipeline(),
        "leaderboard": leaderboard.create_pipeline(),
        "pages": pages.create_pipeline(),
        "changes": changes.create_pipeline(),
        "tuning": prepared + tuning.create_pipeline(),
        "cross_benchmark": cross_benchmark.create_pipeline(),
        **gallery.create_pipelines(),
        "pretrain_demo_clip": pretrain_demo_clip.create_pipeline(),
        "__default__": sum(methods.values(), report.create_pipeline(after=methods)),
    }
