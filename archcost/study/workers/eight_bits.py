"""A trained network in 8 bits: its file, calibrated on training examples, as a module that can be scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
from archcost.nets.export.quantisation.spec import MOST_EXAMPLES, Quantisation
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


@contextmanager
def file(net: nn.Module, dataset: Dataset, seed: int, context: Context) -> Iterator[Path]:
    """Yield the file of a trained network in 8 bits, for any batch, in a folder that is gone with the context.

    seed: of the choice of training examples. Raises what `write` does.
    """
    with scratch.folder() as folder:
        path = folder / "int8.onnx"
        write(net, dataset, seed, path, context)
        yield path


def write(net: nn.Module, dataset: Dataset, seed: int, path: Path, context: Context) -> None:
    """Write a trained network in 8 bits: exported once, checked in float32, quantised on examples of its training.

    It waits while the device is measured. Raises TargetError if it cannot be exported, or holds nothing that can be
    quantised, or for a text: a file carries no state from one window to the next.
    """
    if dataset.kind == "text":
        raise TargetError("int8: a file carries no state along a text, as the network does; allowed: images, sequences")
    inputs = drawn(dataset, seed)
    with scratch.folder() as folder, torch.inference_mode(False):
        whole = folder / "float32.onnx"
        with context.turn():
            calls = [Call(net, (inputs[:batch].clone(),)) for batch in _OPEN]
            write_onnx(Program(net.eval(), calls, is_open=True, facts={}), whole)
        with context.turn():
            quantise(whole, path, inputs, {})


def quantise(whole: Path, path: Path, inputs: Tensor, facts: Mapping[str, str]) -> None:
    """Write the file of 8 bits of one in float32 of any batch: the one place in which a study quantises.

    inputs: (N, ...), the training examples that give the ranges of its values.
    """
    how = Quantisation(weights=quantised_file.fitting_weights(), calibration="training", examples=len(inputs))
    (name,) = quantised_file.input_names(whole)
    arrays: Sequence[Arrays] = [{name: each.numpy()} for each in torch.split(inputs, _BATCH)]
    quantised_file.write(whole, path, how, arrays, facts)


def drawn(dataset: Dataset, seed: int) -> Tensor:
    """Return at most 512 inputs of the training split as the network is given them, without changes: (N, ...).

    seed: of the choice. Of data that are no tensors they are the first that come, as their order is their own.
    """
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
