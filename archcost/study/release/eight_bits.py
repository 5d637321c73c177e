"""A network leaves its study in 8 bits: quantised again as it was scored, and checked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from archcost import scratch
from archcost.errors import InputError, Mistake, quoted
from archcost.nets.call import Call
from archcost.nets.export import onnx_pt2
from archcost.nets.export.composition import preprocessed
from archcost.nets.export.quantisation import file
from archcost.nets.export.sessions import onnxruntime
from archcost.nets.export.torch_export import inputs as given
from archcost.nets.export.torch_export import quiet
from archcost.study.records.stored import Stored
from archcost.study.release.material import Material
from archcost.study.release.weights import Source
from archcost.study.workers.in_8_bits import eight_bits
from archcost.units import data_size


def refuse_format(source: Source, to: str) -> None:
    """Raise InputError for a format that holds no network of 8 bits."""
    if source.network.way.quantised and to != "onnx":
        message = f"{quoted(source.network.name)} runs in 8 bits, as an ONNX file; allowed: --to onnx, or a bundle"
        raise InputError(Mistake(message))


def save(
    stored: Stored, source: Source, held: Material, path: Path, batch: int | None = None, opset: int | None = None
) -> tuple[str, ...]:
    """Write the file in 8 bits that a network of a study was scored as, and say what it holds.

    It is quantised again, on the same training examples: what it reaches is for `scores.checks` to see. batch: None for
    any. Raises InputError if the extra is not installed or memory is short, TargetError if it cannot be exported, or if
    what runs is not what is written.
    """
    version = onnxruntime().__version__
    program = onnx_pt2.prepared(source.trained, 0, batch)
    facts = {**program.facts, "way": source.network.way.words}
    examples = eight_bits.drawn(held.dataset, seed_of(stored))
    layers = source.network.float_layers
    whole_bytes = eight_bits.write(replace(program, facts=facts, opset=opset), examples, path, layers).whole_bytes
    sizes = [len(given(call)[0]) for call in program.calls]
    some = [examples[torch.arange(size) % len(examples)] for size in sizes]
    calls = [Call(program.calls[0].module, (each,)) for each in some]
    with quiet("ONNX Runtime cannot run"):
        share = onnx_pt2.compared(partial(_written, path), onnx_pt2.opened(path), calls, file.TOLERANCE)
    how = eight_bits.how_of(len(examples))
    lines = onnx_pt2.said(program, f"ONNX Runtime {version} {share}, from the file run in float32")
    types = f"{how.weights} weights, {how.activations} activations"
    sizes_words = f"{types}: {data_size(path.stat().st_size)}, {data_size(whole_bytes)} in float32"
    kept = [f"in float32 as it was measured: {line}" for line in source.network.float_words]
    return *lines, sizes_words, *kept, how.words


def _written(path: Path, call: Call) -> list[Tensor]:
    """Return what a file gives as it is written: rounded to 8 bits between operators of float32."""
    (name,), (x,) = file.input_names(path), given(call)
    return file.emulated(path, {name: x.numpy()})


def seed_of(stored: Stored) -> int:
    """Return the seed of the choice of training examples: the study's own."""
    search = stored.same.get("search")
    return int(search.get("seed", 0)) if isinstance(search, dict) else 0


def bundled(stored: Stored, source: Source, held: Material, path: Path, facts: dict[str, str]) -> tuple[str, ...]:
    """Write the same file with the preprocessing of a bundle before it, and say what it holds; raises what `save` does.

    facts: what the file says of itself.
    """
    with scratch.folder() as folder, torch.inference_mode(False):
        alone = folder / "int8.onnx"
        said = save(stored, source, held, alone)
        preprocessed(alone, path, held.inputs, held.preprocess, facts)
    shape = ", ".join(["batch", *map(str, held.inputs.shape)])
    weights = f"weights {source.trained.words}"  # a bundle says this of itself
    return f"input ({shape}), {held.inputs.dtype}; any batch", *(line for line in said[1:] if line != weights)
