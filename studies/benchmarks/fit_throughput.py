"""How much faster does archcost train than a plain DataLoader-and-float32 loop? Target: 3 times, same network and data.

A small bottleneck network on 32 x 32 colour images with flips and translations. The plain loop is the usual one: a
Dataset that pads, crops, mirrors and normalises an example at a time, a DataLoader without workers, the same network
as it is built (channels first, float32), torch.optim.SGD. Both train on the same images with the same mini-batches'
size, one thread, a whole epoch a call; the plain loop profits from archcost's hold on freed memory. Images are random:
what they show does not change the time.

    python studies/benchmarks/fit_throughput.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from sidebyside import interleaved, machine, table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import archcost
from archcost.data import splits
from archcost.nets.net import Net, build
from archcost.training import fit, speed
from archcost.training.spec import Fit
from archcost.training.speed import gains

COUNT, BATCH, TARGET = 512, 128, 3.0
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
NETWORKS = ([16, 32, 64], [32, 64, 128], [64, 128, 256])  # outer widths of three stages of one block
HEADS = (
    "network",
    "archcost",
    "plain loop",
    "times faster (rounds)",
    "images unchanged",
    f"target: {TARGET:g}",
)


class Plain(Dataset[tuple[Tensor, Tensor]]):
    """Images read one at a time, each padded by 4, cropped, mirrored and normalised, as a loader's workers would."""

    def __init__(self, split: splits.Split, changes: bool) -> None:
        self.split, self.changes = split, changes
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        image = (self.split.inputs[place].float() / 255 - self.mean) / self.std
        if self.changes:
            down, across = torch.randint(9, (2,)).tolist()
            image = functional.pad(image, (4, 4, 4, 4))[:, down : down + 32, across : across + 32]
            image = image.flip(2) if torch.rand(()) < 0.5 else image
        return image, self.split.targets[place]


def plain(net: nn.Module, split: splits.Split, changes: bool) -> Callable[[], None]:
    """Return one epoch of the plain loop."""
    loader = DataLoader(Plain(split, changes), batch_size=BATCH, shuffle=True)
    stepping = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    net.train()

    def epoch() -> None:
        for images, targets in loader:
            stepping.zero_grad()
            loss = functional.cross_entropy(net(images), targets)
            loss.backward()
            stepping.step()
            loss.item()

    return epoch


def ours(net: Net, dataset: splits.Dataset, changes: bool) -> Callable[[], object]:
    """Return one epoch of archcost's."""
    keys = {"augment": {"flip": True, "translate": 4}} if changes else {}
    spec = Fit.model_validate({"epochs": 1000, "batch": BATCH, **keys})
    epochs = fit.epochs(fit.begin(net, dataset, spec))
    return lambda: next(epochs)


def made() -> splits.Dataset:
    """Return random images of 10 classes."""
    pixels = torch.randint(256, (COUNT, 3, 32, 32), dtype=torch.uint8)
    split = splits.Split(pixels, torch.randint(10, (COUNT,)))
    return splits.Dataset("random", "image", [3, 32, 32], 10, split, split, MEAN, STD, "", "", lambda: split)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speed.keep_freed()  # of both: it is the process's
    dataset, rows = made(), []
    for widths in NETWORKS:
        ratios, medians = [], []
        for changes in (True, False):
            model = archcost.load("resnet-164", ["depths=[1, 1, 1]", f"widths={widths}"])
            sides = [
                ours(build(model.graph, model.recipe), dataset, changes),
                plain(build(model.graph, model.recipe), dataset.train, changes),
            ]
            times = interleaved(sides, rounds=5, calls=1, warmup=1)
            ratios.append(times.ratio(1, 0))
            medians.append([f"{COUNT / times.median_s(side):.4g}/s" for side in (0, 1)])
        verdict = "met" if ratios[0].value >= TARGET else "missed"
        rows.append((f"bottleneck {widths}", *medians[0], ratios[0], ratios[1], verdict))
    print(f"{machine()}; bfloat16 {'gains' if gains(torch.device('cpu')) else 'does not gain'} here")
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
