"""bench/training.py runs steps of one stage, of two, and of clusters."""

import re

from project_copy import ROOT
from warm_python import run

from reid_pipeline.methods import find_method

PROGRAM = ROOT / "bench" / "training.py"


def test_it_runs_a_step_of_every_stage():
    methods = ("baseline", "svll_reid", "unsupervised_pcl")
    small = "--device cpu --precision float32 --backbone demo-vit --image-size 32 16 --batch 8 --steps 1"
    done = run(PROGRAM, *small.split(), "--methods", *methods, folder=ROOT)
    assert done.returncode == 0, done.stderr
    rates = re.findall(r"^([a-z]\S.*?)  +([\d.]+)(?: +-?\d+%)?$", done.stdout, flags=re.MULTILINE)
    stages = [f"{name}, {stage}" for name in methods for stage in find_method(name).stage_names]
    assert {name for name, _ in rates} == {"bare tower", "baseline, plain style", *stages}
    assert all(float(rate) > 0 for _, rate in rates)
    assert re.search(r"^12 tokens of a prompt: [\d.]+ times as fast$", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^[\d.]+ GFLOP an image; baseline's step computes", done.stdout, flags=re.MULTILINE)
