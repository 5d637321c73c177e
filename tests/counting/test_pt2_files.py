"""torch.export files: counted as the module is, from JSON alone; both attacks are planted, and nothing runs."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import archcost
from archcost.counting.files.pt2 import archive, count
from archcost.counting.files.pt2.interpreter import Unknown, operator_of
from archcost.errors import InputError
from archcost.models.code import parse_input


class Mixed(nn.Module):
    """Convolutions, a norm, a recurrence and a shared linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 3, H, W)."""
        steps, _ = self.lstm(self.features(x).mean(2).transpose(1, 2))
        return self.head(torch.relu(self.head(steps[:, -1])))


class Chosen(nn.Module):
    """A branch that depends on data: two products, or one that is dearer."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4))
        self.v = nn.Parameter(torch.randn(4, 64))

    def forward(self, x: torch.Tensor) -> Any:
        """x: (B, 4)."""
        return torch.cond(
            x.sum() > 0, lambda x: (x @ self.w @ self.w,), lambda x: ((x @ self.v)[:, :4].contiguous(),), (x,)
        )


def saved(folder: Path, module: nn.Module, shape: tuple[int, ...], axes: Any = None, name: str = "net.pt2") -> Path:
    path = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of recurrent layers
        program = torch.export.export(module.eval(), (torch.randn(shape),), dynamic_shapes=axes)
        torch.export.save(program, path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], more: dict[str, bytes] | None = None) -> Path:
    """Write the archive again with its program changed, and other files in place of its own."""
    with zipfile.ZipFile(path) as before:
        files = {each.filename: before.read(each) for each in before.infolist()}
    (program,) = [name for name in files if name.endswith("models/model.json")]
    tree = json.loads(files[program])
    change(tree)
    files[program] = json.dumps(tree).encode()
    for ending, content in (more or {}).items():
        (name,) = [name for name in files if name.endswith(ending)] or [f"net/{ending}"]
        files[name] = content
    with zipfile.ZipFile(path, "w") as after:
        for name, content in files.items():
            after.writestr(name, content)
    return path


def graph(tree: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tree["graph_module"]["graph"]
    return found


BATCH = {0: torch.export.Dim("batch", min=1)}
MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mixed": (Mixed, (2, 3, 8, 8)),
    "transformer": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 5, 16)),
    "gru": (lambda: nn.GRU(4, 6, 2, bidirectional=True, batch_first=True), (2, 5, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (2, 4, 5, 5)),
    "bilinear": (lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU()), (2, 3, 8)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_program_costs_what_its_module_costs(tmp_path: Path, name: str) -> None:
    """MACs, parameters and bytes of weights; a file has no witness and no training step."""
    make, shape = MODULES[name]
    module = make().eval()
    found = archcost.profile(saved(tmp_path, module, shape, (BATCH,)), latency=False)
    expected = archcost.profile(module, torch.randn(1, *shape[1:]), latency=False, witness=False)
    names = ("macs", "params", "weights_bytes", "uncounted")
    assert [getattr(expected, each) for each in names] == [getattr(found, each) for each in names]
    assert (None, None) == (found.agree, found.account.training)


def test_parts_are_the_module_s(tmp_path: Path) -> None:
    """Rows have the names of its parts, a layer that is called twice has its parameters once."""
    found = archcost.profile(saved(tmp_path, Mixed(), (2, 3, 8, 8)), latency=False)
    parts = {layer.name: layer.params for layer in found.layers if layer.params}
    assert {"features.0": 224, "features.1": 16, "lstm": 576, "head": 72} == parts
    assert 2 * 2 * 64 == sum(layer.macs for layer in found.layers if layer.name == "head")


def test_the_dearer_branch_of_a_cond_is_counted(tmp_path: Path) -> None:
    """As of an If in ONNX; a note names it."""
    found = archcost.profile(saved(tmp_path, Chosen(), (2, 4)), latency=False)
    assert 2 * 4 * 64 == found.macs
    assert any("its dearer branch, 2, is counted" in note for note in found.notes)


def test_open_axes_are_given_by_input(tmp_path: Path) -> None:
    """The batch by --batch, others by --input; what is left is named, what is out of range refused."""
    axes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=3, max=9)},)
    path = saved(tmp_path, nn.Linear(8, 4), (2, 5, 8), axes)
    with pytest.raises(InputError, match=r"leaves 's\d+' open; allowed: --input input=N,8"):
        archcost.profile(path, latency=False)
    assert 7 * 32 == archcost.profile(path, "7,8", batch=3, latency=False).macs
    with pytest.raises(InputError, match=r"given 12 for 's\d+'; allowed: 3 to 9"):
        archcost.profile(path, "12,8", latency=False)


class Attack:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        """Return what unpickling calls."""
        return (Path.write_text, (self.target, "ran"))


def pickled(target: Path) -> bytes:
    """Return a file of torch.save's that writes `target` when it is unpickled."""
    stream = io.BytesIO()
    torch.save(Attack(target), stream)
    return stream.getvalue()


def test_a_pickle_in_the_archive_is_not_opened(tmp_path: Path) -> None:
    """torch.export.load runs it, which shows that the attack is one; a count does not."""
    target = tmp_path / "ran"
    path = rewritten(
        saved(tmp_path, nn.Linear(8, 4), (2, 8)), lambda _: None, {"sample_inputs/model.pt": pickled(target)}
    )
    assert 2 * 32 == archcost.profile(path, latency=False).macs
    assert 2 * 32 == archcost.profile(path).macs  # a latency is asked for, and refused for want of consent
    assert not target.exists()
    pickle.loads(pickle.dumps(Attack(target)))  # noqa: S301 - that it would have run
    assert target.exists()


def test_a_text_that_would_be_evaluated_is_a_name(tmp_path: Path) -> None:
    """torch makes a sympy expression of a size's text, which evaluates it; here it is an axis that is open."""
    target = tmp_path / "ran"
    text = f"__import__('pathlib').Path({str(target)!r}).write_text('ran')"

    def plant(tree: dict[str, Any]) -> None:
        facts = graph(tree)["tensor_values"]
        for tensor in facts.values():
            for size in tensor["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = text
        tree["range_constraints"] = {text: {"min_val": 0, "max_val": None}}
        tree["guards_code"] = [text]

    path = rewritten(saved(tmp_path, nn.Linear(8, 4), (2, 8), (BATCH,)), plant)
    assert 32 == archcost.profile(path, latency=False).macs
    assert not target.exists()
    eval(text)  # noqa: S307 - that it would have run
    assert target.exists()


def call(target: str, **inputs: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of a program: its first node calls another target."""

    def change(tree: dict[str, Any]) -> None:
        first = graph(tree)["nodes"][0]
        first["target"] = target
        first["inputs"] = [{"name": name, "arg": value, "kind": 1} for name, value in inputs.items()] or first["inputs"]

    return change


@pytest.mark.parametrize("target", ["torch.ops.aten.save.default", "torch.ops.aten.from_file.default", "os.system",
                                    "torch.ops.load_library.x.y", "builtins.eval", "torch.ops.own.op.default",
                                    "torch.load"])  # fmt: skip
def test_what_is_no_operator_of_torch_s_is_not_called(tmp_path: Path, target: str) -> None:
    """It is uncounted by its name, and its result is what the file declares; files are not written or read."""
    with pytest.raises(Unknown):
        operator_of(target)
    path = rewritten(saved(tmp_path, nn.Linear(8, 4), (2, 8)), call(target))
    found = archcost.profile(path, latency=False)
    assert [{"op": target, "calls": 1}] == [*found.uncounted]


def test_what_an_operator_makes_is_made_on_meta(tmp_path: Path) -> None:
    """Ten terabytes of zeros on the processor, as the file says, are no memory at all."""

    def plant(tree: dict[str, Any]) -> None:
        zeros = {
            "target": "torch.ops.aten.zeros.default", "name": "z", "metadata": {},
            "inputs": [{"name": "size", "arg": {"as_ints": [10**13]}, "kind": 1},
                       {"name": "device", "arg": {"as_device": {"type": "cpu", "index": None}}, "kind": 2}],
            "outputs": [{"as_tensor": {"name": "z"}}],
        }  # fmt: skip
        graph(tree)["nodes"].insert(0, zeros)

    path = rewritten(saved(tmp_path, nn.Linear(8, 4), (2, 8)), plant)
    assert 4 * 10**13 < archcost.profile(path, latency=False).peak_memory_bytes


def size(tree: dict[str, Any], value: object) -> None:
    name = graph(tree)["inputs"][-1]["as_tensor"]["name"]
    graph(tree)["tensor_values"][name]["sizes"][0] = value


def deep(tree: dict[str, Any]) -> None:
    tree["graph_module"] = []


def early(tree: dict[str, Any]) -> None:
    graph(tree)["nodes"][0]["inputs"][0]["arg"]["as_tensor"]["name"] = "linear"


def unfit(tree: dict[str, Any]) -> None:
    name = graph(tree)["inputs"][-1]["as_tensor"]["name"]
    graph(tree)["tensor_values"][name]["sizes"][1] = {"as_int": 7}


def strange(tree: dict[str, Any]) -> None:
    graph(tree)["nodes"][0]["inputs"][0]["arg"] = {"as_magic": 1}


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "huge sizes": (lambda tree: size(tree, {"as_int": 2**60}), "has the shape"),
    "negative sizes": (lambda tree: size(tree, {"as_int": -1}), "allowed: sizes from 0"),
    "a size of no kind": (lambda tree: size(tree, 7), "is not as torch.export writes it"),
    "no graph": (deep, "is not as torch.export writes it"),
    "a node before what it reads": (early, "cannot be followed by shapes"),
    "shapes that do not fit": (unfit, "cannot be followed by shapes"),
    "an unknown kind": (strange, "'as_magic'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_programs_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    """With the file's name, and one message."""
    change, words = BROKEN[name]
    path = rewritten(saved(tmp_path, nn.Linear(8, 4), (2, 8)), change)
    with pytest.raises(InputError) as error:
        archcost.profile(path, latency=False)
    (mistake,) = error.value.mistakes
    assert words in str(mistake)
    assert str(mistake).startswith(str(path))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Empty, text, cut off, a folder, an archive without a program, one that holds two."""
    whole = saved(tmp_path, nn.Linear(8, 4), (2, 8)).read_bytes()
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as made:
        made.writestr("net/models/a.json", "{}")
        made.writestr("net/models/b.json", "{}")
    path = tmp_path / "bad.pt2"
    for content, words in (
        (b"", "is empty"),
        (b"text", "is no file that torch.export.save wrote"),
        (whole[:-200], "is no file that torch.export.save wrote"),
        (plain.getvalue(), "it holds 2 programs; allowed: one"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            archcost.profile(path, latency=False)
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        archcost.profile(tmp_path / "folder.pt2", latency=False)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit is, whatever the archive says of its size."""
    monkeypatch.setattr(archive, "MOST_BYTES", 10**6)
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/models/model.json", " " * 10**8)
    with pytest.raises(InputError, match=r"is larger than 1\.00 MB"):
        archcost.profile(path, latency=False)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("net/models/model.json", "[" * 500_000)
    with pytest.raises(InputError, match="is no JSON, or is nested too deep"):
        archcost.profile(path, latency=False)


def test_measuring_needs_consent(tmp_path: Path) -> None:
    """Without it a count says so, and what asks for a latency alone is refused; with it the module runs."""
    path = saved(tmp_path, nn.Linear(8, 4), (2, 8), (BATCH,))
    found = archcost.profile(path, time=0.2)
    assert (32, ()) == (found.macs, found.latencies)
    assert any("not measured: running a pt2 file needs --allow-code" in note for note in found.notes)
    with pytest.raises(InputError, match="needs --allow-code"):
        archcost.measure(path, time=0.2)
    with pytest.raises(InputError, match="needs --allow-code"):
        archcost.profile(path, runtime="eager", time=0.2)
    (latency,) = archcost.profile(path, batch=4, allow_code=True, time=0.2, target="fake").latencies
    assert ("eager", 4) == (latency.runtime, latency.batch)


def test_the_inputs_are_drawn_as_they_are_typed(tmp_path: Path) -> None:
    """Tokens below what --input says."""
    path = tmp_path / "net.pt2"
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    torch.export.save(torch.export.export(nn.Embedding(50, 4).eval(), (tokens,)), path)
    found = count.opened(path, [parse_input("2,5:int64:50")])
    (drawn,) = count.drawn(found, 1, seed=0)
    assert ((2, 5), torch.int64, True) == (tuple(drawn.shape), drawn.dtype, bool(drawn.max() > 2))
