"""Broken and hostile ONNX files: each is refused with one message, nothing is unpacked, run or read elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_files import FLOAT, INT64, counted, graph, model, node, written

from archcost.counting.files.onnx import walk, wire
from archcost.errors import InputError


def field(key: int, content: bytes) -> bytes:
    """Return a field of protobuf's that is a length and so many bytes."""
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([key << 3 | 2, *length, size]) + content


def plain(**weights: Any) -> Any:
    return model(
        [node("MatMul", "x w", "y")], {"x": (FLOAT, (1, 8))}, ["y"], weights or {"w": np.ones((8, 4), np.float32)}
    )


def huge() -> Any:
    made = plain()
    made.graph.initializer[0].dims[:] = [2**40, 2**40]
    return made


def short() -> Any:
    made = plain()
    made.graph.initializer[0].raw_data = b"1234"
    return made


def negative() -> Any:
    made = plain()
    made.graph.initializer[0].dims[:] = [-8, 4]
    return made


def cyclic() -> Any:
    return model([node("Add", "x b", "a"), node("Add", "a a", "b")], {"x": (FLOAT, (1, 8))}, ["b"])


def twice() -> Any:
    return model([node("Relu", "x", "y"), node("Neg", "x", "y")], {"x": (FLOAT, (1, 8))}, ["y"])


def nowhere() -> Any:
    return model([node("Relu", "x", "y")], {"x": (FLOAT, (1, 8))}, ["z"])


def recursive() -> Any:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    calls = {name: helper.make_node(other, ["a"], ["b"], domain="own") for name, other in (("f", "g"), ("g", "f"))}
    made = [helper.make_function("own", name, ["a"], ["b"], [call], opsets) for name, call in calls.items()]
    return model([node("f", "x", "y", "own")], {"x": (FLOAT, (1, 8))}, ["y"], functions=made)


def doubling() -> Any:
    """Functions of which each calls the one before twice: 2^40 nodes if they were expanded."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    made = [helper.make_function("own", "f0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], opsets)]
    for i in range(1, 41):
        calls = [helper.make_node(f"f{i - 1}", ["a"], ["t"], domain="own"),
                 helper.make_node(f"f{i - 1}", ["t"], ["b"], domain="own")]  # fmt: skip
        made.append(helper.make_function("own", f"f{i}", ["a"], ["b"], calls, opsets))
    return model([node("f40", "x", "y", "own")], {"x": (FLOAT, (1, 8))}, ["y"], functions=made)


def chained() -> Any:
    """Functions nested deeper than Python's stack."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    made = [helper.make_function("own", "f0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], opsets)]
    for i in range(1, 3000):
        call = helper.make_node(f"f{i - 1}", ["a"], ["b"], domain="own")
        made.append(helper.make_function("own", f"f{i}", ["a"], ["b"], [call], opsets))
    return model([node("f2999", "x", "y", "own")], {"x": (FLOAT, (1, 8))}, ["y"], functions=made)


def wide() -> Any:
    """A value of 10^18 numbers from a constant of one."""
    return model([node("ConstantOfShape", "s", "y")], {}, ["y"], {"s": np.array([10**9, 10**9])})


def divided() -> Any:
    """A stride of 0, by which onnx's shape function divides."""
    nodes = [node("Conv", "x w", "y", strides=[0, 0])]
    return model(nodes, {"x": (FLOAT, (1, 1, 8, 8))}, ["y"], {"w": np.ones((1, 1, 3, 3), np.float32)})


def one(op: str, inputs: str, shape: tuple[int, ...], **attributes: Any) -> Any:
    """Return a model of one node whose attributes end the process in onnx's own shape function."""
    weights = {"w": np.ones(3, np.float32), "i": np.array([[0]])}
    return model([node(op, inputs, "y", **attributes)], {"x": (FLOAT, shape)}, ["y"], weights)


def mismatched() -> Any:
    return plain(w=np.ones((7, 4), np.float32))


def endless() -> Any:
    """A loop that never ends."""
    body = graph([node("Identity", "go", "on"), node("Relu", "h", "h_")],
                 {"i": (INT64, ()), "go": (9, ()), "h": (FLOAT, (1, 8))}, ["on", "h_"])  # fmt: skip
    return model([node("Loop", "- yes x", "y", body=body)], {"x": (FLOAT, (1, 8))}, ["y"], {"yes": np.array(True)})


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "huge dims": (
        huge,
        "tensor 'w' has the shape (1099511627776 x 1099511627776); allowed: sizes from 0, at most 2^53",
    ),
    "too few data": (short, "tensor 'w' holds 4 bytes of data, its shape (8 x 4) needs 128"),
    "negative dims": (negative, "tensor 'w' has the shape (-8 x 4); allowed: sizes from 0"),
    "a circle": (cyclic, "reads 'b', which no node before it makes: nodes have to be sorted, without a circle"),
    "made twice": (twice, "makes 'y', which another node makes too"),
    "made by none": (nowhere, "output 'z' is made by no node"),
    "a function that calls itself": (recursive, "function 'f' calls itself"),
    "functions too deep": (chained, "call each other deeper than 60"),
    "a value too large": (wide, "would give 1000000000 x 1000000000 values; allowed: sizes from 0, at most 2^53"),
    "a stride of 0": (divided, "node 'the_Conv' has 'strides' of 0, 0; allowed: from 1"),
    "an axis that there is not": (
        lambda: one("LayerNormalization", "x w", (2, 3), axis=-7),
        "'axis' of -7; allowed: -2",
    ),
    "batches that there are not": (lambda: one("GatherND", "x i", (2, 3), batch_dims=9), "'batch_dims' of 9; allowed"),
    "outputs without end": (lambda: one("Split", "x", (2, 3), num_outputs=2**31), "'num_outputs' of 2147483648"),
    "control flow of nothing": (lambda: one("Loop", "", (2, 3)), "a node is not as ONNX defines it"),
    "a branch that is missing": (lambda: one("If", "x", (2, 3)), "If 'the_If' has no then_branch"),
    "shapes that do not fit": (mismatched, "node 'the_MatMul' cannot take its inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    """With the file's name, the node or the tensor, and what is allowed."""
    make, words = REFUSED[name]
    path = written(tmp_path, make())
    with pytest.raises(InputError) as error:
        counted(path)
    (mistake,) = error.value.mistakes
    assert words in str(mistake)
    assert str(mistake).startswith(str(path))


def test_functions_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as they have run the most nodes that are followed: here a fiftieth of them."""
    assert 200_000 == wire.MOST_NODES == walk.MOST_NODES
    monkeypatch.setattr(walk, "MOST_NODES", 4_000)
    path = written(tmp_path, doubling())
    with pytest.raises(InputError, match="would run more than 4,000 nodes") as error:
        counted(path)
    assert str(error.value).startswith(str(path))


def test_a_loop_without_end_is_a_lower_bound(tmp_path: Path) -> None:
    """It is not followed for ever."""
    assert ["Loop"] == [each.op for each in counted(written(tmp_path, endless())).uncounted]


CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"family: bottleneck\ndepths: [1, 2]\n", "is no ONNX file, or is cut off"),
    "zeros": (bytes(64), "is no ONNX file"),
    "cut off": (plain().SerializeToString()[:-40], "is no ONNX file, or is cut off"),
    "no graph": (b"\x08\x0a", "is no ONNX file: it holds no graph"),
    "a bomb of nodes": (field(7, field(1, b"") * 250_000), "it has more than 200,000 nodes"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, name: str) -> None:
    """Before anything is unpacked."""
    content, words = CONTENTS[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        counted(path)


def test_graphs_nested_too_deep_are_refused(tmp_path: Path) -> None:
    """The bytes are looked at before they are parsed."""
    inner = b""
    for _ in range(40):  # graph { node { attribute { graph ... } } }
        for key in (6, 5, 1):  # attribute's g, node's attribute, graph's node
            inner = field(key, inner)
    with pytest.raises(InputError, match="nested deeper than 16"):
        wire.measured(field(7, inner))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """Also one that is called as a file."""
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(InputError, match="is a directory, where an ONNX file is wanted"):
        counted(tmp_path / "net.onnx")


def outside(location: str, **facts: str) -> Any:
    made = plain()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **facts}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return made


@pytest.mark.parametrize(
    ("location", "facts", "words"),
    [
        ("../secret", {}, "allowed: a file in the folder of the model"),
        ("a/../../secret", {}, "allowed: a file in the folder of the model"),
        ("/etc/passwd", {}, "allowed: a file in the folder of the model"),
        ("C:\\secret", {}, "allowed: a file in the folder of the model"),
        ("..\\secret", {}, "allowed: a file in the folder of the model"),
        ("", {}, "allowed: a file in the folder of the model"),
        ("link", {}, "is no file in the folder of the model, or links out of it"),
        ("linked/secret", {}, "is no file in the folder of the model, or links out of it"),
        ("missing", {}, "which is not there"),
        ("data", {"offset": "64"}, "needs 128 bytes from 64 on"),
        ("data", {"length": "64"}, "needs 128 bytes from 0 on"),
        ("data", {"offset": "x"}, "is no number"),
    ],
)
def test_data_elsewhere_are_refused(tmp_path: Path, location: str, facts: dict[str, str], words: str) -> None:
    """External data come from the file's own folder only: no path up, no absolute one, no link out of it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(1000))
    (folder / "data").write_bytes(bytes(128))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(InputError) as error:
        counted(written(folder, outside(location, **facts)))
    assert words in str(error.value)


def test_data_in_the_own_folder_are_counted(tmp_path: Path) -> None:
    """Their bytes are those of the weights; what is large is not read."""
    (tmp_path / "data").write_bytes(bytes(200))
    found = counted(written(tmp_path, outside("data", offset="16", length="128")))
    assert (32, 32, 128) == (found.cost.macs, found.cost.params, found.accounts[0].weights_bytes)


def test_mutants_end_in_a_count_or_a_message(tmp_path: Path) -> None:
    """Bytes changed at random, in a process of its own: no crash, no other error."""
    content = plain().SerializeToString()
    (tmp_path / "seed.onnx").write_bytes(content)
    script = f"""
import random, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from archcost.errors import InputError
from onnx_files import counted
content, path = Path({str(tmp_path / "seed.onnx")!r}).read_bytes(), Path({str(tmp_path / "net.onnx")!r})
chosen = random.Random(0)
for _ in range(400):
    mutant = bytearray(content)
    for _ in range(chosen.randint(1, 4)):
        mutant[chosen.randrange(len(mutant))] = chosen.randrange(256)
    path.write_bytes(mutant)
    try:
        counted(path)
    except InputError:
        pass
print("done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ("done\n", 0) == (done.stdout, done.returncode), done.stderr[-2000:]
