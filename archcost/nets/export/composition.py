"""Two ONNX files as one: preprocessing before a network that is a file already."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torch import nn

from archcost import scratch
from archcost.nets.call import Call
from archcost.nets.export.preprocess import Inputs, Prepared, Preprocess
from archcost.nets.export.sessions import onnxruntime
from archcost.nets.export.torch_export import convert, quiet

_BEFORE: Final = "preprocess/"


def preprocessed(network: Path, path: Path, inputs: Inputs, preprocess: Preprocess | None, facts: Mapping[str, str]
                 ) -> None:  # fmt: skip
    """Write the file of a network of one input and one output with its preprocessing before it, of any batch.

    facts: what it says of itself besides what the network's file says. The network's nodes stay as they are, so that
    what is quantised in it stays so. Raises TargetError if they cannot be joined.
    """
    onnxruntime()
    onnx = import_module("onnx")
    with quiet("onnx cannot join the preprocessing and"):
        found = onnx.load(network)
        if preprocess is not None:
            found = _joined(onnx, found, inputs, preprocess)
        own = {each.key: each.value for each in found.metadata_props}
        del found.metadata_props[:]
        for key, value in {**own, **{f"archcost.{key}": value for key, value in facts.items()}}.items():
            entry = found.metadata_props.add()
            entry.key, entry.value = key, value
        onnx.checker.check_model(found)
        onnx.save(found, path)


def _joined(onnx: Any, network: Any, inputs: Inputs, preprocess: Preprocess) -> Any:
    compose = import_module("onnx.compose")
    (version,) = (each.version for each in network.opset_import if not each.domain)
    with scratch.folder() as folder:
        first = folder / "preprocess.onnx"
        module = Prepared(nn.Identity(), inputs.layout, preprocess).eval()
        convert(Call(module, (inputs.example(2),)), first, {}, is_open=True, opset=version)
        before = onnx.load(first)
    before.ir_version = network.ir_version
    (made,), (taken,) = before.graph.output, network.graph.input
    # names of what both have, such as the dimension of the batch, are told apart
    return compose.merge_models(
        compose.add_prefix(before, _BEFORE, rename_inputs=False), network,
        io_map=[(f"{_BEFORE}{made.name}", taken.name)],
    )  # fmt: skip
