"""An ONNX file of a network quantised to 8 bits, made from its float32 file and checked."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from archcost.errors import TargetError, one_of
from archcost.graph.dtypes import BYTES
from archcost.graph.weight_sizes import SAVED_BYTES
from archcost.machine import saturates
from archcost.nets.export.quantisation import mixture, scales
from archcost.nets.export.quantisation.calibration import Arrays
from archcost.nets.export.quantisation.spec import Quantisation
from archcost.nets.export.sessions import onnxruntime
from archcost.nets.export.torch_export import LARGEST_ONNX_BYTES, SCOPES, quiet
from archcost.units import data_size

TOLERANCE: Final = 0.05
"""Share of the largest output that a runtime's 8-bit kernels may be from the same file run in float32.

Each rounds to the same grid, of 255 steps over a tensor's range; values next to a border may round to the other side.
"""

PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_NORMS: Final = frozenset({"BatchNormalization", "InstanceNormalization", "LayerNormalization"})  # no runtime has
# 8-bit kernels of these: their scales would be rounded, and nothing won
_FLOAT_LAYERS: Final = "float_layers"
_QUANTISED: Final = "_quantized"  # behind a value's name in that of its 8 bits
_TEXT: Final = re.compile(r"'([^']*)'")
_WEIGHT: Final = 1  # the place of a product's weight among its inputs


def write(source: Path, path: Path, how: Quantisation, inputs: Iterable[Arrays], facts: Mapping[str, str]) -> None:
    """Write the file of 8 bits of the float32 file `source`, `facts` and how it was quantised in it.

    inputs: as many as `how` says, of any batch. Raises TargetError if nothing in the network can be quantised, if it is
    too large, or if a layer that shall stay in float32 is none of its products.
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
        _check(named, how.float_layers)
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
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        made = onnx.load(path)
        scales.fold(made)
        mixture.give(made)
        _describe(made, model, {**_told(how), **facts})
        onnx.save(made, path)
        if how.float_layers:
            mix(source, path, path, how.float_layers)


def mix(source: Path, small: Path, path: Path, float_layers: Collection[str]) -> None:
    """Write `small`, the file of 8 bits of `source`, with these layers in float32; it says which they are.

    Raises TargetError if one of them is none of its products.
    """
    onnx = import_module("onnx")
    model, made = onnx.load(source), onnx.load(small)
    named = layers(model)
    _check(named, float_layers)
    mixture.leave(made, model, [node for layer in float_layers for node in named[layer]])
    _describe(made, made, {_FLOAT_LAYERS: ", ".join(sorted(float_layers))} if float_layers else {})
    onnx.save(made, path)


def fitting_weights() -> Literal["int8", "int7"]:
    """Return the weights that this processor multiplies as they are written: of 7 bits if it saturates."""
    return "int7" if saturates() else "int8"


def input_names(path: Path) -> list[str]:
    """Return the names of a file's inputs, in its order."""
    onnxruntime()
    return [given.name for given in import_module("onnx").load(path, load_external_data=False).graph.input]


def layers(model: Any) -> dict[str, list[str]]:
    """Return the nodes of each layer that multiplies, by its name: its weight's, else that of the module it is in."""
    weights = {each.name for each in model.graph.initializer}
    found: dict[str, list[str]] = defaultdict(list)
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            found[_name(node, weights).removeprefix("layers.")].append(node.name)
    return dict(found)


def layer_nodes(source: Path) -> dict[str, list[str]]:
    """Return the nodes of each layer of a float32 file, as `layers` does."""
    return layers(import_module("onnx").load(source, load_external_data=False))


def weights_bytes(source: Path, path: Path) -> int:
    """Return what the weights of a file of 8 bits take, each in its own type: all floating ones of its float32 file."""
    onnx = import_module("onnx")
    given, made = (onnx.load(each).graph.initializer for each in (source, path))
    whole = sum(prod(each.dims) for each in given if each.data_type == onnx.TensorProto.FLOAT)
    small = (each for each in made if each.data_type == onnx.TensorProto.INT8 and each.name.endswith(_QUANTISED))
    return int(BYTES["float32"] * whole - SAVED_BYTES * sum(prod(each.dims) for each in small))


def _name(node: Any, weights: Collection[str]) -> str:
    weight = node.input[_WEIGHT]
    if weight in weights and "." in weight:
        return str(weight).rpartition(".")[0]
    scopes = next((each.value for each in node.metadata_props if each.key == SCOPES), "")
    *modules, operator = _TEXT.findall(scopes) or [""]  # "['', 'encoder', 'encoder.head', 'linear_1']"
    own = [modules[-1]] if modules and modules[-1] else []
    return ".".join(own if own and weight in weights else [*own, operator or node.output[0]])


def _operators() -> list[str]:
    """Return what ONNX Runtime's quantiser knows, so that products next to each other hand on 8 bits, but for norms."""
    registry = _module("registry")
    return sorted({*registry.QDQRegistry, *registry.QLinearOpsRegistry} - _NORMS)


def _module(name: str) -> Any:
    return import_module(f"onnxruntime.quantization.{name}")


def _check(named: Collection[str], float_layers: Iterable[str]) -> None:
    if unknown := sorted(set(float_layers) - set(named)):
        raise TargetError(f"int8: no product is named {unknown[0]!r}; allowed: {one_of(named)}")


def _told(how: Quantisation) -> dict[str, str]:
    return {"weights_type": how.weights, "activations_type": how.activations, "calibration": how.words}


def _describe(made: Any, model: Any, facts: Mapping[str, str]) -> None:
    """Let a model say what another one says of archcost's facts, and these."""
    own = {each.key: each.value for each in model.metadata_props if each.key.startswith("archcost.")}
    del made.metadata_props[:]
    for key, value in {**own, **{f"archcost.{key}": value for key, value in facts.items()}}.items():
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
