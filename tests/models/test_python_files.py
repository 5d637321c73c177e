"""The callables of a Python file are read from its text; no line of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from archcost.models import python_files
from archcost.models.python_files import Code

CODE = """
import torch
from torch import nn
open("ran", "w")
def make(): ...
class Block(nn.Module): ...
class Net(Block): ...
class Other(torch.nn.Module): ...
class _Own(nn.Module): ...
def _own(): ...
def main(): ...
value = make()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with code in it and in a folder below."""
    inside = tmp_path / "nets"
    inside.mkdir()
    for path in (tmp_path / "mine.py", inside / "deep.py", tmp_path / "my-net.py"):
        path.write_text(CODE, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_modules_come_first_and_nothing_runs(folder: Path) -> None:
    """What is private, and `main`, is not named; the code would leave a file if it ran."""
    assert Code("mine", True, ("Block", "Other", "make", "Net")) == python_files.read("mine.py")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("file", "module", "here"),
    [
        ("nets/deep.py", "nets.deep", True),
        ("./mine.py", "mine", True),
        ("../{0}/mine.py", "mine", True),
        ("my-net.py", "", False),
    ],
)
def test_a_file_is_a_module_from_the_current_folder(folder: Path, file: str, module: str, here: bool) -> None:
    """With the folders in between; a name that is no Python name is none."""
    found = python_files.read(file.format(folder.name))
    assert (module, here) == (found.module, found.here)


def test_a_file_elsewhere_is_a_module_of_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of a folder that is not below the current one."""
    monkeypatch.chdir(folder / "nets")
    found = python_files.read("../mine.py")
    assert ("mine", False) == (found.module, found.here)


@pytest.mark.parametrize("text", [b"def (", b"\xff\xfe\0", b"x = " + b"(" * 5000, b"#" * (2**20 + 1)])
def test_what_is_no_python_has_no_callables(folder: Path, text: bytes) -> None:
    """Wrong syntax, other encodings, deep nesting, and more than a file of code holds."""
    (folder / "mine.py").write_bytes(text)
    assert () == python_files.read("mine.py").callables
