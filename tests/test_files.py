"""A full disk is an error of one line with its reason, whatever writes to it; nothing half-written is left."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from datasets_small import images
from forked import ARCHCOST, Forked
from torch import nn

import archcost
from archcost.data import shared
from archcost.errors import InputError, TargetError
from archcost.files import checked, placed_folder
from archcost.latency import runtimes
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.nets import weights
from archcost.nets.net import build

PROGRAMS = ["pt2", "onnx"]
FULL = "No space left on device"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 64 KiB, which takes a right to mount."""
    place = tmp_path / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (51_200, 51_200))\n"


def refused(to: str, folder: Path, *, before: str = "") -> tuple[int, str]:
    """Export a network of 1 MB in a process of its own, which may be aborted; return its exit code and last words."""
    with Forked(before + ARCHCOST, ["export", "resnet-20", "--to", to, "-o", "x"], folder) as process:
        done = process.ended()
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize("to", PROGRAMS)
def test_a_program_does_not_fit(full: Path, to: str) -> None:
    """The file and the reason are named, with exit code 2."""
    assert (2, f"archcost: cannot write 'x': {FULL}") == refused(to, full)
    assert [] == list(full.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
@pytest.mark.parametrize("to", PROGRAMS)
def test_a_program_may_be_too_large(tmp_path: Path, to: str) -> None:
    """So is it where a file may not grow so large: the same error without a disk to fill."""
    assert (2, "archcost: cannot write 'x': File too large") == refused(to, tmp_path, before=LIMITED)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("runtime", ["onnxruntime", "compile"])
def test_a_full_folder_of_temporary_files_is_said(full: Path, monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    """A runtime that needs it fails with the folder's name and the reason, and leaves nothing there."""
    import torch._inductor.codecache  # chooses, when it is loaded, where torch's precompiled headers stay

    found = runtimes.find(runtime)
    if why := found.why_not():
        pytest.skip(why)
    monkeypatch.setattr(tempfile, "tempdir", str(full))
    (full / "ballast").write_bytes(bytes(60_000))
    module = nn.Sequential(nn.Linear(400, 400), nn.Softmax(-1))
    with pytest.raises(TargetError, match=rf" in '/.*': {FULL}$") as error:
        found.prepare(Source(module, (torch.ones(1, 400),)), Plan()).__enter__()
    assert isinstance(error.value.__cause__, OSError)
    assert [full / "ballast"] == list(full.iterdir())


def test_data_and_weights_do_not_fit(full: Path) -> None:
    """What is handed to a trial, and what it hands back, is written whole or refused."""
    with pytest.raises(InputError, match=FULL):
        shared.write(images(2000), full / "data.pt")
    with pytest.raises(InputError, match=FULL):
        weights.save_weights(build(archcost.load("resnet-20").graph), full / "0.pt")
    assert [] == list(full.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_first_failure_is_raised_at_the_end() -> None:
    """Whoever writes is told that all went well: torch's writer in C++ aborts if it is not."""
    written = []
    with pytest.raises(OSError, match=FULL), checked(Path("/dev/full")) as file:
        written += [file.write(memoryview(bytes(size))) for size in (100_000, 7)]
    assert [100_000, 7] == written


def test_what_fits_is_written(tmp_path: Path) -> None:
    """Without a failure the file holds what was written."""
    with checked(tmp_path / "x") as file:
        torch.save({"a": torch.arange(5)}, file)
    assert torch.equal(torch.arange(5), torch.load(tmp_path / "x", mmap=True, weights_only=True)["a"])


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """What is raised while it is written removes it, and what was in its place before is as it was."""

    def broken(folder: Path) -> None:
        (folder / "x").write_text("half", "utf-8")
        raise ZeroDivisionError

    for before in (False, True):
        with pytest.raises(ZeroDivisionError), placed_folder(tmp_path / "b", lambda _: True) as part:
            broken(part)
        assert (["b"] if before else []) == [each.name for each in tmp_path.iterdir()]
        with placed_folder(tmp_path / "b", lambda _: True) as part:
            (part / "x").write_text("whole", "utf-8")
        assert ("whole", 1) == ((tmp_path / "b" / "x").read_text("utf-8"), len(list(tmp_path.iterdir())))


def test_what_was_there_is_back_if_it_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new folder cannot be renamed into its place: the old one is renamed back."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("old", "utf-8")
    real = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(28, FULL)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(InputError, match=FULL), placed_folder(tmp_path / "b", lambda _: True):
        pass
    assert (["b"], "old") == ([each.name for each in tmp_path.iterdir()], (tmp_path / "b" / "x").read_text("utf-8"))


@pytest.mark.parametrize("name", [".", "..", "x/..", "nowhere/b", "a\0b", "file", "link", "theirs"])
def test_a_folder_replaces_only_what_is_ours(tmp_path: Path, name: str) -> None:
    """Neither the current folder, one above it, a file, a link nor a folder of others; nor is one made on the way."""
    home = tmp_path / "home"
    (home / "theirs").mkdir(parents=True)
    (home / "x").mkdir()
    (home / "file").touch()
    (home / "link").symlink_to(home / "x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"may be replaced|cannot write"):  # noqa: SIM117  # what is raised on entry
        with placed_folder(home / name, lambda each: each.name == "x"):
            pass
    assert before == sorted(tmp_path.rglob("*"))
