"""An ONNX file of a network quantised to 8 bits, made from its float32 file and checked."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from archcost.errors import TargetError, one_of
from archcost.machine import saturates
from archcost.nets.export.quantisation.calibration import Arrays
from archcost.nets.export.quantisation.spec import Quantisation
from archcost.nets.export.sessions import onnxruntime
from archcost.nets.export.torch_export import LARGEST_ONNX_BYTES, quiet
from archcost.units import data_size

TOLERANCE: Final = 0.05
"""Share of the largest output that a runtime's 8-bit kernels may be from the same file run in float32.

Each rounds to the same grid, of 255 steps over a tensor's range; values next to a border may round to the other side.
"""

PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_NORMS: Final = frozenset({"BatchNormalization", "InstanceNormalization", "LayerNormalization"})  # no runtime has
# 8-bit kernels of these: their scales would be rounded, and nothing won
_WEIGHT: Final = 1  # the place of a product's weight among its inputs


def write(source: Path, path: Path, how: Quantisation, inputs: Iterable[Arrays], facts: Mapping[str, str]) -> None:
    """Write the file of 8 bits of the float32 file `source`, `facts` and how it was quantised in it.

    inputs: as many as `how` says. Raises TargetError if nothing in the network can be quantised, if it is too large, or
    if a layer that shall stay in float32 is none of its products.
    """
    if source.stat().st_size > LARGEST_ONNX_BYTES:
        size, most = data_size(source.stat().st_size), data_size(LARGEST_ONNX_BYTES)
        raise TargetError(f"int8: the float32 file takes {size}; allowed: {most}")
    onnxruntime()
    onnx, quantization = import_module("onnx"), import_module("onnxruntime.quantization")
    with quiet("ONNX Runtime cannot quantise"), _silent():
        model = onnx.load(source)
        if not (named := layers(model)):
            raise TargetError("int8: this network has no product that could be quantised")
        kept = _kept(named, how.float_layers)
        # says that BatchNorms are folded and shapes known, as the exporter leaves them: else it warns
        _module("quant_utils").add_pre_process_metadata(model)
        onnx.save(model, path)
        quantization.quantize_static(
            path,
            path,
            _reader(quantization, inputs),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=how.weights == "int7",
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=_operators(),
            nodes_to_exclude=kept,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        made = onnx.load(path)
        _describe(made, model, how, facts)
        onnx.save(made, path)


def fitting_weights() -> Literal["int8", "int7"]:
    """Return the weights that this processor multiplies as they are written: of 7 bits if it saturates."""
    return "int7" if saturates() else "int8"


def input_names(path: Path) -> list[str]:
    """Return the names of a file's inputs, in its order."""
    onnxruntime()
    return [given.name for given in import_module("onnx").load(path, load_external_data=False).graph.input]


def layers(model: Any) -> dict[str, list[str]]:
    """Return the nodes of each layer that multiplies, by its name: that of its weight, else of what it gives."""
    weights = {each.name for each in model.graph.initializer}
    found: dict[str, list[str]] = defaultdict(list)
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            weight = node.input[_WEIGHT]
            known = weight in weights and "." in weight
            found[weight.removeprefix("layers.").rpartition(".")[0] if known else node.output[0]].append(node.name)
    return dict(found)


def _operators() -> list[str]:
    """Return what ONNX Runtime's quantiser knows, so that products next to each other hand on 8 bits, but for norms."""
    registry = _module("registry")
    return sorted({*registry.QDQRegistry, *registry.QLinearOpsRegistry} - _NORMS)


def _module(name: str) -> Any:
    return import_module(f"onnxruntime.quantization.{name}")


def _kept(named: Mapping[str, Sequence[str]], float_layers: Iterable[str]) -> list[str]:
    if unknown := sorted(set(float_layers) - named.keys()):
        raise TargetError(f"int8: no product is named {unknown[0]!r}; allowed: {one_of(named)}")
    return [node for layer in float_layers for node in named[layer]]


def _describe(made: Any, model: Any, how: Quantisation, facts: Mapping[str, str]) -> None:
    own = {each.key: each.value for each in model.metadata_props if each.key.startswith("archcost.")}
    told = {"weights_type": how.weights, "activations_type": how.activations, "calibration": how.words}
    if how.float_layers:
        told["float_layers"] = ", ".join(sorted(how.float_layers))
    del made.metadata_props[:]
    for key, value in {**own, **{f"archcost.{key}": value for key, value in {**facts, **told}.items()}}.items():
        entry = made.metadata_props.add()
        entry.key, entry.value = key, value


def _reader(quantization: Any, inputs: Iterable[Arrays]) -> Any:
    """Return the inputs as ONNX Runtime's calibration reads them: one after the other, None after the last."""
    iterator = iter(inputs)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # a class of a package without types
        def get_next(self) -> Arrays | None:
            return next(iterator, None)

    return Reader()


@contextmanager
def _silent() -> Iterator[None]:
    """Let nothing be logged to the root, which the quantiser would give a handler that stays."""
    root = logging.getLogger()
    none, level = logging.NullHandler(), root.level
    root.addHandler(none)
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(none)


def emulated(path: Path, arrays: Arrays) -> list[Tensor]:
    """Return the outputs of a quantised file as it is written: rounded to 8 bits between operators of float32."""
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(value) for value in session.run(None, dict(arrays))]
