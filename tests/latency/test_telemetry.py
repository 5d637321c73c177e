"""ONNX Runtime and what measures with it send nobody anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MODEL = """
import onnx
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""
_LOADED = {
    "to measure": "from archcost.latency.runtimes.onnxruntime import loaded; runtime = loaded()",
    "to export": "from archcost.nets.export.sessions import onnxruntime; runtime = onnxruntime()",
}
_LOUD = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")


@pytest.mark.parametrize("way", ["to measure", "to export"])
def test_onnx_runtime_tells_nobody(way: str, tmp_path: Path) -> None:
    """A session that archcost opens leaves no store of usage data in the user's folder: there sending begins."""
    kept = {key: value for key, value in os.environ.items() if key not in _LOUD}
    env = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    subprocess.run([sys.executable, "-c", f"{_LOADED[way]}\n{_MODEL}"], env=env, check=True, timeout=300)
    assert [] == [each for each in tmp_path.rglob("*") if "onnxruntime" in each.name]
