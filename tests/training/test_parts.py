"""What training is made of: settings, schedules, changes of images, the readout's loss, groups, precision."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import specs
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from archcost.nets.net import build
from archcost.training import batches as images
from archcost.training import speed, vocabulary
from archcost.training.batches import batches, shuffled
from archcost.training.optimiser import clipped, optimiser, parts, share
from archcost.training.scale import begin_in_scale
from archcost.training.spec import USUALLY, Augment, Fit, Settings
from archcost.training.vocabulary import Readout, Words

ROOT = Path(__file__).parents[2]
SCHEDULES = ("one-cycle", "step", "cosine", "constant", "flat-linear")


def test_a_key_that_is_given_beats_the_familys_choice() -> None:
    """Settings are the family's, with what the user wrote in their place."""
    assert USUALLY["xavier"] == Fit().settled("xavier")
    settled = Fit(lr=0.3, clip=2.0, warmup=0).settled("xavier")
    assert (0.3, 2.0, 0, USUALLY["xavier"].batch) == (settled.lr, settled.clip, settled.warmup, settled.batch)
    assert 20 == Fit().settled("hornn", text=True).batch


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"epochs": 3, "rungs": [1, 1, 3]}, "each more than the one before"),
        ({"epochs": 3, "rungs": [1, 2]}, "3, the number of epochs"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"lr": 0.0}, "greater than 0"),
        ({"augment": ["rotate"]}, "'flip', 'translate' or 'cutout'"),
        ({"augment": {"flip": 1}}, "valid boolean"),
        ({"optimizer": "sgd"}, "not permitted"),
    ],
)
def test_wrong_keys_are_refused(keys: dict[str, Any], message: str) -> None:
    """Each with what is allowed."""
    with pytest.raises(ValidationError, match=message):
        Fit.model_validate(keys)


def test_rungs_and_changes() -> None:
    """The only rung is the end if none are given; a list of changes has their usual sizes."""
    assert (7,) == Fit(epochs=7).stops()
    assert (1, 3) == Fit.model_validate({"epochs": 3, "rungs": [1, 3]}).stops()
    assert Augment(flip=True, translate=4) == Fit.model_validate({"augment": ["flip", "translate"]}).changes()
    assert Augment(cutout=5) == Fit.model_validate({"augment": {"cutout": 5}}).changes()


@given(st.sampled_from(SCHEDULES), st.integers(1, 60), st.none() | st.integers(0, 20))
def test_rates_are_positive_and_reach_their_top(schedule: Any, total: int, warmup: int | None) -> None:
    """Every mini-batch learns, none above the highest rate; a rise only ever rises."""
    shares = [share(schedule, step, total, warmup) for step in range(total)]
    assert all(0 < each <= 1 for each in shares)
    rise = warmup or 0
    assert all(low <= high for low, high in itertools.pairwise(shares[: min(rise, total // 4)]))
    if schedule == "one-cycle" and rise <= total:
        assert 1 == max(shares)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("step", [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("one-cycle", [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("flat-linear", [1, 1, 1, 5 / 5.6, 4 / 5.6, 3 / 5.6, 2 / 5.6, 1 / 5.6]),
        ("cosine", [1, 0.9619398, 0.8535534, 0.6913417, 0.5, 0.3086583, 0.1464466, 0.0380602]),
    ],
)
def test_schedules(schedule: Any, expected: list[float]) -> None:
    """Eight mini-batches of each."""
    assert expected == pytest.approx([share(schedule, step, 8) for step in range(8)])


def test_a_warm_up_rises_straight() -> None:
    """Over four mini-batches: a quarter, a half, three quarters, all."""
    assert [0.25, 0.5, 0.75, 1, 1] == [share("constant", step, 9, 4) for step in range(5)]


def test_images_are_normalised_as_the_data_set_says() -> None:
    """(bytes / 255 - mean) / std per channel; a channel without deviation is left finite."""
    pixels = torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8)
    device = torch.device("cpu")
    scaling = images.Scaling.of((0.1, 0.2, 0.3), (0.5, 0.6, 0.0), device)
    made = images.normalised(images.stored(pixels, device), scaling)
    expected = (pixels / 255 - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 0.6, 1.0])[
        :, None, None
    ]
    torch.testing.assert_close(expected[:, :2], made[:, :2])
    assert torch.isfinite(made).all()
    assert made.is_contiguous(memory_format=torch.channels_last)


def _moved(image: torch.Tensor, down: int, across: int, fill: torch.Tensor) -> torch.Tensor:
    height, width, _ = image.shape
    found = fill.expand_as(image).clone()
    for y, x in itertools.product(range(height), range(width)):
        if 0 <= y + down < height and 0 <= x + across < width:
            found[y, x] = image[y + down, x + across]
    return found


def test_translations_are_all_there_are() -> None:
    """Every image is its own, moved by up to 1 along both sides with the mean colour coming in; all 9 occur."""
    torch.manual_seed(0)
    pixels = torch.randint(256, (200, 4, 5, 2), dtype=torch.uint8)
    fill = torch.tensor([7, 250], dtype=torch.uint8)
    made = images.augmented(pixels, Augment(translate=1), fill)
    ways = list(itertools.product((-1, 0, 1), repeat=2))
    found = [[way for way in ways if torch.equal(_moved(a, *way, fill), b)] for a, b in zip(pixels, made, strict=True)]
    assert all(len(each) == 1 for each in found)
    assert set(ways) == {each[0] for each in found}


def test_flips_and_cutouts() -> None:
    """About half of the images are mirrored; a cutout is one square, cut at the edges, of the mean colour."""
    torch.manual_seed(0)
    pixels = torch.randint(1, 256, (400, 6, 8, 1), dtype=torch.uint8)
    fill = torch.zeros(1, dtype=torch.uint8)
    made = images.augmented(pixels, Augment(flip=True), fill)
    mirrored = [torch.equal(b, a.flip(1)) for a, b in zip(pixels, made, strict=True)]
    assert all(flip or torch.equal(a, b) for flip, a, b in zip(mirrored, pixels, made, strict=True))
    assert 160 < sum(mirrored) < 240
    cut = images.augmented(pixels, Augment(cutout=3), fill) == 0
    assert (cut.sum((1, 2, 3)) <= 9).all()
    rows, columns = cut[..., 0].any(2).sum(1), cut[..., 0].any(1).sum(1)
    assert torch.equal(rows * columns, cut.sum((1, 2, 3)))
    assert {2, 3} == set(rows.tolist())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("most", [2**23, 40])
def test_the_readouts_loss_is_torchs(smoothing: float, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and all three gradients are those of cross_entropy on a linear layer, also read in pieces."""
    monkeypatch.setattr(vocabulary, "_MOST_SCORES", most)
    torch.manual_seed(1)
    given = [torch.randn(shape, dtype=torch.float32, requires_grad=True) for shape in ((9, 5), (11, 5), (11,))]
    targets = torch.randint(11, (9,))
    made = vocabulary.loss(given[0], given[1], given[2], targets, Readout(smoothing=smoothing))
    expected = functional.cross_entropy(functional.linear(*given), targets, label_smoothing=smoothing)
    torch.testing.assert_close(expected, made)
    for a, b in zip(torch.autograd.grad(expected * 3, given), torch.autograd.grad(made * 3, given), strict=True):
        torch.testing.assert_close(a, b)


def test_the_readout_in_bfloat16_is_near() -> None:
    """Its loss is within a hundredth, its gradients within a twentieth of their length."""
    torch.manual_seed(1)
    given = [torch.randn(shape, requires_grad=True) for shape in ((64, 32), (50, 32), (50,))]
    targets = torch.randint(50, (64,))
    exact, near = (
        vocabulary.loss(given[0], given[1], given[2], targets, Readout(dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    torch.testing.assert_close(exact, near, rtol=0.01, atol=0)
    for a, b in zip(torch.autograd.grad(exact, given), torch.autograd.grad(near, given), strict=True):
        assert (a - b).norm() < 0.05 * a.norm()


SGD = Settings(16, "sgd", 0.1, 0.01, "constant")


def test_norms_and_biases_do_not_decay() -> None:
    """Of a residual network every parameter is in one group, and only kernels and matrices in one that decays."""
    model = specs.model({"family": "bottleneck", "input": [3, 8, 8], "classes": 4, "depths": [1], "widths": [8]})
    net = build(model.graph, model.recipe)
    groups = optimiser(parts(net), SGD, 0.9).groups
    decaying = {id(each) for group in groups if group["weight_decay"] for each in group["params"]}
    assert {id(each) for each in net.parameters() if each.ndim > 1} == decaying
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


@pytest.mark.parametrize(("pooling", "embedding"), [("none", None), ("gated", None), ("max", 4), ("fofe", 3)])
def test_a_recurrent_network_has_three_parts(pooling: str, embedding: int | None) -> None:
    """Tables before the cycle, recurrent matrices on it, the readout behind: all parameters, each once."""
    tree = {"family": "hornn", "input": {"steps": 3, "vocab": 9}, "hidden": 5, "order": 2, "pooling": pooling}
    model = specs.model(tree | ({} if embedding is None else {"embedding": embedding}))
    net = build(model.graph, model.recipe)
    before, on, behind = parts(net, gentle=True)
    assert sorted(map(id, net.parameters())) == sorted(id(p) for part in (before, on, behind) for p in part.parameters)
    assert (1.0, 0.1, 1.0) == (before.rate, on.rate, behind.rate)
    assert [(9, 5), (9,)] == [tuple(p.shape) for p in behind.parameters]
    assert any(tuple(p.shape) == (9, embedding or 5) for p in before.parameters)


def test_parts_are_clipped_apart() -> None:
    """Each part's gradient is at most as long as asked; the longest is returned."""
    tree = {"family": "hornn", "input": {"steps": 3, "vocab": 9}, "hidden": 5, "order": 2}
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    for scale, part in enumerate(parts(net)):
        for each in part.parameters:
            each.grad = torch.full_like(each, 10.0**-scale)
    longest = clipped(parts(net), 0.25)
    lengths = [
        torch.stack([p.grad.norm() for p in part.parameters if p.grad is not None]).norm() for part in parts(net)
    ]
    assert all(length <= 0.2501 for length in lengths)
    assert longest > 1
    assert 0 == clipped(parts(net), None)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_fused_steps_are_torchs_plain_ones(kind: Any) -> None:
    """Also on kernels that lie channels last, and for a parameter that gets its first gradient later."""
    settings = Settings(16, kind, 0.1, 0.01, "constant")
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    ours.load_state_dict(plain.state_dict())
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    from archcost.training.optimiser import Part

    fused = optimiser([Part(tuple(ours.parameters()))], settings, 0.9)
    decays = [[p for p in plain.parameters() if (p.ndim > 1) == which] for which in (True, False)]
    groups = [{"params": decays[0], "weight_decay": 0.01}, {"params": decays[1], "weight_decay": 0.0}]
    simple = (
        torch.optim.SGD(groups, 0.1, 0.9, nesterov=True, foreach=False)
        if kind == "sgd"
        else torch.optim.AdamW(groups, 0.1, foreach=False)
    )
    for step in range(4):
        x = torch.randn(2, 3, 8, 8)
        for net, stepping in ((plain, simple), (ours, fused)):
            net.zero_grad(set_to_none=True)
            made = net(x.to(memory_format=torch.channels_last)) if step else net[0](x)
            made.square().mean().backward()
            stepping.step()
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@given(st.integers(1, 300), st.integers(1, 64))
def test_mini_batches_hold_every_example_once(count: int, batch: int) -> None:
    """None is larger than asked, none much smaller than the others."""
    found = shuffled(count, batch)
    assert batches(count, batch) == len(found)
    assert list(range(count)) == sorted(torch.cat(found).tolist())
    sizes = [len(each) for each in found]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("times", "expected"), [([0, 10, 0, 10, 0, 10, 0, 7, 0, 7, 0, 7], True), ([0, 1] * 6, False)])
def test_bfloat16_is_chosen_where_it_gains(times: list[int], expected: bool) -> None:
    """Less than 0.8 of float32's time on the same step, by the clock it is given."""
    ticks = iter(times)
    assert expected == speed.gains.__wrapped__(torch.device("cpu"), lambda: float(next(ticks)))


def test_what_is_asked_for_is_used() -> None:
    """float32 and bfloat16 are not tried out."""
    cpu = torch.device("cpu")
    assert (torch.float32, torch.bfloat16) == (speed.chosen("float32", cpu), speed.chosen("bfloat16", cpu))


def test_a_draw_of_words_stands_for_all() -> None:
    """Those that come and the most frequent are there, and over draws the weighted sum over words is that over all."""
    torch.manual_seed(0)
    text = torch.cat([torch.arange(60), torch.arange(20)])
    words = Words.of(text, 60, 20, torch.device("cpu"))
    targets, values = torch.tensor([50, 3, 50, 12]), torch.rand(60).double()
    sums = []
    for _ in range(400):
        positions, offsets, places = words.choose(targets)
        assert len(set(positions.tolist())) == len(positions) == 10 + 2 + 10
        assert set(range(10)) <= set(positions.tolist())
        assert targets.tolist() == positions[places].tolist()
        sums.append((values[positions] * offsets.double().exp()).sum())
    assert values.sum().item() == pytest.approx(torch.stack(sums).mean().item(), rel=0.01)


def test_more_words_than_there_are_is_all_of_them() -> None:
    """Then no score is moved."""
    positions, offsets, _ = Words.of(torch.arange(9), 9, 1000, torch.device("cpu")).choose(torch.tensor([4]))
    assert (list(range(9)), 0.0) == (positions.tolist(), offsets.abs().sum().item())


def test_a_network_without_norms_begins_in_scale() -> None:
    """What each convolution makes of the images has deviation 1, whatever its weights were."""
    tree = {"family": "nin", "input": [1, 8, 8], "classes": 3}
    model = specs.model(tree | {"layers": [{"kernel": 3, "widths": [6, 5]}, {"kernel": 3, "widths": [3]}]})
    net = build(model.graph, model.recipe)
    x = torch.randn(32, 1, 8, 8)
    begin_in_scale(net, x)
    made = []
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda layer, given, value: made.append(value.std().item()))
    net(x)
    assert [1.0] * 3 == pytest.approx(made, rel=1e-4)


def test_freed_memory_is_kept() -> None:
    """Large tensors that come and go ask the system for no new pages, where the allocator is glibc's.

    Each is 40 MiB: glibc keeps freed blocks of up to 32 MiB by itself, once it has met one. The first few may each get
    a new place (an aligned block is looked for in a gap that is larger than itself), so that the median decides.
    """
    script = (
        "import resource, statistics, torch; from archcost.training.speed import keep_freed; keep_freed()\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "torch.set_num_threads(1)\n"
        "def asked(): before = faults(); torch.ones(10 * 2**20); return faults() - before\n"
        "print(statistics.median(asked() for _ in range(21)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert sys.platform != "linux" or int(done.stdout) < 100  # 40 MiB are 10,240 pages
