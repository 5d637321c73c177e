"""Training: seeded to the bit, resumable to the bit, judged by what it has not seen, ended where it diverges."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets_small as small
import pytest
import specs
import torch
from torch import Tensor
from torch.nn import functional

from archcost.data.splits import Dataset
from archcost.errors import InputError
from archcost.nets import weights
from archcost.nets.layers import BatchNorm
from archcost.nets.net import Net, build, example
from archcost.training import calibration, checkpoints, fit, scoring
from archcost.training.losses import Diverged
from archcost.training.spec import Fit

BOTTLENECK: specs.Tree = {"family": "bottleneck", "depths": [1, 1], "widths": [16, 32]}
FRACTAL: specs.Tree = {
    "family": "fractal", "columns": 2, "widths": [12, 16], "drop_path": {"local": 0.15, "global": 0.5},
}  # fmt: skip
NETWORKS: dict[str, specs.Tree] = {
    "bottleneck": BOTTLENECK,
    "fractal": FRACTAL,
    "rir": {"family": "rir", "depths": [1], "widths": [8]},
    "nin": {"family": "nin", "layers": [{"kernel": 3, "widths": [24], "pool": "max"}, {"kernel": 3, "widths": [3]}]},
}  # fmt: skip
HORNN: specs.Tree = {"family": "hornn", "hidden": 24, "order": 2}


def net_for(dataset: Dataset, tree: specs.Tree, seed: int = 0) -> Net:
    keys = {} if dataset.kind == "text" else {"classes": dataset.classes}
    model = specs.model({**tree, "input": dataset.input, **keys})
    return build(model.graph, model.recipe, seed=seed)


def trained(dataset: Dataset, tree: specs.Tree, **keys: Any) -> tuple[Net, list[fit.Epoch]]:
    net = net_for(dataset, tree)
    found = list(fit.epochs(fit.begin(net, dataset, Fit(**keys), threads=1)))
    return net, [replace(epoch, seconds=0.0) for epoch in found]


def same_weights(one: Net, other: Net) -> bool:
    values = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in values)


@pytest.mark.parametrize("family", NETWORKS)
def test_images_are_learnt(family: str) -> None:
    """Three kinds of stripes are told apart by every family after a few epochs with its own settings."""
    dataset = small.images()
    net, epochs = trained(dataset, NETWORKS[family], epochs=6, batch=16)
    assert [1, 2, 3, 4, 5, 6] == [epoch.number for epoch in epochs]
    assert epochs[-1].loss < epochs[0].loss
    assert scoring.evaluate(net, dataset.validation, dataset).error < 0.2


@pytest.mark.parametrize("pooling", ["none", "max", "fofe", "gated"])
def test_sequences_are_learnt(pooling: str) -> None:
    """The class of a sequence, given by the sum of its values, is learnt by every pooling."""
    dataset = small.sequences()
    net, _ = trained(dataset, {**HORNN, "pooling": pooling}, epochs=10, batch=16)
    assert scoring.evaluate(net, dataset.validation, dataset).error < 0.2


@pytest.mark.parametrize("keys", [{}, {"carry": False}, {"sampled": 4}])
def test_a_text_is_learnt(keys: dict[str, Any]) -> None:
    """Of a text in which every word follows from the one before the last, perplexity falls below 2."""
    dataset = small.text()
    net, _ = trained(dataset, HORNN, epochs=12, batch=8, lr=2e-2, **keys)
    score = scoring.evaluate(net, dataset.validation, dataset)
    assert (len(dataset.validation.inputs), True) == (score.count, score.perplexity < 2)


def test_every_token_of_a_text_counts_with_the_state_carried() -> None:
    """The score of a text is that of one pass over it, though it is read in pieces."""
    dataset = small.text(length=2000)
    net = net_for(dataset, HORNN)
    with torch.no_grad():
        scores = net(dataset.validation.inputs[None])[0]
    expected = functional.cross_entropy(scores, dataset.validation.targets).item()
    score = scoring.evaluate(net, dataset.validation, dataset)
    assert len(dataset.validation.inputs) == score.count > 512
    assert math.isclose(expected, score.loss, rel_tol=1e-5)
    assert (math.exp(score.loss), score.loss / math.log(2)) == (score.perplexity, score.bpc)


def test_a_window_begins_where_the_one_before_ended() -> None:
    """With a learning rate of next to nothing, the mean loss of an epoch is that of whole pieces read at once."""
    dataset = small.text()
    net = net_for(dataset, {**HORNN, "hidden": 5})
    fitting = fit.begin(net, dataset, Fit(epochs=1, batch=4, lr=1e-12))
    length = len(dataset.train.inputs) // 4
    pieces = [each[: 4 * length].view(4, length) for each in (dataset.train.inputs, dataset.train.targets)]
    with torch.no_grad():
        expected = functional.cross_entropy(net(pieces[0]).flatten(0, 1), pieces[1].flatten()).item()
    assert length % dataset.input["steps"] == 0  # type: ignore[call-overload, index]  # windows of one length
    assert math.isclose(expected, next(fit.epochs(fitting)).loss, rel_tol=1e-5)


@pytest.mark.parametrize(("data", "tree"), [(small.images, FRACTAL), (small.sequences, HORNN), (small.text, HORNN)])
def test_the_same_seed_trains_the_same_weights(data: Any, tree: specs.Tree) -> None:
    """Two trainings are equal to the bit, and torch's own random numbers neither change them nor are changed."""
    dataset = data()
    first, epochs = trained(dataset, tree, epochs=2, batch=16)
    torch.manual_seed(99)
    expected = torch.rand(3)
    torch.manual_seed(99)
    second, again = trained(dataset, tree, epochs=2, batch=16)
    assert torch.equal(expected, torch.rand(3))
    assert epochs == again
    assert same_weights(first, second)
    other, _ = trained(dataset, tree, epochs=2, batch=16, seed=1)
    assert data is small.text or not same_weights(first, other)  # a text has no order to draw, nor dropout here


@pytest.mark.parametrize(("data", "tree"), [(small.images, FRACTAL), (small.sequences, HORNN), (small.text, HORNN)])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "muon"])
def test_a_restored_training_goes_on_as_if_never_left(
    data: Any, tree: specs.Tree, optimiser: str, tmp_path: Path
) -> None:
    """After epoch 1 of 3 saved and restored into a new process's fitting, the rest is equal to the bit."""
    dataset, spec = data(), Fit(epochs=3, batch=16, optimiser=optimiser, lr=0.01)
    whole = net_for(dataset, tree)
    losses = [epoch.loss for epoch in fit.epochs(fit.begin(whole, dataset, spec))]
    begun = fit.begin(net_for(dataset, tree), dataset, spec)
    next(fit.epochs(begun))
    checkpoints.save(begun, tmp_path / "training.pt")
    resumed = net_for(dataset, tree, seed=5)
    fitting = fit.begin(resumed, dataset, spec)
    checkpoints.restore(fitting, tmp_path / "training.pt")
    assert losses[1:] == [epoch.loss for epoch in fit.epochs(fitting)]
    assert same_weights(whole, resumed)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """Another fit, a broken file and no file are InputErrors that name the file; weights_only lets no code in."""
    dataset = small.images()
    fitting = fit.begin(net_for(dataset, BOTTLENECK), dataset, Fit(epochs=2))
    path = tmp_path / "training.pt"
    with pytest.raises(InputError, match="cannot read '"):
        checkpoints.restore(fitting, path)
    checkpoints.save(fitting, path)
    with pytest.raises(InputError, match="another network, fit or data set"):
        checkpoints.restore(fit.begin(net_for(dataset, BOTTLENECK), dataset, Fit(epochs=3)), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot read '"):
        checkpoints.restore(fitting, path)
    torch.save({"training": print}, path)  # pickled code
    with pytest.raises(InputError, match="cannot read '"):
        checkpoints.restore(fitting, path)


def test_weights_come_back(tmp_path: Path) -> None:
    """A network with the weights of another's file computes what that one does, also with fewer statistics."""
    dataset = small.images()
    net, _ = trained(dataset, FRACTAL, epochs=1, batch=16)
    weights.save_weights(net, tmp_path / "weights.pt")
    other = build(net.graph, seed=3)
    weights.load_weights(other, tmp_path / "weights.pt")
    x = example(net.graph, 2)
    torch.testing.assert_close(net(x), other(x))  # their kernels lie differently in memory
    wrong = net_for(dataset, BOTTLENECK)
    with pytest.raises(InputError, match="cannot read"):
        weights.load_weights(wrong, tmp_path / "weights.pt")


@pytest.mark.parametrize("marked", [None, {"study": "a", "trial": 1}])
def test_weights_with_other_bytes_are_refused(tmp_path: Path, marked: dict[str, str | int] | None) -> None:
    """One bit anywhere in a weight is noticed, though it would be read as another number."""
    net = net_for(small.images(), BOTTLENECK)
    path = tmp_path / "weights.pt"
    weights.save_weights(net, path, marked)
    held, value = path.read_bytes(), next(net.parameters()).detach().numpy().tobytes()
    path.write_bytes(held.replace(value, value[:40] + bytes([value[40] ^ 1]) + value[41:]))
    for reads in (
        lambda: weights.load_weights(net, path, marked),
        lambda: weights.remark(path, tmp_path / "copy.pt", marked, {"study": "b", "trial": 2}),
    ):
        with pytest.raises(InputError, match="damaged, or no file of weights"):
            reads()
    path.write_bytes(held)
    weights.load_weights(net, path, marked)


@pytest.mark.parametrize(
    ("data", "tree", "keys"),
    [
        (small.images, BOTTLENECK, {"lr": 1e9}),
        (small.images, NETWORKS["nin"], {"lr": 1e6, "optimiser": "sgd"}),
        (small.sequences, HORNN, {"lr": 1e30, "clip": 1e30}),
        (small.text, {**HORNN, "activation": "relu"}, {"lr": 1e5, "clip": 1e30}),
    ],
)
def test_divergence_ends_a_training_with_its_reason(data: Any, tree: specs.Tree, keys: dict[str, Any]) -> None:
    """A loss or gradient that is not finite, or far above guessing, raises Diverged: what, where and what may help."""
    with pytest.raises(Diverged, match=r"training diverged: the (loss|gradient) .* may help"):
        trained(data(), tree, epochs=3, batch=16, **keys)


def test_a_network_of_nans_has_no_score() -> None:
    """Evaluation refuses a network whose loss is no number."""
    dataset = small.images()
    net = net_for(dataset, BOTTLENECK)
    with torch.no_grad():
        next(net.parameters()).fill_(math.nan)
    with pytest.raises(Diverged, match="no finite loss on stripes"):
        scoring.evaluate(net, dataset.validation, dataset)


def test_a_network_for_other_data_is_refused() -> None:
    """Input, classes and a readout at the last word are checked before anything is trained."""
    images, text = small.images(), small.text()
    with pytest.raises(InputError, match="does not take what"):
        fit.begin(net_for(images, BOTTLENECK), replace(images, input=[1, 9, 9]), Fit())
    with pytest.raises(InputError, match="tells 3 classes apart, stripes has 4"):
        fit.begin(net_for(images, BOTTLENECK), replace(images, classes=4), Fit())
    with pytest.raises(InputError, match="readout: every"):
        fit.begin(net_for(text, {**HORNN, "readout": "last"}), text, Fit())
    with pytest.raises(InputError, match="augment changes images"):
        fit.begin(net_for(small.sequences(), HORNN), small.sequences(), Fit.model_validate({"augment": ["flip"]}))


def test_evaluation_leaves_modes_and_weights_alone() -> None:
    """A network in training stays in training, and no statistic moves."""
    dataset = small.images()
    net = net_for(dataset, FRACTAL).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    scoring.evaluate(net, dataset.validation, dataset)
    assert all(part.training for part in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def statistics(net: Net, row: str) -> list[Tensor]:
    norms = [part for part in net.modules() if isinstance(part, BatchNorm)]
    return [getattr(norm, f"{row}_{which}").clone() for norm in norms for which in ("mean", "var")]


def test_recalibration_gives_the_means_of_batch_statistics() -> None:
    """The first norm's statistics are those of what it is fed, averaged over batches, and no weight changes."""
    dataset = small.images()
    net = net_for(dataset, BOTTLENECK)
    calibration.recalibrate(net, dataset, batch=1000)
    pixels = (dataset.train.inputs / 255 - dataset.mean[0]) / dataset.std[0]
    conv = next(part for part in net.modules() if isinstance(part, torch.nn.Conv2d))
    fed = conv(pixels).detach()
    mean, var, *_ = statistics(net, "running")
    torch.testing.assert_close(mean, fed.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(var, fed.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_recalibration_sets_both_rows_of_a_fractal_network() -> None:
    """The whole network's row and the row of columns that run alone; a column recalibrates its own row alone."""
    dataset = small.images()
    net, _ = trained(dataset, FRACTAL, epochs=2, batch=16)
    before = {row: statistics(net, row) for row in ("running", "alone")}
    calibration.recalibrate(net, dataset)
    after = {row: statistics(net, row) for row in ("running", "alone")}
    for row in ("running", "alone"):
        assert not any(torch.equal(a, b) for a, b in zip(before[row], after[row], strict=True))
    calibration.recalibrate(net.column(1), dataset)
    again = {row: statistics(net, row) for row in ("running", "alone")}
    for row in ("running", "alone"):
        assert all(torch.equal(a, b) for a, b in zip(after[row], again[row], strict=True))
    for column in (1, 2):
        assert scoring.evaluate(net.column(column), dataset.validation, dataset).error < 0.5


def test_recalibration_passes_networks_without_norms() -> None:
    """A recurrent network has nothing to set."""
    calibration.recalibrate(net_for(small.sequences(), HORNN), small.sequences())


def test_the_listener_hears_of_every_mini_batch() -> None:
    """How many are done, of how many, up to the end."""
    dataset, heard = small.images(), []
    fitting = fit.begin(net_for(dataset, BOTTLENECK), dataset, Fit(epochs=2, batch=50))
    list(fit.epochs(fitting, told=lambda done, total, loss: heard.append((done, total))))
    total = 2 * math.ceil(len(dataset.train) / 50)
    assert [(n + 1, total) for n in range(total)] == heard


def test_what_a_mini_batch_drops_stays_as_it_is() -> None:
    """With one column in every mini-batch, the other's weights are neither moved by momentum nor decayed."""
    dataset = small.images()
    net = net_for(dataset, {**FRACTAL, "drop_path": {"global": 1}})
    fitting = fit.begin(net, dataset, Fit(epochs=1, batch=16))
    kept = {name: value.clone() for name, value in net.named_parameters()}
    changed: list[set[str]] = []

    def told(done: int, total: int, loss: float) -> None:
        moved = {name for name, value in net.named_parameters() if not torch.equal(value, kept[name])}
        changed.append({name for name in moved if "conv" in name})
        kept.update({name: value.clone() for name, value in net.named_parameters()})

    list(fit.epochs(fitting, told=told))
    assert 2 == len({frozenset(names) for names in changed})
    assert set() == set.intersection(*changed)


NARROW = """
from pathlib import Path
import archcost
from archcost.data.load import load
from archcost.nets import build
from archcost.training import fit
from archcost.data.spec import DataSpec
from archcost.training.spec import Fit
digits = load(DataSpec(name="digits", examples=300), folder=Path())
model = archcost.load("resnet-20", ["input=[1, 8, 8]", "depths=[1, 1]", "widths=[4, 4]", "strides=[1, 2]"])
for seed in range(3):
    fitting = fit.begin(build(model.graph), digits, Fit(epochs=30, precision="float32", seed=seed), threads=1)
    assert 30 == len(list(fit.epochs(fitting)))
"""


def test_narrow_networks_train() -> None:
    """Convolutions of four channels, their memory laid out channels last, made torch write past its own."""
    assert 0 == subprocess.run([sys.executable, "-c", NARROW], check=False).returncode
