"""An ONNX file of another opset, and one whose weights are in a file beside it: both files are there, or neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from specs import Tree, model

from archcost import files
from archcost.errors import InputError, TargetError
from archcost.files import placed_pair
from archcost.nets.export import formats, onnx_pt2, torch_export
from archcost.nets.net import build, example

SMALL: Tree = {"family": "nin", "input": [3, 8, 8], "classes": 4, "layers": [{"kernel": 3, "widths": [16, 4]}]}


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an ONNX file hold next to nothing."""
    monkeypatch.setattr(torch_export, "LARGEST_ONNX_BYTES", 100)


@pytest.mark.usefixtures("lowered")
def test_weights_beyond_one_file_are_beside_it(tmp_path: Path) -> None:
    """The file names the other one by its final name, holds none of its bytes, and runs where both were put."""
    import onnx
    import onnxruntime

    found, path = model(SMALL), tmp_path / "net.onnx"
    said = formats.export(found, "onnx", path, seed=3)
    assert "weights in net.onnx.data: more than one ONNX file holds" in said
    assert ["net.onnx", "net.onnx.data"] == sorted(each.name for each in tmp_path.iterdir())
    held = onnx.load(path, load_external_data=False).graph.initializer
    places = {entry.value for t in held for entry in t.external_data if entry.key == "location"}
    assert {"net.onnx.data"} == places
    x = example(found.graph, 2, seed=9)
    given = onnxruntime.InferenceSession(path).run(None, {"input": x.numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(given), build(found.graph, found.recipe, seed=3).eval()(x))


@pytest.mark.usefixtures("lowered")
def test_a_file_beside_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files of an earlier export stay as they were, and still run."""
    path = tmp_path / "net.onnx"
    formats.export(model(SMALL), "onnx", path, seed=3)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    monkeypatch.setattr(onnx_pt2, "ONNX_TOLERANCE", -1.0)
    with pytest.raises(TargetError, match="differs by"):
        formats.export(model(SMALL), "onnx", path, seed=4)
    assert before == {each.name: each.read_bytes() for each in tmp_path.iterdir()}


def pair(target: Path, *texts: str) -> None:
    """Write a pair of files, the second one if there is a text for it."""
    with placed_pair(target, ".data") as part:
        for text, path in zip(texts, (part, part.with_name(part.name + ".data")), strict=False):
            path.write_text(text)


def texts(folder: Path) -> dict[str, str]:
    """Return what all files of a folder hold."""
    return {each.name: each.read_text() for each in folder.iterdir()}


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("earlier", [{}, {"net": "a", "net.data": "b"}, {"net": "a"}, {"net.data": "b"}])
def test_a_pair_is_whole_or_as_it_was(
    step: int, earlier: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename is interrupted, both files are what they were before, and nothing else is left."""
    for name, text in earlier.items():
        (tmp_path / name).write_text(text)
    renamed: list[Path] = []
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if len(renamed) == step:
            raise KeyboardInterrupt
        renamed.append(self)
        return rename(self, target)

    monkeypatch.setattr(files.Path, "rename", interrupted)
    if step >= 2 + len(earlier):
        pair(tmp_path / "net", "new", "data")
        assert {"net": "new", "net.data": "data"} == texts(tmp_path)
        return
    with pytest.raises(KeyboardInterrupt):
        pair(tmp_path / "net", "new", "data")
    assert earlier == texts(tmp_path)


def test_one_of_a_pair_is_enough(tmp_path: Path) -> None:
    """If there is no second file, another one of that name is not touched; a folder there is refused."""
    (tmp_path / "net.data").write_text("theirs")
    pair(tmp_path / "net", "mine")
    assert {"net": "mine", "net.data": "theirs"} == texts(tmp_path)
    (tmp_path / "other.data").mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        pair(tmp_path / "other", "x", "y")


@pytest.mark.parametrize("opset", [18, 20, 22])
def test_an_opset_is_written(opset: int, tmp_path: Path) -> None:
    """The file says the opset that was asked for, and was run with it."""
    import onnx

    formats.export(model(SMALL), "onnx", tmp_path / "net.onnx", opset=opset)
    assert [("", opset)] == [(each.domain, each.version) for each in onnx.load(tmp_path / "net.onnx").opset_import]


@pytest.mark.parametrize("opset", [5, 999])
def test_an_opset_that_torch_does_not_reach_is_refused(opset: int, tmp_path: Path) -> None:
    """torch would warn, and write another one."""
    with pytest.raises(TargetError, match=rf"cannot bring this network to opset {opset}; allowed: .* such as \d+$"):
        formats.export(model(SMALL), "onnx", tmp_path / "net.onnx", opset=opset)
    assert [] == list(tmp_path.iterdir())


def test_other_formats_have_no_opset(tmp_path: Path) -> None:
    """It is refused, not left out of sight."""
    export: Callable[..., object] = formats.export
    with pytest.raises(InputError, match="pt2 has no opset; allowed: only with onnx"):
        export(model(SMALL), "pt2", tmp_path / "net.pt2", opset=18)
