"""Where a study's weights are kept: never another study's folder, never outside, and nothing but its own is removed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch
from commands import run
from planted import STUDY, again, begun

from archcost.files import safe_name
from archcost.study.records import weights_folder
from archcost.study.records.database.addresses import Address, address
from archcost.study.records.stored import find

SMALL = ("--trials", "1", "--set", "confirm.members=0", "--workers", "1")


def files(folder: Path) -> set[str]:
    """Return the paths of all files in a folder but locks."""
    every = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".run"))
    return {str(path.relative_to(folder)) for path in every}


@pytest.mark.parametrize("name", ["../../../victim", "{}/victim", "\u202e\x1b[31m/..", "a" * 200])
def test_a_studys_name_is_no_path(tmp_path: Path, name: str) -> None:
    """Whatever a study is called, its files lie beside its storage; others of that name are as they were."""
    victim = tmp_path / "victim.weights"
    victim.mkdir()
    for each in ("0.pt", "7.pt"):
        (victim / each).write_bytes(b"precious")
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    begun(folder, f"name: {json.dumps(name.format(tmp_path))}\nstorage: 'sqlite+pysqlite:///x.db'\n{STUDY}")
    ended = again(folder, ("study", "run", "study.yaml", *SMALL))
    assert 0 == ended.returncode, ended.stderr
    assert [b"precious"] * 2 == [(victim / each).read_bytes() for each in ("0.pt", "7.pt")]
    assert {"victim.weights/0.pt", "victim.weights/7.pt"} == {each for each in files(tmp_path) if "a/b/c" not in each}
    assert {"study.yaml", "x.db", "x.db.weights/0.pt", "x.db.weights/study.json"} == files(folder)


def test_no_path_is_made_of_a_name_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is in the current one, and two studies of one name have two."""
    monkeypatch.chdir(tmp_path)
    there = Address(None, "postgresql://host/db")
    for name in ("../x", "/etc", "..", "", "a\0b", "x" * 500, "\u202e", "CON: |<>"):
        one, other = (weights_folder.folder_of(there, name, identity) for identity in ("1", "2"))
        assert one != other
        assert tmp_path == one.parent
        assert len(one.name) < 120
        assert one.name.isascii()
    assert "my-study-6b86b273ff34.weights" == weights_folder.folder_of(there, "my study", "1").name


def test_names_of_files_are_safe() -> None:
    """Letters, digits, dots and strokes, none of them at an end."""
    texts = ("a b", "../x", ".hidden", "-rf", "", "\u202e", "v1.2_b")
    assert ["a-b", "x", "hidden", "rf", "unnamed", "unnamed", "v1.2_b"] == list(map(safe_name, texts))


@pytest.mark.parametrize(("one", "other"), [("s.db", "s.sqlite"), ("exp-lr0.1", "exp-lr0.2")])
def test_two_storages_have_two_folders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, one: str, other: str
) -> None:
    """Neither overwrites the other's weights, and each gives its own."""
    digests = []
    for number, name in enumerate((one, other)):
        begun(tmp_path, STUDY.replace("{int: [4, 12]}", str(4 + number)))
        ended = again(tmp_path, ("study", "run", "study.yaml", "--storage", name, *SMALL))
        assert 0 == ended.returncode, ended.stderr
        digests.append((tmp_path / f"{name}.weights" / "0.pt").read_bytes())
    assert digests[0] == (tmp_path / f"{one}.weights" / "0.pt").read_bytes()
    for name in (one, other):
        where = ("--storage", str(tmp_path / name), "--trial", "0", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
        assert 0 == run(capsys, "export", str(tmp_path / "study.yaml"), *where)[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that has run with one trial."""
    folder = tmp_path_factory.mktemp("done")
    begun(folder)
    ended = again(folder, ("study", "run", "study.yaml", *SMALL))
    assert 0 == ended.returncode, ended.stderr
    return folder


def test_weights_say_whose_they_are(done: Path) -> None:
    """The study, the trial and the graph, in the folder and in the file."""
    stored = find(address("study.db", done))
    (trial,) = stored.trials()
    held = torch.load(done / "study.db.weights" / "0.pt", weights_only=True)
    assert trial.ended is not None
    mark = {"study": stored.identity, "trial": 0, "digest": trial.ended.parts[0].digest}
    assert mark == held["archcost"]


@pytest.mark.parametrize("key", ["study", "trial", "digest", "archcost"])
def test_weights_of_something_else_are_refused(
    capsys: pytest.CaptureFixture[str], done: Path, tmp_path: Path, key: str
) -> None:
    """Of another study, trial or graph, or of nobody: exit code 2, and nothing is written."""
    file = done / "study.db.weights" / "0.pt"
    before = file.read_bytes()
    held = torch.load(file, weights_only=True)
    if key == "archcost":
        held = held["weights"]
    else:
        held["archcost"][key] = 7 if key == "trial" else "another"
    try:
        torch.save(held, file)
        to = ("--trial", "0", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
        code, _, err = run(capsys, "export", str(done / "study.yaml"), *to)
    finally:
        file.write_bytes(before)
    assert (2, True) == (code, "holds the weights of another network or study" in err)
    assert not (tmp_path / "x.pt2").exists()


WRITES = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"


def test_looking_for_weights_gives_up_no_lock(done: Path) -> None:
    """A process that closes a file of SQLite's loses its locks on it: a reader then cut off what a run had mapped."""
    stored = find(address("study.db", done))
    with closing(sqlite3.connect(done / "study.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        weights_folder.files(stored)
        command = [sys.executable, "-c", WRITES, str(done / "study.db")]
        other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (1, True) == (other.returncode, "database is locked" in other.stderr)


def test_a_folder_that_another_study_left_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A study that begins anew beside it is told before anything is made."""
    begun(tmp_path)
    left = tmp_path / "study.db.weights"
    left.mkdir()
    (left / "7.pt").write_bytes(b"precious")
    code, _, err = run(capsys, "study", "run", str(tmp_path / "study.yaml"))
    assert (2, True) == (code, "has the weights of another study, or of one that is no longer stored here" in err)
    assert {"study.yaml", "study.db.weights/7.pt"} == files(tmp_path)


def test_only_what_the_study_wrote_is_removed(tmp_path: Path) -> None:
    """Files of others in its folder stay, also under the numbers of trials; of its own those of the front stay."""
    begun(tmp_path, STUDY.replace("trials: 3", "trials: 6"))
    folder = tmp_path / "study.db.weights"
    assert 0 == again(tmp_path, ("study", "run", "study.yaml", *SMALL)).returncode
    for name in ("77.pt", "notes.txt", "x.pt"):
        (folder / name).write_bytes(b"precious")
    ended = again(tmp_path, ("study", "run", "study.yaml", "--set", "confirm.members=0"))
    assert 0 == ended.returncode, ended.stderr
    stored = find(address("study.db", tmp_path))
    members = {f"{each.trial.number}.pt" for each in stored.front().members}
    assert {"study.json", "77.pt", "notes.txt", "x.pt", *members} == {path.name for path in folder.iterdir()}


def test_what_is_in_the_place_of_weights_ends_the_run(tmp_path: Path) -> None:
    """A file under the number of a trial that has not run is somebody's: it is not written over."""
    begun(tmp_path)
    assert 0 == again(tmp_path, ("study", "run", "study.yaml", *SMALL)).returncode
    (tmp_path / "study.db.weights" / "1.pt").write_bytes(b"precious")
    ended = again(tmp_path)
    assert (2, True) == (ended.returncode, "study.db.weights/1.pt' is in the place of the weights" in ended.stderr)
    assert b"precious" == (tmp_path / "study.db.weights" / "1.pt").read_bytes()
    states = [each.fate for each in find(address("study.db", tmp_path)).trials()]
    assert "running" not in states


def test_lost_weights_are_said(tmp_path: Path, done: Path) -> None:
    """A storage that was copied without its weights goes on, and says which networks have none."""
    begun(tmp_path)
    shutil.copy(done / "study.db", tmp_path / "study.db")
    ended = again(tmp_path, ("study", "run", "study.yaml", *SMALL))
    assert (0, True) == (
        ended.returncode,
        "of 0: moved, or removed, since they were trained" in " ".join(ended.stderr.split()),
    )


def test_a_network_needs_no_weights(capsys: pytest.CaptureFixture[str], done: Path, tmp_path: Path) -> None:
    """Its YAML is given whoever's the folder of weights is."""
    begun(tmp_path)
    shutil.copy(done / "study.db", tmp_path / "study.db")
    (tmp_path / "study.db.weights").mkdir()
    (tmp_path / "study.db.weights" / "study.json").write_text('{"study": "another"}', "utf-8")
    assert 0 == run(capsys, "export", str(tmp_path / "study.yaml"), "--trial", "0", "--to", "yaml")[0]
    to = ("--trial", "0", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert 2 == run(capsys, "export", str(tmp_path / "study.yaml"), *to)[0]


@pytest.mark.parametrize("content", [b"", b"PK cut off", b"cos\nsystem\n(S'touch ran'\ntR."])
def test_damaged_weights_are_said_in_words(
    capsys: pytest.CaptureFixture[str], done: Path, tmp_path: Path, content: bytes
) -> None:
    """Nothing in them runs, and no advice of torch's to read them without care is passed on."""
    file = done / "study.db.weights" / "0.pt"
    before = file.read_bytes()
    try:
        file.write_bytes(content or before[:1000])
        to = ("--trial", "0", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
        code, _, err = run(capsys, "export", str(done / "study.yaml"), *to)
    finally:
        file.write_bytes(before)
    assert (2, True, False) == (code, "it is damaged, or no file of weights" in err, "weights_only" in err)
