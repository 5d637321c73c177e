"""Muon for the kernels of convolutions, beside the usual optimiser for all else."""

from __future__ import annotations

import datasets_small as small
import pytest
import specs
import torch
from torch import nn

from archcost.errors import InputError
from archcost.nets.net import build
from archcost.training import fit
from archcost.training.optimiser import Part, optimiser, parts
from archcost.training.spec import USUALLY, Fit, Settings
from archcost.training.steps import Matrix, matrices

MUON = Settings(16, "muon", 0.1, 0.0, "constant", others="sgd")


def stepped(net: nn.Module, x: torch.Tensor, settings: Settings = MUON, steps: int = 1) -> None:
    """Train on the mean square of what a network gives."""
    stepping = optimiser([Part(tuple(net.parameters()))], settings, 0.9, matrices(net))
    for _ in range(steps):
        stepping.drop_gradients()
        net(x).square().mean().backward()
        stepping.step()


def test_a_kernels_step_is_orthogonal() -> None:
    """Its singular values are about one, times rate and shape's factor; its directions are the gradient's."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 16, 3, bias=False)
    before = conv.weight.detach().clone()
    stepped(conv, torch.randn(4, 3, 8, 8))
    change = (before - conv.weight.detach()).flatten(1)
    assert conv.weight.grad is not None
    u, _, vh = torch.linalg.svd(conv.weight.grad.flatten(1), full_matrices=False)
    values = torch.diagonal(u.T @ change @ vh.T) / 0.1  # 16 rows of 27: the shape's factor is one
    assert ((values > 0.5) & (values < 1.3)).all()
    torch.testing.assert_close(u @ torch.diag(values) @ vh * 0.1, change, atol=0.005, rtol=0)  # no other direction


def test_kernels_that_lie_channels_last_are_stepped_alike() -> None:
    """Muon does not care for the order of a matrix's columns; the products' bfloat16 rounds otherwise."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3))
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3))
    wide.load_state_dict(plain.state_dict())
    wide.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(4, 3, 8, 8)
    stepped(plain, x)
    stepped(wide, x.to(memory_format=torch.channels_last))
    for a, b in zip(plain.parameters(), wide.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.004)


def test_what_is_no_kernel_of_one_group_is_stepped_as_usual() -> None:
    """Grouped kernels, norms, biases and the readout are the usual optimiser's; a shared kernel is stepped once."""
    shared = nn.Conv2d(8, 8, 3)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), shared, shared, nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.Linear(8, 2)
    )
    net[0].weight.requires_grad_(False)
    found = matrices(net)
    assert [id(shared.weight)] == [id(each.kernel) for each in found]
    stepping = optimiser(parts(net), MUON, 0.9, found)
    usual, muon = stepping.optimisers
    assert [id(found[0].rows)] == [id(each) for group in muon.param_groups for each in group["params"]]
    stepped_as_usual = {id(each) for group in usual.param_groups for each in group["params"]}
    assert {id(each) for each in net.parameters() if each.requires_grad} - {id(shared.weight)} == stepped_as_usual


def test_a_network_of_kernels_alone_is_trained() -> None:
    """Nothing is left for the usual optimiser, and nothing is wrong with that."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 2, 3, bias=False))
    before = [each.detach().clone() for each in net.parameters()]
    stepped(net, torch.randn(2, 3, 8, 8))
    assert all(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_kernel_that_is_no_matrix_in_memory_is_left_out() -> None:
    """A view of every other channel cannot be stepped through a matrix."""
    assert Matrix.of(torch.randn(4, 6, 3, 3)[:, ::2]) is None


def test_a_kernel_that_is_moved_in_memory_is_not_trained_on_in_silence() -> None:
    """The matrix would be stepped, and the kernel stay as it is."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False))
    stepping = optimiser([Part(tuple(net.parameters()))], MUON, 0.9, matrices(net))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net(torch.randn(2, 3, 8, 8)).square().mean().backward()
    with pytest.raises(RuntimeError, match="moved in memory"):
        stepping.step()


def test_a_kernel_that_is_made_of_others_is_left_out() -> None:
    """What is trained are its parts, of which Muon knows nothing."""
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    assert () == matrices(nn.Sequential(conv))


def test_a_torch_without_muon_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came with 2.9; all other training works without it."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3))
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(InputError, match="has no Muon"):
        optimiser([Part(tuple(net.parameters()))], MUON, 0.9, matrices(net))


@pytest.mark.parametrize("tree", [
    {"family": "nin", "layers": [{"kernel": 3, "widths": [8, 8]}, {"kernel": 3, "widths": [8, 3]}]},
    {"family": "bottleneck", "depths": [1], "widths": [8]},
])  # fmt: skip
def test_a_training_learns_by_muon(tree: specs.Tree) -> None:
    """Also of a network without norms, whose kernels are scaled when a training begins."""
    dataset = small.images()
    model = specs.model({**tree, "input": dataset.input, "classes": dataset.classes})
    net = build(model.graph, model.recipe, seed=0)
    epochs = list(fit.epochs(fit.begin(net, dataset, Fit(epochs=6, batch=16, optimiser="muon"))))
    assert epochs[-1].loss < epochs[0].loss


def test_a_kernel_without_a_gradient_stays() -> None:
    """What a mini-batch drops is not changed, nor by the momentum of earlier steps."""
    net = nn.ModuleList([nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(3, 8, 3, bias=False)])
    stepping = optimiser([Part(tuple(net.parameters()))], MUON, 0.9, matrices(net))
    for used in ((0, 1), (0,)):
        stepping.drop_gradients()
        before = net[1].weight.detach().clone()
        torch.stack([net[place](torch.randn(2, 3, 8, 8)).square().mean() for place in used]).sum().backward()
        stepping.step()
    assert torch.equal(before, net[1].weight)


@pytest.mark.parametrize("init", ["he", "nin", "hornn"])
def test_all_else_keeps_the_familys_optimiser_and_rate(init: str) -> None:
    """Also if the rate is given: it is then as many times the usual one as the kernels' is of theirs."""
    usual = USUALLY[init]  # type: ignore[index]
    settled = Fit(optimiser="muon").settled(init)  # type: ignore[arg-type]
    assert (0.1, usual.optimiser, usual.batch) == (settled.lr, settled.others, settled.batch)
    assert settled.lr * settled.others_rate == pytest.approx(usual.lr)
    halved = Fit(optimiser="muon", lr=0.05).settled(init)  # type: ignore[arg-type]
    assert halved.lr * halved.others_rate == pytest.approx(usual.lr / 2)


def test_a_network_without_convolutions_is_trained_as_without_muon() -> None:
    """A study may hold families with and without kernels."""
    dataset = small.sequences()
    tree = {"family": "hornn", "input": dataset.input, "classes": dataset.classes, "hidden": 4, "order": 2}
    made = []
    for keys in ({}, {"optimiser": "muon"}):
        model = specs.model(tree)
        net = build(model.graph, model.recipe, seed=0)
        list(fit.epochs(fit.begin(net, dataset, Fit(epochs=1, **keys))))  # type: ignore[arg-type]
        made.append([each.detach() for each in net.parameters()])
    for a, b in zip(*made, strict=True):
        torch.testing.assert_close(a, b)
