"""A bundle from plain values: any module, with its preprocessing inside, whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archcost.errors import InputError
from archcost.nets.export import bundle
from archcost.nets.export.bundle import Bundle, Vocabulary, is_bundle, script, write
from archcost.nets.export.card import Card, Result, text
from archcost.nets.export.preprocess import Inputs, Layout, Prepared, Preprocess
from archcost.nets.export.sessions import Predict

PIXELS, STEPS = Inputs("image", (3, 6, 4), "uint8"), Inputs("sequence", (6, 2), "float32")
TOKENS = Inputs("tokens", (5,), "int64", 3)
COLOURS = Preprocess(1 / 255, (0.1, 0.2, 0.3), (0.5, 0.25, 1e-9))


def made(**changes: Any) -> Bundle:
    """Return a bundle of a module that is nobody's but its author's."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 2, 2)).eval()
    values: dict[str, Any] = {
        "network": net, "inputs": Inputs("image", (3, 6, 4), "uint8"), "preprocess": COLOURS,
        "classes": ("cat", "no cat"), "vocabulary": None, "yaml": "family: module\n",
        "weights": net.state_dict(), "facts": {"name": "mine", "sizes": {"params": 3}},
    }  # fmt: skip
    return Bundle(**{**values, **changes})


def evaluated(_: Predict) -> Mapping[str, object]:
    return {"validation": {"error": 0.5, "perplexity": float("inf")}, "test": None}


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_bytes_are_normalised_as_training_does() -> None:
    """Each channel over 255, less its mean, over its deviation; a channel that never varies is not blown up."""
    x = torch.randint(256, (5, 3, 6, 4), dtype=torch.uint8)
    given = Prepared(nn.Identity(), "image", replace(COLOURS, std=(0.5, 0.25, 2.0)))(x)
    mean, std = (torch.tensor(each)[:, None, None] for each in ((0.1, 0.2, 0.3), (0.5, 0.25, 2.0)))
    torch.testing.assert_close((x / 255 - mean) / std, given)


def test_an_image_is_read_as_rows() -> None:
    """H steps of the W * C values of a row, each feature by its own mean and deviation."""
    x = torch.randint(256, (5, 3, 2, 2), dtype=torch.uint8)
    mean, std = tuple(i / 10 for i in range(6)), (0.5, 1.0, 2.0, 0.25, 0.125, 0.0)
    given = Prepared(nn.Identity(), "rows", Preprocess(1 / 255, mean, std))(x)
    rows = torch.stack(
        [torch.stack([x[:, :, row, column] for column in range(2)], 1).flatten(1) for row in range(2)], 1
    )
    divided = torch.tensor([*std[:-1], 1.0])
    torch.testing.assert_close((rows / 255 - torch.tensor(mean)) / divided, given)


@pytest.mark.parametrize(("layout", "dtype"), [("tokens", torch.int64), ("tensor", torch.float64)])
def test_without_preprocessing_nothing_is_changed(layout: Layout, dtype: torch.dtype) -> None:
    """A network is given what the file is given."""
    x = torch.ones(2, 3, dtype=dtype)
    assert Prepared(nn.Identity(), layout, None)(x) is x


@pytest.mark.parametrize("layout", ["image", "rows", "sequence", "tokens", "tensor"])
def test_a_script_is_short_and_needs_little(layout: Layout) -> None:
    """Under 55 lines of at most 120 characters; it imports onnxruntime and numpy, pillow for images alone."""
    lines = script(layout).splitlines()
    compile(script(layout), "predict.py", "exec")
    assert (True, True) == (len(lines) < 55, max(map(len, lines)) <= 120)
    imported = {line.split()[1].partition(".")[0] for line in lines if line.strip().startswith(("import ", "from "))}
    besides = {"image": {"PIL"}, "rows": {"PIL"}}.get(layout, set())
    assert {"json", "os", "sys", "pathlib", "numpy", "onnxruntime"} | besides == imported


def test_a_module_becomes_a_folder(tmp_path: Path) -> None:
    """The file computes what module and preprocessing do, and says what it is; JSON has no infinite number."""
    import onnxruntime

    held = made()
    said = write(tmp_path / "b", held, evaluated, lambda meta: f"card of {meta['name']}\n")
    assert ("input (batch, 3, 6, 4), uint8; any batch", True) == (said[0], said[1].startswith("ONNX Runtime"))
    files = ["card.md", "meta.json", "model.onnx", "model.yaml", "predict.py", "weights.safetensors"]
    assert (["b"], files) == (names(tmp_path), names(tmp_path / "b"))
    meta = json.loads((tmp_path / "b" / "meta.json").read_text("utf-8"))
    assert (["cat", "no cat"], None, None) == (meta["classes"], meta["test"], meta["validation"]["perplexity"])
    assert "card of mine\n" == (tmp_path / "b" / "card.md").read_text("utf-8")
    session = onnxruntime.InferenceSession(str(tmp_path / "b" / "model.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert ("mine", ["cat", "no cat"]) == (about["archcost.name"], json.loads(about["archcost.classes"]))
    x = held.inputs.example(5, seed=7)
    expected = Prepared(held.network, "image", COLOURS)(x).detach().numpy()
    np.testing.assert_allclose(expected, session.run(None, {"input": x.numpy()})[0], rtol=1e-4, atol=1e-4)


MISTYPED: dict[str, tuple[Layout, Inputs, list[str], str]] = {
    "no image is named": ("image", PIXELS, [], "usage: python predict.py image.png ..."),
    "no array is named": ("sequence", STEPS, [], "usage: python predict.py examples.npy ..."),
    "no text is given": ("tokens", TOKENS, [], 'usage: python predict.py "some text", or the name of a file'),
    "two texts": ("tokens", TOKENS, ["a", "b"], 'usage: python predict.py "some text", or the name of a file'),
    "an image is missing": ("image", PIXELS, ["absent.png"], "absent.png: "),
    "what is no image": ("image", PIXELS, ["bytes"], "bytes: "),
    "a folder": ("image", PIXELS, ["."], ".: "),
    "an array is missing": ("sequence", STEPS, ["absent.npy"], "absent.npy: "),
    "what is no array": ("sequence", STEPS, ["bytes"], "bytes: "),
    "an empty file": ("sequence", STEPS, ["empty"], "empty: "),
    "an array of another shape": ("sequence", STEPS, ["flat.npy"], "flat.npy: shape (4, 6); allowed: (N, 6, 2)"),
    "an array of too few axes": ("sequence", STEPS, ["row.npy"], "row.npy: shape (2,); allowed: (N, 6, 2)"),
    "an array of texts": ("sequence", STEPS, ["texts.npy"], "texts.npy: "),
    "what is no text": ("tokens", TOKENS, ["bytes"], "bytes: "),
}


def predicted(folder: Path, layout: Layout, inputs: Inputs, *typed: str) -> subprocess.CompletedProcess[str]:
    """Run predict.py of a bundle of a network that takes what is said, in its folder."""
    size = int(np.prod(inputs.shape))
    pooled = (
        nn.Sequential(nn.Embedding(3, 3)) if layout == "tokens" else nn.Sequential(nn.Flatten(), nn.Linear(size, 3))
    )
    words = Vocabulary(("a", "b", "<unk>"), "characters", 2, 0) if layout == "tokens" else None
    net = pooled.eval()
    whole = made(network=net, inputs=inputs, preprocess=None if words else Preprocess(1.0, (0.0,), (1.0,)),
                 classes=("x", "y", "z"), vocabulary=words, weights=net.state_dict())  # fmt: skip
    write(folder / "b", whole, evaluated, lambda _: "")
    command = [sys.executable, str(folder / "b" / "predict.py"), *typed]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("asked", ["-h", "--help"])
@pytest.mark.parametrize("layout", ["image", "sequence", "tokens"])
def test_predict_helps(tmp_path: Path, layout: Layout, asked: str) -> None:
    """With its usage, what is given and printed; alone, without model, numpy or ONNX Runtime: -S hides all packages."""
    (tmp_path / "predict.py").write_text(script(layout), "utf-8")
    command = [sys.executable, "-S", str(tmp_path / "predict.py"), asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert "usage: python predict.py [-h] " in done.stdout
    assert "-h, --help" in done.stdout
    assert "Prints " in done.stdout


@pytest.mark.parametrize("case", MISTYPED)
def test_predict_says_in_a_line_what_is_wrong(tmp_path: Path, case: str) -> None:
    """A file that is missing or no such file, and nothing at all: exit code 2, one line, no traceback."""
    layout, inputs, typed, message = MISTYPED[case]
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfd")
    (tmp_path / "empty").write_bytes(b"")
    for name, array in (("flat", np.zeros((4, 6))), ("row", np.zeros(2)), ("texts", np.array(["a"]))):
        np.save(tmp_path / f"{name}.npy", array)
    done = predicted(tmp_path, layout, inputs, *typed)
    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines())), done.stderr
    assert done.stderr.startswith(message)


def test_predict_takes_one_example_or_many_and_texts_of_any_length(tmp_path: Path) -> None:
    """An array without its first axis is one example; a text may be longer than a file's name can be."""
    np.save(tmp_path / "one.npy", np.zeros((6, 2)))
    np.save(tmp_path / "two.npy", np.zeros((2, 6, 2)))
    done = predicted(tmp_path, "sequence", STEPS, "one.npy", "two.npy")
    assert ["one.npy 0:", "two.npy 0:", "two.npy 1:"] == [line[:10] for line in done.stdout.splitlines()], done.stderr
    done = predicted(tmp_path, "tokens", TOKENS, "ab" * 5000)
    assert ["perplexity", "next"] == [line.split()[0] for line in done.stdout.splitlines()], done.stderr


def test_an_earlier_bundle_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """A folder of somebody else's stays, and so does a bundle to which somebody has added a file."""

    def again(name: str) -> None:
        write(tmp_path / name, made(classes=(name, "other")), evaluated, lambda _: "")

    again("b")
    (tmp_path / "b" / "__pycache__").mkdir()
    again("b")
    assert ["b"] == names(tmp_path)
    (tmp_path / "b" / "notes.txt").write_text("precious", "utf-8")
    (tmp_path / "c").mkdir()
    (tmp_path / "d").write_text("precious", "utf-8")
    (tmp_path / "e").symlink_to(tmp_path / "b")
    for name in ("b", "c", "d", "e"):
        with pytest.raises(InputError, match="is there, and nothing that may be replaced"):
            again(name)
    assert "precious" == (tmp_path / "b" / "notes.txt").read_text("utf-8")
    assert ["b", "c", "d", "e"] == names(tmp_path)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("where", ["onnx", "weights", "text"])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, there: bool
) -> None:
    """Whatever does not fit: one message, and the folder is as it was before, or not there."""
    if there:
        write(tmp_path / "b", made(), evaluated, lambda _: "first")
    before = {each: each.read_bytes() for each in (tmp_path / "b").iterdir()} if there else {}
    match where:
        case "onnx":
            monkeypatch.setattr("archcost.nets.export.bundle.write_onnx", full)
        case "weights":
            monkeypatch.setattr(Path, "write_bytes", full)
        case _:
            monkeypatch.setattr(bundle, "_json", full)
    with pytest.raises(InputError, match=r"cannot write .*: No space left on device"):
        write(tmp_path / "b", made(), evaluated, lambda _: "second")
    monkeypatch.undo()
    assert (["b"] if there else []) == names(tmp_path)
    assert before == ({each: each.read_bytes() for each in (tmp_path / "b").iterdir()} if there else {})


def test_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the file is evaluated."""

    def interrupted(_: Predict) -> Mapping[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "b", made(), interrupted, lambda _: "")
    assert [] == names(tmp_path)


def test_what_is_no_bundle_is_not_taken_for_one(tmp_path: Path) -> None:
    """No folder, no meta.json, one of another program, one that is no JSON, files that are not ours."""
    assert not is_bundle(tmp_path / "nowhere")
    for content in (None, "{", "[]", '{"bundle": 1}', '{"archcost": "0.4.0"}'):
        if content is not None:
            (tmp_path / "meta.json").write_text(content, "utf-8")
        assert not is_bundle(tmp_path)
    (tmp_path / "meta.json").write_text('{"archcost": "0.4.0", "bundle": 1}', "utf-8")
    assert is_bundle(tmp_path)
    (tmp_path / "other.txt").touch()
    assert not is_bundle(tmp_path)


def test_a_card_takes_names_literally() -> None:
    """What others have named is no link, no HTML and no new line of the page."""
    hostile = "<img src=x>[a](javascript:x)\n# no heading | x"
    held = Card(
        hostile, hostile, (hostile,), (Result("test", "error", "1%", hostile, "7"),), (), (), (), (), (hostile,)
    )
    lines = text(held).splitlines()
    assert [] == [line for line in lines if "<" in line or "](" in line.replace("\\[a](", "")]
    assert (5, 1) == (sum(line.startswith("## ") for line in lines), sum(line.startswith("# ") for line in lines))
    assert "It was not measured." in lines
