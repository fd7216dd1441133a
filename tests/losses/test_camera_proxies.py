"""The camera-aware losses against loops over Python numbers, their gradients, and cases by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory

TAU = 0.3


def unit_rows(rows, width, generator, dtype=torch.float64):
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=generator, dtype=dtype), dim=1)


def random_case(
    seed, *, clusters=6, cameras=4, batch=13, width=5, hard_negatives=50, dtype=torch.float64, camera_reduction="mean"
):
    """Clusters with any number of cameras, at least one; batch rows of any proxy."""
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand(clusters, cameras, generator=generator) < 0.5
    seen[torch.arange(clusters), torch.randint(cameras, (clusters,), generator=generator)] = True
    cluster, camera = seen.nonzero().T
    memory = PrototypeMemory(unit_rows(len(cluster), width, generator, dtype), temperature=TAU)
    embeddings = 3 * torch.randn(batch, width, generator=generator, dtype=dtype)
    proxies = torch.randint(len(cluster), (batch,), generator=generator)
    options = {"hard_negatives": hard_negatives, "camera_reduction": camera_reduction}
    return CameraProxyMemory(memory, cluster, 2 * camera, **options), embeddings, proxies


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(vector):
    length = math.sqrt(dot(vector, vector))
    return [x / length for x in vector]


def association(similarity, positives, negatives):
    """-(1 / |A|) sum over A of the log share among A and N; 0 without positives."""
    if not positives:
        return 0.0
    total = sum(math.exp(similarity[j] / TAU) for j in [*positives, *negatives])
    return -sum(similarity[a] / TAU - math.log(total) for a in positives) / len(positives)


def hardest(score, allowed, count):
    return sorted(allowed, key=lambda j: -score[j])[:count]


class Loops:
    """Section 8 of the methods page, a row and a proxy at a time."""

    def __init__(self, memory, embeddings, proxies):
        self.prototypes = memory.memory.prototypes.tolist()
        self.cluster, self.camera = memory.clusters.tolist(), memory.camids.tolist()
        self.count, self.hard_negatives = len(self.cluster), memory.hard_negatives
        self.divided = memory.camera_reduction == "mean"
        self.rows = [(unit(q), y) for q, y in zip(embeddings.tolist(), proxies.tolist(), strict=True)]

    def similarity(self, q):
        return [dot(q, m) for m in self.prototypes]

    def reduced(self, term):
        by_camera = {}
        for q, y in self.rows:
            by_camera.setdefault(self.camera[y], []).append(term(self.similarity(q), y))
        summed = sum(sum(terms) / len(terms) for terms in by_camera.values())
        return summed / len(by_camera) if self.divided else summed

    def intra(self, similarity, y):
        own = [j for j in range(self.count) if self.camera[j] == self.camera[y]]
        return math.log(sum(math.exp(similarity[j] / TAU) for j in own)) - similarity[y] / TAU

    def inter(self, similarity, y, own_camera):
        positives = [
            j
            for j in range(self.count)
            if self.cluster[j] == self.cluster[y] and (own_camera or self.camera[j] != self.camera[y])
        ]
        others = [j for j in range(self.count) if self.cluster[j] != self.cluster[y]]
        return association(similarity, positives, hardest(similarity, others, self.hard_negatives))

    def online(self, similarity, y, positives, share, penalty):
        near = self.similarity(self.prototypes[y])
        score = [share * s + (1 - share) * m for s, m in zip(similarity, near, strict=True)]
        penalised = [s - penalty * (self.camera[j] == self.camera[y]) for j, s in enumerate(score)]
        best = [
            max((j for j in range(self.count) if self.camera[j] == c), key=lambda j: penalised[j])
            for c in sorted(set(self.camera))
        ]
        chosen = sorted(best, key=lambda j: -penalised[j])[:positives]
        others = [j for j in range(self.count) if j not in chosen and j != y]
        return association(similarity, chosen, hardest(score, others, self.hard_negatives))


LOSSES = {
    "intra": lambda memory, *row: memory.intra_camera_loss(*row),
    "inter": lambda memory, *row: memory.inter_camera_loss(*row),
    "offline": lambda memory, *row: memory.inter_camera_loss(*row, own_camera=True),
    "online": lambda memory, *row: memory.online_loss(*row),
    "penalised": lambda memory, *row: memory.online_loss(*row, positives=2, instance_share=0.6, camera_penalty=0.4),
}


def all_losses(*case):
    return {name: loss(*case) for name, loss in LOSSES.items()}


def all_by_loops(memory, embeddings, proxies):
    loops = Loops(memory, embeddings, proxies)
    return {
        "intra": loops.reduced(loops.intra),
        "inter": loops.reduced(lambda s, y: loops.inter(s, y, own_camera=False)),
        "offline": loops.reduced(lambda s, y: loops.inter(s, y, own_camera=True)),
        "online": loops.reduced(lambda s, y: loops.online(s, y, 3, 0.15, 0.0)),
        "penalised": loops.reduced(lambda s, y: loops.online(s, y, 2, 0.6, 0.4)),
    }


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    clusters=st.integers(1, 9),
    cameras=st.integers(1, 5),
    hard_negatives=st.sampled_from([1, 2, 5, 50]),
    batch=st.integers(1, 14),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_equals_the_loops(seed, clusters, cameras, hard_negatives, batch, reduction):
    options = {"hard_negatives": hard_negatives, "batch": batch, "camera_reduction": reduction}
    case = random_case(seed, clusters=clusters, cameras=cameras, **options)
    expected = all_by_loops(*case)
    for name, loss in all_losses(*case).items():
        assert loss.dtype == torch.float64
        assert float(loss) == pytest.approx(expected[name], abs=1e-9), name


def test_more_than_fifty_negatives():
    """A memory so large that 50 is a limit: the 51st is left out."""
    case = random_case(8, clusters=60, cameras=3)
    everything = CameraProxyMemory(case[0].memory, case[0].clusters, case[0].camids, hard_negatives=1000)
    expected = all_by_loops(*case)
    for name, loss in all_losses(*case).items():
        assert float(loss) == pytest.approx(expected[name], abs=1e-9), name
    assert float(everything.inter_camera_loss(*case[1:])) > float(case[0].inter_camera_loss(*case[1:])) + 1e-3


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_neither_the_order_of_rows_nor_the_numbers_of_proxies_count(seed):
    memory, embeddings, proxies = random_case(seed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(proxies), generator=generator)
    turned = torch.randperm(len(memory.clusters), generator=generator)
    renumbered = CameraProxyMemory(
        PrototypeMemory(memory.memory.prototypes[turned], temperature=TAU),
        memory.clusters[turned] + 7,
        memory.camids[turned],
    )
    plain = all_losses(memory, embeddings, proxies)
    other = all_losses(renumbered, embeddings[rows], torch.argsort(turned)[proxies][rows])
    for name, loss in plain.items():
        assert float(other[name]) == pytest.approx(float(loss), abs=1e-9), name
        assert float(loss) >= 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("hard_negatives", [2, 50])
def test_gradients(name, hard_negatives):
    memory, embeddings, proxies = random_case(5, batch=3, width=3, hard_negatives=hard_negatives)
    embeddings.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](memory, x, proxies), (embeddings,))


def by_hand():
    """Proxies e1 (cluster 0, camera 0), e2 (0, 1), e3 (1, 0), e4 (1, 1), e5 (2, 1)."""
    memory = PrototypeMemory(torch.eye(5, dtype=torch.float64), temperature=1.0)
    return CameraProxyMemory(memory, torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 1, 1]))


def test_by_hand():
    memory, row, proxy = by_hand(), 2 * torch.eye(5, dtype=torch.float64)[:1], torch.tensor([0])
    # Within camera 0: e1 at cosine 1, e3 at 0.
    assert float(memory.intra_camera_loss(row, proxy)) == pytest.approx(math.log(math.e + 1) - 1)
    # Across: the positive e2 at 0 among itself and three negatives at 0; with its own at 1, the mean of both.
    assert float(memory.inter_camera_loss(row, proxy)) == pytest.approx(math.log(4))
    offline = math.log(math.e + 4) - 1 / 2
    assert float(memory.inter_camera_loss(row, proxy, own_camera=True)) == pytest.approx(offline)


def test_the_penalty_turns_to_other_cameras():
    # One positive. Unpenalised it is the own proxy, at cosine 1 against four others at 0. Above 2 it is the
    # best of camera 1, where e2, e4 and e5 tie: the lowest, e2. The own proxy is then no negative; e3, e4 and
    # e5 are.
    memory, row, proxy = by_hand(), torch.eye(5, dtype=torch.float64)[:1], torch.tensor([0])
    plain = memory.online_loss(row, proxy, positives=1)
    assert float(plain) == pytest.approx(math.log(math.e + 4) - 1)
    penalised = memory.online_loss(row, proxy, positives=1, camera_penalty=2.1)
    assert float(penalised) == pytest.approx(math.log(4))


def test_the_instance_turns_the_choice():
    # A row of proxy e1 that has drifted to e4, of another cluster: by its proxy alone the other camera's best
    # is e2 (a tie, the lowest), by itself it is e4.
    memory, proxy = by_hand(), torch.tensor([0])
    row = torch.eye(5, dtype=torch.float64)[3:4]
    options = {"positives": 1, "camera_penalty": 2.1}
    by_proxy = memory.online_loss(row, proxy, instance_share=0.0, **options)
    by_itself = memory.online_loss(row, proxy, instance_share=1.0, **options)
    assert float(by_proxy) == pytest.approx(math.log(math.e + 3))
    assert float(by_itself) == pytest.approx(math.log(math.e + 3) - 1)


def test_a_row_without_positives_adds_nothing_and_counts():
    # e5's cluster is of one camera. Both rows are of camera 1, so the mean is over two.
    memory, rows = by_hand(), torch.eye(5, dtype=torch.float64)[[1, 4]]
    alone = memory.inter_camera_loss(rows[1:], torch.tensor([4]))
    both = memory.inter_camera_loss(rows, torch.tensor([1, 4]))
    assert float(alone) == 0
    assert float(both) == pytest.approx(math.log(4) / 2)


def test_one_cluster_of_one_camera_has_finite_gradients():
    memory = CameraProxyMemory(PrototypeMemory(torch.eye(3)[:1]), torch.tensor([0]), torch.tensor([0]))
    embeddings = torch.ones(2, 3, requires_grad=True)
    losses = all_losses(memory, embeddings, torch.zeros(2, dtype=torch.long))
    assert all(float(loss.detach()) == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert torch.equal(embeddings.grad, torch.zeros(2, 3))


def test_the_sum_is_the_mean_times_the_cameras_of_the_batch():
    # Proxies e2, e4 and e5 are of camera 1, e1 and e3 of camera 0; a batch of one camera has the same sum and mean.
    mean, rows = by_hand(), torch.randn(5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    summed = CameraProxyMemory(mean.memory, mean.clusters, mean.camids, camera_reduction="sum")
    for proxies, cameras in (([0, 1, 3, 4, 4], 2), ([1, 1, 3, 4, 4], 1)):
        of_sum, of_mean = (all_losses(memory, rows, torch.tensor(proxies)) for memory in (summed, mean))
        for name, loss in of_mean.items():
            assert float(of_sum[name]) == pytest.approx(cameras * float(loss), rel=1e-5), name


def test_every_camera_weighs_the_same():
    # Camera 0 once, camera 1 three times with the same row.
    memory, identity = by_hand(), torch.eye(5, dtype=torch.float64)
    one = memory.intra_camera_loss(identity[:1], torch.tensor([0]))
    other = memory.intra_camera_loss(identity[1:2], torch.tensor([1]))
    mixed = memory.intra_camera_loss(identity[[0, 1, 1, 1]], torch.tensor([0, 1, 1, 1]))
    assert float(mixed) == pytest.approx(float(one + other) / 2)


def test_nan_stays_nan():
    memory, embeddings, proxies = random_case(1)
    embeddings[:] = torch.nan
    losses = all_losses(memory, embeddings, proxies)
    assert all(math.isnan(float(losses[name])) for name in ("intra", "offline", "online"))


def test_the_update_is_the_prototype_memorys():
    memory, embeddings, proxies = random_case(2)
    twin = PrototypeMemory(memory.memory.prototypes, temperature=TAU)
    before = memory.memory.prototypes.clone()
    all_losses(memory, embeddings.requires_grad_(), proxies)["online"].backward()
    assert torch.equal(memory.memory.prototypes, before)
    memory.update(embeddings, proxies)
    twin.update(embeddings, proxies)
    assert torch.equal(memory.memory.prototypes, twin.prototypes)
    assert not torch.equal(memory.memory.prototypes, before)
    assert not list(memory.parameters())


MEMORY = PrototypeMemory(torch.eye(3))
ZEROS, NUMBERS = torch.zeros(3, dtype=torch.long), torch.arange(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS[:2], NUMBERS),
            r"3 prototypes, clusters of shape \[2\] and camids of shape \[3\]",
        ),
        (lambda: CameraProxyMemory(MEMORY, ZEROS, ZEROS), r"3 proxies are of 1 pairs of cluster and camera"),
        (lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS, hard_negatives=0), r"hard_negatives is 0; at least 1"),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS, camera_reduction="total"),
            r"camera_reduction is 'total'; allowed: 'sum', 'mean'",
        ),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS).intra_camera_loss(torch.eye(3), NUMBERS + 1),
            r"labels range from 1 to 3; 3 prototypes allow 0 to 2",
        ),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS).inter_camera_loss(torch.eye(3)[:2], NUMBERS),
            r"embeddings have shape \[2, 3\] and labels \[3\]",
        ),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS).online_loss(torch.eye(3), NUMBERS, positives=0),
            r"positives is 0; at least 1",
        ),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS).online_loss(torch.eye(3), NUMBERS, instance_share=1.5),
            r"instance_share is 1\.5 and camera_penalty 0\.0; instance_share must be in \[0, 1\]",
        ),
        (
            lambda: CameraProxyMemory(MEMORY, ZEROS, NUMBERS).online_loss(torch.eye(3), NUMBERS, camera_penalty=-1),
            r"camera_penalty -1; .*camera_penalty 0 or more",
        ),
    ],
)
def test_bad_input_gets_an_answer(call, message):
    with pytest.raises(ValueError, match=message):
        call()
