"""What a killed process leaves in the folder of temporary files is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import astuple, replace
from pathlib import Path
from threading import Thread

import pytest

from archcost import scratch
from archcost.scratch import UNKNOWN, Owner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere less is known of processes")

HOLDS = """
import sys, time
from archcost import scratch
with scratch.folder() as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "data").write_text("decoded")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files of this process and of those it starts."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def holding() -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has a folder until its standard input ends; return it and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def named(place: Path, owner: Owner, end: str = "abcdefgh") -> Path:
    """Make the folder that an owner would have made."""
    path = place / f"archcost-{'-'.join(map(str, astuple(owner)))}-{end}"
    path.mkdir()
    (path / "data").write_text("decoded")
    return path


@pytest.mark.parametrize("waited", [True, False])
def test_a_killed_process_leaves_what_the_next_one_removes(place: Path, waited: bool) -> None:
    """After SIGKILL a folder stays until the next one is made, also if nobody has waited for the process."""
    process, left = holding()
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | (0 if waited else os.WNOWAIT))
    assert (left / "deep" / "data").exists()
    with scratch.folder() as own:
        assert [own] == list(place.iterdir())
    assert [] == list(place.iterdir())
    process.communicate()


def test_a_living_process_keeps_its_folder(place: Path) -> None:
    """A folder whose owner runs stays, and is gone when it ends by itself."""
    process, theirs = holding()
    with scratch.folder() as own:
        assert {own, theirs} == set(place.iterdir())
        scratch.sweep()
        assert own.is_dir()
    assert ((theirs,), ()) == (tuple(place.iterdir()), scratch.ownerless())
    process.communicate()
    assert [] == list(place.iterdir())


def test_a_folder_without_an_owner_stays_and_is_named(place: Path) -> None:
    """What earlier versions left cannot be told from what they use; locks, files and links are nobody's leftovers."""
    (place / "archcost-9kx_2p0a").mkdir()
    (place / f"archcost-{os.getuid()}").mkdir()
    (place / "archcost-file").write_text("")
    (place / "archcost-link").symlink_to(place / "archcost-9kx_2p0a")
    (place / "another").mkdir()
    before = sorted(place.iterdir())
    with scratch.folder():
        pass
    assert before == sorted(place.iterdir())
    assert (place / "archcost-9kx_2p0a",) == scratch.ownerless()


def test_only_what_is_known_to_be_dead_is_removed(place: Path) -> None:
    """Another process of the number, and another boot, are dead; what may be out of sight is not."""
    own = scratch.this()
    assert UNKNOWN not in astuple(own)
    dead = {
        named(place, replace(own, start=own.start - 1)),
        named(place, replace(own, pid=2**22 + 1)),
        named(place, replace(own, boot="12345678")),
        named(place, replace(own, boot="12345678", space="12345678")),
    }
    alive = {
        named(place, own),
        named(place, replace(own, space="12345678", pid=2**22 + 1)),
        named(place, replace(own, machine="12345678", boot="12345678")),
        named(place, Owner(2**22 + 1, 0, UNKNOWN, UNKNOWN, own.machine)),
    }
    scratch.sweep()
    assert (alive, ()) == (set(place.iterdir()), scratch.ownerless())
    assert not any(path.exists() for path in dead)


def test_a_link_is_not_followed(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither a link in a dead owner's folder nor one with a dead owner's name leads out of it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine").write_text("kept")
    dead = replace(scratch.this(), boot="12345678")
    (named(place, dead) / "out").symlink_to(elsewhere)
    link = place / f"archcost-{'-'.join(map(str, astuple(dead)))}-link"
    link.symlink_to(elsewhere)
    scratch.sweep()
    assert [link] == list(place.iterdir())
    assert "kept" == (elsewhere / "mine").read_text()


def test_many_may_sweep_at_once(place: Path) -> None:
    """Several that remove the same folders do not stand in each other's way."""
    dead = replace(scratch.this(), boot="12345678")
    for number in range(50):
        named(place, dead, f"{number:08}")
    failed = []

    def sweep() -> None:
        try:
            scratch.sweep()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [Thread(target=sweep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([], []) == (failed, list(place.iterdir()))


def test_a_place_that_is_not_there_is_the_makers_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing can be listed nothing is removed, and what cannot be made is an OSError."""
    monkeypatch.setattr(tempfile, "tempdir", str(place / "nowhere"))
    assert () == scratch.ownerless()
    with pytest.raises(FileNotFoundError):
        scratch.folder().__enter__()
