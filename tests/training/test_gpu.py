"""Training on a GPU: a step there is the step that the processor makes."""

from __future__ import annotations

from typing import Any

import datasets_small as small
import pytest
import specs
import torch

from archcost.data.splits import Dataset
from archcost.nets.net import build
from archcost.training import fit
from archcost.training.spec import Fit

HORNN: specs.Tree = {"family": "hornn", "hidden": 24, "order": 2}
# batch: all examples, or as many pieces of the text as make one window, so that an epoch is one step
STEPS: dict[str, tuple[Any, specs.Tree, int]] = {
    "images": (small.images, {"family": "bottleneck", "depths": [1, 1], "widths": [16, 32], "classes": 3}, 180),
    "sequences": (small.sequences, {**HORNN, "classes": 2}, 240),
    "text": (small.text, HORNN, 80),
}


def stepped(dataset: Dataset, tree: specs.Tree, batch: int, device: str) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss of the first step on a device, and the network's state after it, in float32."""
    model = specs.model({**tree, "input": dataset.input})
    net = build(model.graph, model.recipe, seed=0)
    plan = Fit(epochs=1, batch=batch, optimiser="sgd", lr=0.1, precision="float32")
    fitting = fit.begin(net, dataset, plan, device=device, threads=1)
    assert fitting.total == 1
    (epoch,) = fit.epochs(fitting)
    return epoch.loss, {name: value.cpu() for name, value in net.state_dict().items()}


@pytest.mark.gpu
@pytest.mark.parametrize("case", STEPS)
def test_a_step_on_a_gpu_is_that_of_the_processor(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one seed the loss, and every weight and statistic after a step, agree; the step has changed the weights."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it keeps 10 bits of float32
    data, tree, batch = STEPS[case]
    dataset = data()
    loss, expected = stepped(dataset, tree, batch, "cpu")
    found, actual = stepped(dataset, tree, batch, "cuda")
    assert found == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)
    model = specs.model({**tree, "input": dataset.input})
    before = build(model.graph, model.recipe, seed=0).state_dict()
    moved = max(
        float((actual[name] - value).abs().max()) for name, value in before.items() if value.is_floating_point()
    )
    assert moved > 1e-2
