"""A trained network in 8 bits: its file, calibrated on training examples, to be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
from archcost.nets.export.quantisation.spec import MOST_EXAMPLES, Quantisation
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


@contextmanager
def file(
    net: nn.Module, dataset: Dataset, seed: int, context: Context, layers: frozenset[str] = frozenset()
) -> Iterator[Small]:
    """Yield the file of a trained network in 8 bits, for any batch, in a folder that is gone with the context.

    seed: of the choice of training examples; layers: those that stay in float32. It waits while the device is measured.
    Raises what `write` does.
    """
    inputs = drawn(dataset, seed)
    program = Program(net.eval(), [Call(net, (inputs[:batch].clone(),)) for batch in _OPEN], is_open=True, facts={})
    with scratch.folder() as folder:
        path = folder / "int8.onnx"
        yield Small(path, write(program, inputs, path, layers, context.turn).float_bytes)


Turn: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Inside what it gives, the device is not measured."""


class Written(NamedTuple):
    """Bytes of the file in float32, and how many more the weights of layers in float32 take in that of 8 bits."""

    whole_bytes: int
    float_bytes: int


def write(
    program: Program,
    inputs: Tensor,
    path: Path,
    layers: frozenset[str] = frozenset(),
    turn: Turn = nullcontext,
) -> Written:
    """Write a trained network in 8 bits.

    It is exported once, compared with the network in float32, and quantised on examples of its training. inputs: these,
    as `drawn` gives them; layers: those that stay in float32. Raises TargetError if it cannot be exported, or holds
    nothing that can be quantised, or not these layers.
    """
    with scratch.folder() as folder, torch.inference_mode(False):
        whole = folder / "float32.onnx"
        with turn():
            write_onnx(program, whole)
        with turn():
            batch = _BATCH if program.is_open else len(given(program.calls[0])[0])
            float_bytes = quantise(whole, path, inputs, batch, layers)
        return Written(whole.stat().st_size, float_bytes)


def quantise(whole: Path, path: Path, inputs: Tensor, batch: int, layers: frozenset[str]) -> int:
    """Write the file of 8 bits of one in float32: the one place in which a study quantises.

    inputs: (N, ...), the training examples that give the ranges of its values; batch: so many at a time; layers: those
    that stay in float32. Returns how many bytes more their weights take so.
    """
    names = quantised_file.input_names(whole)
    if len(names) != 1:
        raise TargetError(f"int8: the network has {len(names)} inputs; allowed in a study: one")
    count = -(-len(inputs) // batch) * batch  # the last batch is whole: some are seen twice, which moves no range
    every = inputs[torch.arange(count) % len(inputs)]
    arrays = [{names[0]: each.numpy()} for each in torch.split(every, batch)]
    if not layers:
        quantised_file.write(whole, path, how_of(len(inputs)), arrays, {})
        return 0
    with scratch.folder() as folder:
        small = folder / "small.onnx"
        quantised_file.write(whole, small, how_of(len(inputs)), arrays, {})
        quantised_file.mix(whole, small, path, layers)
        return quantised_file.weights_bytes(whole, path) - quantised_file.weights_bytes(whole, small)


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
