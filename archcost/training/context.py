"""What training code of the user's own is given besides the network: data and a context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from archcost.data.splits import Dataset, Split
from archcost.latency.lock import device_key, turn
from archcost.training.batches import Images, examples, normalised, stored

State: TypeAlias = Mapping[str, Any]
"""What a training can go on from: tensors and plain values, in mappings and lists."""


class Pair(NamedTuple):
    """A split as tensors of one length: inputs as a network takes them, and their targets."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Given(Mapping[str, object]):
    """The data that training code sees, as attributes and as a mapping: `train`, and `valid`, never the test split.

    Each is a Pair of tensors, or the Dataset or callable that the user's own data code gave.
    """

    train: object
    valid: object

    def __getitem__(self, key: str) -> object:
        """Return a split by its name."""
        if key not in ("train", "valid"):
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the splits."""
        return iter(("train", "valid"))

    def __len__(self) -> int:
        """Return 2."""
        return 2


def given(dataset: Dataset) -> Given:
    """Return the data of a study as training code sees them."""
    return Given(handed(dataset, dataset.train), handed(dataset, dataset.validation))


def handed(dataset: Dataset, split: Split) -> object:
    """Return a split as the user's own code sees it: a Dataset or callable as it is, else a Pair.

    Images are float32 (N, C, H, W), normalised as archcost's own training does; a text is its tokens (L,) and those
    that follow them.
    """
    if split.loose is not None:
        return split.loose
    if dataset.kind == "text":
        return Pair(split.inputs, split.targets)
    held = examples(dataset, split, torch.device("cpu"))
    if isinstance(held, Images):
        return Pair(normalised(stored(split.inputs, torch.device("cpu")), held.scaling).contiguous(), held.targets)
    return Pair(held.values, held.targets)


@dataclass(frozen=True)
class Context:
    """What training and evaluation code of the user's own may ask, and how a training goes on after an interruption.

    seed: of this training; device: where to train; threads: of the processor's, already set; epochs: how many there
    are in all; start: how many of them were done before, more than 0 only if `load` gives a state; args: `fit.args`.
    """

    seed: int
    device: str
    threads: int
    epochs: int
    start: int = 0
    args: Mapping[str, object] = field(default_factory=dict)
    write: Callable[[State], None] = field(default=lambda _: None, repr=False)
    read: Callable[[], State | None] = field(default=lambda: None, repr=False)
    alive: Callable[[], None] = field(default=lambda: None, repr=False)

    def save(self, state: State) -> None:
        """Keep the state of an epoch, before its `yield`, whole or not at all.

        state: tensors and plain values, in mappings, lists and tuples.
        Without it an interrupted training begins again. Raises InputError for other values.
        """
        self.write(state)

    def load(self) -> State | None:
        """Return the state that was saved last of this training, None if there is none."""
        return self.read()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run a mini-batch inside: it waits while the device is measured, and says that the training is alive."""
        self.alive()
        with turn(device_key(torch.device(self.device))):
            yield
