"""bench/gpu.py runs where there is no card, and counts by the architecture; what a card makes of it no test knows."""

import re
from pathlib import Path

import pytest
import torch
from bench_programs import bench_program
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from reid_pipeline.models.backbone import build_image_encoder


@pytest.fixture(scope="module")
def gpu():
    return bench_program("gpu")


def test_operations_are_those_that_torch_counts(gpu):
    """Where torch writes the attention out, so that it counts its products as well."""
    encoder = build_image_encoder("demo-vit", image_size=(48, 32))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        encoder.encode_image(torch.zeros(1, 3, 48, 32))
    steps = bench_program("gpu_steps")
    assert steps.forward_flops(encoder, whole=False) == counter.get_total_flops()


def test_a_vit_b_16_takes_68_gflop_an_image(gpu):
    with torch.device("meta"):
        whole = torch.nn.Module()
        whole.conv1 = torch.nn.Conv2d(3, 768, 16, 16)
        whole.transformer = torch.nn.Module()
        block = torch.nn.Module()
        block.mlp = torch.nn.Module()
        block.mlp.c_fc = torch.nn.Linear(768, 3072)
        whole.transformer.resblocks = [block] * 12
    encoder = torch.nn.Module()
    encoder.visual, encoder.grid_size, encoder.projected_width = whole, (16, 8), 512
    assert gpu.training_flops(encoder, whole=True) / 1e9 == pytest.approx(68.0, abs=0.05)
    assert gpu.training_flops(encoder) / 1e9 == pytest.approx(63.4, abs=0.05)


def test_all_of_it_runs_on_a_cpu(gpu, capsys):
    gpu.main(["--device", "cpu", "--compiler", "eager", "--others", "--minutes", "1"])
    printed = capsys.readouterr().out
    table = printed[printed.rindex("TFLOP/s") :]
    steps = r"unsupervised_pcl, cluster_contrast, 8"
    for name in (steps, f"{steps}, compiled, fused", f"{steps}, deterministic", "unsupervised_pcl, plain style, 8"):
        rate = re.search(rf"^{name} +([\d,.]+) +[\d.]+ +\d+%", table, flags=re.MULTILINE)
        assert rate is not None, name
    for name in (
        "loader alone, cache",
        "loader alone, jpeg",
        "extraction, float32",
        "unsupervised_pcl with loader, jpeg",
    ):
        assert re.search(rf"^{name}.* [\d,.]+", table, flags=re.MULTILINE), name
    assert len(re.findall(r"results equal$", table, flags=re.MULTILINE)) == 2
    assert "no path on a card" in table
    assert re.search(r"EXTRAPOLATED from 3 epochs to 60: [\d.]+ min", table)
    assert re.search(rf"^ +[\d.]+ x the plain style: {steps}, fused$", table, flags=re.MULTILINE)
    assert "left out" not in table
    failed = re.findall(r"^(.*?) +not measured", table, flags=re.MULTILINE)
    assert all(name.startswith("bare tower, attention") for name in failed), failed


def test_what_does_not_fit_is_named(gpu):
    budget = gpu.Budget(10.0)
    assert budget.allows("short", 5.0)
    assert not budget.allows("long run", 90.0)
    assert budget.left_out == ["long run: takes about 90 s, 10 s were left"]


def test_a_part_ends_with_the_time(gpu, monkeypatch, capsys):
    def rows():
        yield gpu.Row("one", rate=2.0)
        yield gpu.Row("two")

    bench = gpu.Bench(gpu.TINY, gpu.resolve_runtime(gpu.ComputeParameters(device="cpu")), Path(), "eager")
    monkeypatch.setattr(gpu, "parts", lambda *_: [gpu.Part("both", 0.0, rows), gpu.Part("later", 0.0, rows)])
    budget = gpu.Budget(0.0)
    assert budget.left < 0
    monkeypatch.setattr(budget, "allows", lambda name, _: name == "both")
    assert [row.name for row in gpu.measure(bench, budget, [])] == ["one"]
    assert budget.left_out == ["both: what followed 'one', the time was over"]


def test_a_row_that_fails_says_why(gpu):
    def fails():
        raise RuntimeError("no compiler\nand more")

    bench = gpu.Bench(gpu.TINY, gpu.resolve_runtime(gpu.ComputeParameters(device="cpu")), Path(), "eager")
    assert gpu.guarded(bench, "x", fails).note == "not measured: RuntimeError: no compiler"
