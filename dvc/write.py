"""Write dvc.yaml: the DVC stages of a benchmark, with the code, data and parameters that they depend on.

    python dvc/write.py                 dvc.yaml, of the benchmark that the project draws for itself
    python dvc/write.py market1501      dvc/market1501/dvc.yaml, the same for another environment of conf/
    python dvc/write.py market1501 --overlays rn50
                                        with cells for the parameters of conf/overlays/rn50.yml, too

Run again when a method is added or the catalog changes: `make stages`. The suite fails while dvc.yaml is not
what this writes. The code that a step needs is found when the DVC stage `code` runs (listings.py).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from imports import ROOT
from listings import DRAWN, FOLDER, steps

from reid_pipeline.config.cell_rows import CellRow, cell_rows
from reid_pipeline.config.overlays import overlay_names
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.settings import CONFIG_LOADER_ARGS

HOME = "synthetic"
"""The benchmark of the root dvc.yaml: what runs anywhere. Others have some where somebody wrote them."""
SEEDS = [0, 1, 2]
INGESTION = ["ingestion", "splits", "evaluation"]
"""The parameters that it reads."""
COMPARED = ("breakdown", "clusters", "metrics")
"""The results of zero_shot that every other method reads."""
Stage = dict[str, Any]

HEAD = """\
# {benchmark} as DVC stages, one cell (benchmark x method x variant x seed) each: {how}
# Written by dvc/write.py (`make stages{option}`); not edited by hand.
# A DVC stage runs again when its data, its parameters or the code that it imports (listed by `code`) change.
# Where files lie (conf/*/catalog.yml) is no dependency: a stage that does not write its outs fails.
# DVC deletes outs before it runs a stage, so the resumable state of a killed training is none.
"""


def dvc_file(env: str) -> Path:
    """Return where the DVC stages of an environment are written."""
    return ROOT / "dvc.yaml" if env == HOME else ROOT / "dvc" / env / "dvc.yaml"


def text_of(env: str, overlays: Sequence[str] = ()) -> str:
    """Return what is written there."""
    how = "`make repro`, or `dvc repro` with .venv active."
    nested = f"`dvc repro -R dvc/{env}` with .venv active."
    head = HEAD.format(
        benchmark=env,
        option="".join(["" if env == HOME else f" ENV={env}", f' OVERLAYS="{" ".join(overlays)}"' if overlays else ""]),
        how=how if env == HOME else nested,
    )
    return head + yaml.dump(document(env, overlays), Dumper=_Indented, sort_keys=False, width=110)


def document(env: str, overlays: Sequence[str] = ()) -> dict[str, Any]:
    """Return the DVC file of an environment, with cells for overlays where some are named."""
    methods = [ZERO_SHOT, *(name for name in method_names() if name != ZERO_SHOT)]
    rows = cell_rows(ROOT / "conf", env, overlays, loader_args=CONFIG_LOADER_ARGS)
    folders = [row.folder for row in rows]
    stages = {"ingestion": _ingestion(env), **{row.name: _cell(env, row) for row in rows}}
    stages["report"] = _report(env, folders)
    if env == HOME:
        stages = {"code": _code(), **stages, "leaderboard": _leaderboard(folders)}
    else:
        stages = {name: {"wdir": "../..", **stage} for name, stage in stages.items()}
    return {"vars": [{"seeds": SEEDS}], "stages": stages, "plots": _plots(env, methods)}


def _code() -> Stage:
    return {
        "cmd": "python dvc/listings.py",
        "deps": ["dvc/imports.py", "dvc/listings.py", "src/reid_drawings", "src/reid_pipeline"],
        "outs": [f"{FOLDER}/{step}.txt" for step in steps()],
    }


def _ingestion(env: str) -> Stage:
    raw, results = f"data/01_raw/{env}", f"data/08_reporting/{env}/dataset"
    tables, primary = f"data/02_intermediate/{env}", f"data/03_primary/{env}"
    drawn = env.startswith(DRAWN)
    used = [{file: names} for file, names in _read_by_ingestion(env).items()]
    catalog = [{f"conf/{env}/catalog.yml": ["raw_images"]}] if drawn else []
    outs = [
        f"{tables}/manifest.parquet",
        f"{tables}/reading.json",
        # It stays from run to run: images whose bytes it knows are not decoded again.
        {f"{tables}/image_facts.parquet": {"persist": True}},
        f"{primary}/galleries.parquet",
        f"{primary}/split_table.parquet",
        f"{results}/dataset.html",
        {f"{results}/summary.json": {"cache": False}},
    ]
    return {
        "cmd": _command(env, "ingestion"),
        "deps": [*([] if drawn else [raw]), f"{FOLDER}/ingestion_{env}.txt"],
        "params": [*used, *catalog],
        "outs": [*([raw] if drawn else []), *outs],
    }


def _read_by_ingestion(env: str) -> dict[str, list[str]]:
    found = {}
    for file in (f"conf/{folder}/parameters.yml" for folder in ("base", env)):
        content = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
        found[file] = [name for name in INGESTION if name in content]
    return found


def _cell(env: str, row: CellRow) -> Stage:
    seed, method, folder = "seed_${item.seed}", row.method, row.folder
    models, results = f"data/06_models/{env}/{folder}/{seed}", f"data/08_reporting/{env}/{folder}/{seed}"
    output = f"data/07_model_output/{env}/{folder}/{seed}"
    given = ",".join(["seed=${item.seed}", *([f"overlay={row.overlay}"] if row.overlay else [])])
    training = find_method(method).stage_names
    histories = [f"{results}/{stage}_history.json" for stage in training if len(training) > 1]
    return {
        "matrix": {"seed": "${seeds}"},
        "cmd": _command(env, method, f"--namespaces={method}", f"--params={given}"),
        "deps": [
            # Images are what ingestion saw: the split table has their hashes.
            f"data/03_primary/{env}/galleries.parquet",
            f"data/03_primary/{env}/split_table.parquet",
            *([] if method == ZERO_SHOT else _of_zero_shot(env, row, seed)),
            f"{FOLDER}/{method}.txt",
        ],
        "params": [
            *_conf("base", "parameters", f"parameters_{method}"),
            *_conf(env, "parameters", f"parameters_{method}"),
            *(_conf("overlays", row.overlay) + _conf(f"{env}/overlays", row.overlay) if row.overlay else []),
        ],
        "outs": [
            *(f"{models}/{stage}.safetensors" for stage in training),
            f"{models}/embedder.safetensors",
            f"{output}/embeddings.safetensors",
            *([f"{output}/pseudo_labels.parquet"] if find_method(method).clusters else []),
            f"data/08_reporting/{env}/{folder}/report_{seed}.html",
            f"{results}/breakdown.json",
            *(f"{results}/clusters.{form}" for form in ("csv", "json", "parquet")),
            f"{results}/curves.json",
            f"{results}/explanations.json",
            *([] if method == ZERO_SHOT else [f"{results}/differences.json"]),
            *histories,
            *({f"{results}/{name}.json": {"cache": False}} for name in ("history", "metrics", "run_card")),
        ],
    }


def _of_zero_shot(env: str, row: CellRow, seed: str) -> list[str]:
    """Return what every other method reads of zero_shot: its model, what that made of the images, and its results."""
    cell = f"{env}/{row.zero_shot}/{seed}"
    model = [f"data/06_models/{cell}/embedder.safetensors", f"data/07_model_output/{cell}/embeddings.safetensors"]
    return [*model, *(f"data/08_reporting/{cell}/{name}.json" for name in COMPARED)]


def _report(env: str, folders: list[str]) -> Stage:
    results = f"data/08_reporting/{env}"
    made = ("comparison.csv", "comparison.html", "comparison.json", "comparison.md", "cmc.json")
    return {
        "cmd": _command(env, "report"),
        "deps": [*(f"{results}/{folder}" for folder in folders), f"{FOLDER}/report.txt"],
        "outs": [f"{results}/comparison/{name}" for name in made],
        "metrics": [{f"{results}/comparison/metrics.json": {"cache": False}}],
    }


def _leaderboard(folders: list[str]) -> Stage:
    """Return the DVC stage over all benchmarks, of which the root's alone make it stale."""
    made = ("leaderboard.csv", "leaderboard.html", "leaderboard.json", "leaderboard.md")
    return {
        "cmd": _command(HOME, "leaderboard"),
        "deps": [*(f"data/08_reporting/{HOME}/{folder}" for folder in folders), f"{FOLDER}/leaderboard.txt"],
        "outs": [f"data/08_reporting/leaderboard/{name}" for name in made],
    }


def _plots(env: str, methods: list[str]) -> list[dict[str, Any]]:
    """Return the plots; those of one run are the first seed's. Their paths are relative to the DVC file."""
    results = f"{'' if env == HOME else '../../'}data/08_reporting/{env}"
    last, first = {}, {}
    for method in methods:
        training = find_method(method).stage_names
        folder = f"{results}/{method}/seed_{SEEDS[0]}"
        if training:
            last[f"{folder}/{f'{training[-1]}_' if len(training) > 1 else ''}history.json"] = "loss"
        if len(training) > 1:
            first[f"{folder}/{training[0]}_history.json"] = "loss"
    main = {f"{results}/unsupervised_pcl/seed_{seed}/history.json": "" for seed in SEEDS}
    return [
        _plot("CMC", "rank", {f"{results}/comparison/cmc.json": methods}, y_label="matching rate"),
        _plot("loss", "epoch", last, y_label="loss of the last stage"),
        _plot("prompt loss", "epoch", first, y_label="loss of the first of two stages"),
        _plot("clusters", "epoch", dict.fromkeys(main, "clusters"), y_label="clusters"),
        _plot("noise", "epoch", dict.fromkeys(main, "noise_share"), y_label="share of noise"),
    ]


def _plot(title: str, x: str, y: dict[str, Any], *, y_label: str) -> dict[str, Any]:
    return {title: {"template": "linear", "x": x, "y": y, "y_label": y_label}}


def _command(env: str, pipeline: str, *options: str) -> str:
    environment = [] if env == HOME else [f"--env={env}"]
    return " ".join(["kedro run", *environment, f"--pipelines={pipeline}", *options])


def _conf(folder: str, *names: str) -> list[dict[str, None]]:
    """Return the parameter files that exist, each whole."""
    files = [f"conf/{folder}/{name}.yml" for name in names]
    return [{file: None} for file in files if (ROOT / file).is_file()]


class _Indented(yaml.SafeDumper):
    """Lists are indented below their keys, and nothing is an alias of anything."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def main() -> None:
    """Write the DVC file of one environment."""
    known = sorted(folder.parent.name for folder in (ROOT / "conf").glob("*/globals.yml"))
    parser = argparse.ArgumentParser(description="Write the DVC stages of a benchmark.")
    parser.add_argument("env", nargs="?", default=HOME, choices=[name for name in known if name != "base"])
    parser.add_argument("--overlays", nargs="+", default=[], metavar="NAME")
    given = parser.parse_args()
    allowed = overlay_names(ROOT / "conf", given.env)
    if unknown := [name for name in given.overlays if name not in allowed]:
        parser.error(f"there is no overlay {unknown[0]!r} for {given.env}; choose from {', '.join(allowed)}")
    file = dvc_file(given.env)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text_of(given.env, given.overlays), encoding="utf-8")


if __name__ == "__main__":
    main()
