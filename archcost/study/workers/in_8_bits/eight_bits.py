"""A trained network in 8 bits: its file, calibrated on training examples, to be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from archcost import scratch
from archcost.data.splits import Dataset
from archcost.errors import TargetError
from archcost.nets.call import Call
from archcost.nets.export import sessions
from archcost.nets.export.onnx_pt2 import Program, write_onnx
from archcost.nets.export.quantisation import file as quantised_file
from archcost.nets.export.quantisation.calibration import Arrays
from archcost.nets.export.quantisation.choice import Allowed
from archcost.nets.export.quantisation.spec import MOST_EXAMPLES, FloatLayer, Quantisation
from archcost.nets.export.quantisation.trials import Mixtures
from archcost.nets.export.quantisation.trials import Score as ScoreOf
from archcost.nets.export.torch_export import inputs as given
from archcost.training.batches import examples, stream
from archcost.training.context import Context

_BATCH: Final = 64  # of examples that are calibrated on, at a time
_OPEN: Final = (2, 1, 3)  # batches that the file in float32 is tried with; the first is traced


class OfFile(nn.Module):
    """An ONNX file of one input and one output as a module, in its runtime on the processor."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        self.predict = sessions.of_onnx(path, threads)
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # by which scoring sees the device

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, ...), as the network is given it -> its scores, (B, K)."""
        return self.predict(x.contiguous())


def module(path: Path, threads: int) -> nn.Module:
    """Return a file as a module that is scored as the network is, on so many threads."""
    return OfFile(path, threads).eval()


class Small(NamedTuple):
    """A file of 8 bits; float_bytes: how many more the weights of its layers in float32 take than in 8 bits."""

    path: Path
    float_bytes: int


Turn: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Inside what it gives, the device is not measured."""


@dataclass(frozen=True, slots=True)
class Files:
    """A trained network as a file of float32, `whole`, and one of 8 bits, `small`; others are made beside them.

    arrays: the training examples that gave the ranges, as the files take them.
    """

    whole: Path
    small: Path
    arrays: tuple[Arrays, ...]
    turn: Turn = nullcontext

    def mixed(self, layers: frozenset[str]) -> Small:
        """Return the file of 8 bits with these layers in float32; raises TargetError for one that it does not have."""
        if not layers:
            return Small(self.small, 0)
        path = self._from(layers).file(())
        size, least = (quantised_file.weights_bytes(self.whole, each) for each in (path, self.small))
        return Small(path, size - least)

    def costing(self, layers: frozenset[str], score: ScoreOf, best: float) -> tuple[FloatLayer, ...]:
        """Return the layers that go back to float32, on top of those that are, until no more than 0.3 points are lost.

        best: the score of float32 on all examples; none if no layer helps.
        """
        return self._from(layers).by_accuracy((), score, best, Allowed())

    def _from(self, layers: frozenset[str]) -> Mixtures:
        return Mixtures(self.whole, self.small, layers, self.arrays, turn=self.turn)


@contextmanager
def files(net: nn.Module, dataset: Dataset, seed: int, context: Context) -> Iterator[Files]:
    """Yield the files of a trained network, for any batch, in a folder that is gone with the context.

    seed: of the choice of training examples. It waits while the device is measured. Raises what `write` does.
    """
    inputs = drawn(dataset, seed)
    program = Program(net.eval(), [Call(net, (inputs[:batch].clone(),)) for batch in _OPEN], is_open=True, facts={})
    with scratch.folder() as folder:
        yield _made(program, inputs, folder, context.turn)


@contextmanager
def file(
    net: nn.Module, dataset: Dataset, seed: int, context: Context, layers: frozenset[str] = frozenset()
) -> Iterator[Small]:
    """Yield one of these files: that of 8 bits with these layers in float32."""
    with files(net, dataset, seed, context) as made:
        yield made.mixed(layers)


class Written(NamedTuple):
    """Bytes of the file in float32, and how many more the weights of layers in float32 take in that of 8 bits."""

    whole_bytes: int
    float_bytes: int


def write(program: Program, inputs: Tensor, path: Path, layers: frozenset[str] = frozenset()) -> Written:
    """Write a trained network in 8 bits.

    It is exported once, compared with the network in float32, and quantised on examples of its training. inputs: these,
    as `drawn` gives them; layers: those that stay in float32. Raises TargetError if it cannot be exported, or holds
    nothing that can be quantised, or not these layers.
    """
    with scratch.folder() as folder:
        made = _made(program, inputs, folder, nullcontext)
        small = made.mixed(layers)
        path.write_bytes(small.path.read_bytes())
        return Written(made.whole.stat().st_size, small.float_bytes)


def _made(program: Program, inputs: Tensor, folder: Path, turn: Turn) -> Files:
    """Export a network to a folder and quantise it: the one place in which a study does.

    inputs: (N, ...), the training examples that give the ranges of its values.
    """
    whole, small = folder / "float32.onnx", folder / "int8.onnx"
    with torch.inference_mode(False):
        with turn():
            write_onnx(program, whole)
        names = quantised_file.input_names(whole)
        if len(names) != 1:
            raise TargetError(f"int8: the network has {len(names)} inputs; allowed in a study: one")
        batch = _BATCH if program.is_open else len(given(program.calls[0])[0])
        count = -(-len(inputs) // batch) * batch  # the last batch is whole: some are seen twice, which moves no range
        every = inputs[torch.arange(count) % len(inputs)]
        arrays = tuple({names[0]: each.numpy()} for each in torch.split(every, batch))
        with turn():
            quantised_file.write(whole, small, how_of(len(inputs)), arrays, {})
    return Files(whole, small, arrays, turn)


def how_of(examples: int) -> Quantisation:
    """Return how a study quantises, on so many training examples."""
    return Quantisation(weights=quantised_file.fitting_weights(), calibration="training", examples=examples)


def drawn(dataset: Dataset, seed: int) -> Tensor:
    """Return at most 512 inputs of the training split as the network is given them, without changes: (N, ...).

    seed: of the choice. Of data that are no tensors they are the first that come, as their order is their own. Raises
    TargetError for a text: a file carries no state from one window to the next.
    """
    if dataset.kind == "text":
        raise TargetError("int8: a file carries no state along a text, as the network does; allowed: images, sequences")
    if dataset.train.loose is not None:
        return _first(dataset)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset.train), generator=generator)[:MOST_EXAMPLES]
    held = examples(dataset, dataset.train.take(chosen), torch.device("cpu"))
    return held.batch(torch.arange(len(chosen)))[0].contiguous()


def _first(dataset: Dataset) -> Tensor:
    taken: list[Tensor] = []
    for inputs, _ in stream(dataset.train, _BATCH, torch.device("cpu"), shuffle=False):
        taken.append(inputs)
        if sum(map(len, taken)) >= MOST_EXAMPLES:
            break
    return torch.cat(taken)[:MOST_EXAMPLES].contiguous()
