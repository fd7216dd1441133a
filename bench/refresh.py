"""What embedding less saves and costs: `clustering.every` and `clustering.refresh` of `unsupervised_pcl` on a demo.

    python bench/refresh.py --benchmark synthetic --folder FOLDER

Each training is that of conf/<benchmark>, on all its training images, tested on all its test images: the model that is
exported, and the last one. Seconds are processor seconds of this process, so that other work on the machine counts
little: of embedding the training images, and of all epochs with their clustering. Every result is a file of FOLDER;
what lies there is not computed again.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from collapse_cell import METHOD, PEOPLE_OR_VEHICLES, ROOT, configured

EVERY = (1, 2, 3)
CHANGED = "changed"


def variants() -> dict[str, dict[str, Any]]:
    """Return what each training is asked for, by name."""
    return {f"every {n}": {"every": n} for n in EVERY} | {CHANGED: {"refresh": "changed"}}


def parameters_of(benchmark: str, clustering: Mapping[str, Any], plan: Mapping[str, Any] | None = None) -> Any:
    """Return the parameters of a training: the benchmark's in conf, and what it is asked for."""
    from reid_pipeline.methods import find_method
    from reid_pipeline.schema.nested import merged

    own = {"clustering": dict(clustering), "plan": dict(plan or {})}
    return find_method(METHOD).params.model_validate(merged(configured(benchmark), own))


def drawn(benchmark: str, folder: Path) -> "Collection":
    """Draw a benchmark, unless the same lies in the folder, and part it as conf says."""
    from reid_pipeline.images.check import check_images
    from reid_pipeline.io.raw import SyntheticBenchmarkDataset
    from reid_pipeline.pipelines.ingestion import read_manifest
    from reid_pipeline.schema.columns import PATH
    from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
    from reid_pipeline.splits import normalise_splits

    raw = SyntheticBenchmarkDataset(filepath=str(folder), kind=PEOPLE_OR_VEHICLES[benchmark]).load()
    manifest, _ = read_manifest(raw, None, IngestionParameters(reader=benchmark))
    facts = check_images(raw.root, manifest[PATH].tolist())
    return Collection(benchmark, raw, normalise_splits(manifest, facts, SplitParameters()).split_table)


class Collection:
    """A benchmark: its images by split, and its test."""

    def __init__(self, benchmark: str, raw: Any, table: Any) -> None:
        import pandas as pd
        import torch

        from reid_pipeline.engine.runtime import Runtime
        from reid_pipeline.evaluation.protocol import retrieval_draws, retrieval_rows
        from reid_pipeline.schema.columns import PATH, REPEAT, TEST_SET
        from reid_pipeline.schema.parameters import EvaluationParameters

        self.benchmark, self.raw, self.table = benchmark, raw, table
        self.runtime = Runtime(torch.device("cpu"), threads=torch.get_num_threads())
        self.how = EvaluationParameters(resamples=0)
        none = pd.DataFrame({TEST_SET: [], REPEAT: [], PATH: []})
        self.draw = retrieval_draws(self.table, none, self.how)[0]
        self.rows = retrieval_rows(self.table, [self.draw])

    def run(self, parameters: Any, seed: int) -> Any:
        """Return a training on these images."""
        from reid_pipeline.engine.training import TrainingRun
        from reid_pipeline.methods import find_method

        read = find_method(METHOD), parameters, self.table, self.raw, self.runtime, seed
        return TrainingRun(*read, benchmark=self.benchmark)

    def mean_ap(self, model: Any, size: Any) -> float:
        """Return the mAP of a model on the test."""
        from reid_pipeline.engine.loading import images_of_rows
        from reid_pipeline.evaluation.extraction import extract_embeddings
        from reid_pipeline.evaluation.protocol import retrieval_inputs, score
        from reid_pipeline.schema.embeddings import Embeddings

        images = images_of_rows(self.table.iloc[self.rows], self.raw, size, self.runtime, None, memory_limit=10**9)
        vectors = Embeddings(self.rows, extract_embeddings(model.embedder(), images, self.runtime))
        return float(score(retrieval_inputs(vectors, self.table, self.draw, self.how), self.how).mean_ap)


def trained(collection: Collection, parameters: Any, seed: int) -> dict[str, Any]:
    """Train once; return mAP before training, of the exported and of the last model, seconds, and the history."""
    from reid_pipeline.clustering import ClusteringCollapse
    from reid_pipeline.engine.best_model import exported_tensors
    from reid_pipeline.engine.loop import fit
    from reid_pipeline.methods.unsupervised_pcl import ClusterContrastStage

    spent = {"embedding": 0.0, "images": 0.0}

    class Clocked(ClusterContrastStage):
        def embed_all(self, model: Any, data: Any, **options: Any) -> np.ndarray:
            began = time.process_time()
            found = super().embed_all(model, data, **options)
            spent["embedding"] += time.process_time() - began
            spent["images"] += len(found)
            return found

    run = collection.run(parameters, seed)
    model, data = run.model(), run.data()
    size = data.plain_images.target
    found: dict[str, Any] = {"before": collection.mean_ap(model, size), "stopped": ""}
    began, progress = time.process_time(), None
    try:
        for progress in fit(Clocked(parameters), model, data):  # noqa: B007 - the last is read below
            pass
    except ClusteringCollapse as error:
        found["stopped"] = str(error)
    found["seconds"] = {**spent, "all": time.process_time() - began}
    if progress is None:
        return found
    found["last"] = collection.mean_ap(model, size)
    model.load_state_dict(exported_tensors(progress.state))
    history = [dict(record) for record in progress.history]
    return {**found, "exported": collection.mean_ap(model, size), "images": len(data.labels), "history": history}


def stored(file: Path, make: Any) -> dict[str, Any]:
    """Return what a file holds; make it where it does not lie there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(make(), indent=1))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def line(name: str, seed: int, found: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Return a row of the table; seconds are over those of the first training of the seed."""
    seconds, begun = found["seconds"], first["seconds"]
    if "exported" not in found:
        return f"| {name} | {seed} | stopped: {found['stopped']} |"
    embedded = seconds["images"] / found["images"]
    ari = found["history"][-1].get("ground_truth", {}).get("ari")
    return (
        f"| {name} | {seed} | {100 * found['exported']:.1f} | {100 * found['last']:.1f} |"
        f" {'' if ari is None else f'{ari:.2f}'} | {embedded:.1f} | {seconds['embedding']:.0f} |"
        f" {seconds['embedding'] / begun['embedding']:.2f} | {seconds['all']:.0f} |"
    )


HEAD = (
    "| training | seed | mAP, exported | mAP, last | ARI of the last labels | images embedded, x |"
    " s of embedding | x | s of all |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", choices=sorted(PEOPLE_OR_VEHICLES), default="synthetic")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "refresh")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--only", nargs="*", default=list(variants()), choices=list(variants()))
    given = parser.parse_args()
    collection = drawn(given.benchmark, given.folder / given.benchmark / "raw")
    print(HEAD)
    for seed in given.seeds:
        results = {}
        for name in given.only:
            parameters = parameters_of(given.benchmark, variants()[name])
            file = given.folder / given.benchmark / f"{name.replace(' ', '_')}_seed_{seed}.json"
            results[name] = stored(file, lambda: trained(collection, parameters, seed))  # noqa: B023 - called here
            first = next(iter(results.values()))
            if len(results) == 1:
                print(f"| before training | | {100 * first['before']:.1f} | | | 0 | 0 | 0 | 0 |")
            print(line(name, seed, results[name], first), flush=True)


if __name__ == "__main__":
    main()
