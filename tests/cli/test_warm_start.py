"""Known networks first, and a second evening: the commands as they are typed, to a network that is taken out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import own_code
import pytest
from commands import refused, run
from planted import again, begun, planted

from archcost.cli.study.warm_start import lines
from archcost.study.records import confirmed
from archcost.study.records.database import locks
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find
from archcost.study.warm_start.transfer import Carried

FIRST = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 6]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 2, sampler: random, start: [known.yaml]}
confirm: {seeds: 1, members: 2}
"""
SECOND = FIRST.replace("[4, 6]", "[4, 12]").replace("start: [known.yaml]", "seed: 1").replace("trials: 2", "trials: 3")
KNOWN = "{family: bottleneck, block: basic, depths: [1], widths: [%d], order: post}\n"
WIDTH = "0.widths.0"
OWN = ("study", "run", "study.yaml", "--workers", "1", "--trials", "2", "--allow-code")


@pytest.fixture(scope="module")
def evenings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has been run, and a second one with a wider domain."""
    folder = tmp_path_factory.mktemp("evenings")
    (folder / "first").mkdir()
    (folder / "second").mkdir()
    (folder / "first" / "known.yaml").write_text(KNOWN % 6, "utf-8")
    begun(folder / "first", FIRST)
    (folder / "second" / "study.yaml").write_text(SECOND, "utf-8")
    ended = again(folder / "first", ("study", "run", "study.yaml"))
    assert 0 == ended.returncode, ended.stderr
    return folder


def stored(folder: Path, name: str = "study.db") -> Stored:
    """Return the study in a folder."""
    return find(address(name, folder))


def test_a_known_network_is_tried_first(evenings: Path) -> None:
    """It is the first trial, and its origin says that it was asked for."""
    first, *_ = stored(evenings / "first").trials()
    assert first.begun is not None
    assert ({WIDTH: 6}, "enqueued") == (first.point, first.begun.origin)


def test_a_second_evening(capsys: pytest.CaptureFixture[str], evenings: Path, tmp_path: Path) -> None:
    """A wider domain, the trials of the first evening, one more: the network taken out has the weights it had."""
    old, file = str(evenings / "first" / "study.yaml"), str(evenings / "second" / "study.yaml")
    code, out, _ = run(capsys, "study", "import", old, "--into", file)
    assert (0, True) == (code, out.startswith("carried over  2 trials: 2 complete\n")), out
    assert "\n  old -> new  0-1 -> 0-1\n" in out
    assert "left          0 trials\n" in out
    assert "not confirmed" not in out  # what was confirmed came too
    (name, *_) = [each.name for each in stored(evenings / "second").front().members]
    code, out, err = run(capsys, "export", file, "--trial", name, "--to", "yaml")
    assert (0, True) == (code, "family: bottleneck" in out), err
    target = tmp_path / "network.pt2"
    code, out, err = run(capsys, "export", file, "--trial", name, "--to", "pt2", "-o", str(target))
    assert (0, True) == (code, target.is_file()), err
    code, _, err = run(capsys, "study", "run", file, "--workers", "1")
    assert 0 == code, err
    trials = stored(evenings / "second").trials()
    assert ["imported", "imported", "random"] == [each.begun.origin for each in trials if each.begun]
    assert 3 == len({each.point[WIDTH] for each in trials})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], None),
        ([(3, 0)], "3 -> 0"),
        ([(4, 1), (3, 0), (5, 2), (9, 3)], "3-5 -> 0-2, 9 -> 3"),
        ([(0, 7), (1, 6), (2, 5)], "0 -> 7, 1 -> 6, 2 -> 5"),
        ([(each, 3 * each) for each in range(40)], None),
    ],
)
def test_old_numbers_are_beside_the_new_ones(numbers: list[tuple[int, int]], expected: str | None) -> None:
    """Those in a row together; many within 80 columns."""
    said = list(lines(Carried(tuple((old, new, "complete") for old, new in numbers), (), (), (), ())))
    assert max(map(len, said)) <= 80
    assert (bool(numbers), expected or "") == (any("old -> new" in line for line in said), "".join(
        line.removeprefix("  old -> new  ") for line in said if expected and "old -> new" in line))  # fmt: skip


def test_what_was_left_is_listed_as_json(capsys: pytest.CaptureFixture[str], evenings: Path) -> None:
    """Each trial with why it was, one document and nothing else."""
    old, file = str(evenings / "first" / "study.db"), str(evenings / "second" / "study.yaml")
    other = ("--set", "models.0.widths.0={choice: [2, 3]}", "--storage", str(evenings / "other.db"))
    code, out, err = run(capsys, "study", "import", old, "--into", file, *other, "--json")
    found = json.loads(out)
    assert (0, "", []) == (code, err, found["trials"])
    assert [(0, "point", "widths.0")] == [(each["number"], each["kind"], each["about"]) for each in found["left"]][:1]
    code, out, _ = run(capsys, "study", "import", old, "--into", file, *other)
    assert "carried over  0 trials\nleft          2 trials\n     2 x  widths.0: given 6; allowed: 2 or 3\n" == out


def test_a_changed_study_says_how_to_go_on(capsys: pytest.CaptureFixture[str], evenings: Path) -> None:
    """Who widens a domain in place is told of the import."""
    file = str(evenings / "first" / "study.yaml")
    err = refused(capsys, "study", "run", file, "--set", "models.0.widths.0={int: [4, 12]}")
    assert "'archcost study import' carries its trials over" in err


def test_studies_that_do_not_compare_are_refused(capsys: pytest.CaptureFixture[str], evenings: Path) -> None:
    """With every difference, and nothing is made."""
    old, file = str(evenings / "first" / "study.yaml"), str(evenings / "second" / "study.yaml")
    where = evenings / "none.db"
    changes = ("--set", "fit.lr=0.5", "--set", "data.examples=90", "--storage", str(where))
    err = refused(capsys, "study", "import", old, "--into", file, *changes)
    starts = ("archcost: data: given fingerprint ", "archcost: fit.lr: given null in ")
    assert [True, True] == [line.startswith(start) for line, start in zip(err.splitlines(), starts, strict=True)]
    assert not where.exists()


def test_a_killed_import_goes_on(evenings: Path) -> None:
    """kill -9 between two trials: the study is whole, and importing again gives all, once."""
    command = ("study", "import", "first/study.db", "--into", "second/study.yaml", "--storage", "killed.db")
    kill = "import signal; os.kill(os.getpid(), signal.SIGKILL)"
    where = ("archcost.study.warm_start.transfer", "_written", "before")
    assert -9 == planted(evenings, where, 2, kill, command).returncode
    assert 1 == len(stored(evenings, "killed.db").trials())
    ended = again(evenings, command)
    assert 0 == ended.returncode, ended.stderr
    now = stored(evenings, "killed.db")
    assert 2 == len(now.trials())
    assert confirmed.everything(stored(evenings / "first").study).keys() == confirmed.everything(now.study).keys()


def test_networks_wait_for_the_next_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also of a study that has not run yet; who is there already is not asked for again, and a limit is a warning."""
    begun(tmp_path, FIRST + "limits: {params: 1000}\n")
    for width in (5, 6):
        (tmp_path / f"{width}.yaml").write_text(KNOWN % width, "utf-8")
    file, five, six = (str(tmp_path / name) for name in ("study.yaml", "5.yaml", "6.yaml"))
    code, out, err = run(capsys, "study", "enqueue", file, five, six)
    assert (0, 2) == (code, len(out.splitlines()))
    assert (out.splitlines()[0], "limits: params " in err) == (f"{five}: trial 0 waits to be tried", True)
    assert f"{five}: trial 0 is there already\n" == run(capsys, "study", "enqueue", file, five)[1]
    assert ["waiting", "waiting"] == [each.state for each in stored(tmp_path).trials()]


def test_a_study_that_runs_may_be_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its run takes the network next; only trials are not imported meanwhile."""
    begun(tmp_path, FIRST)
    (tmp_path / "5.yaml").write_text(KNOWN % 5, "utf-8")
    file, five = str(tmp_path / "study.yaml"), str(tmp_path / "5.yaml")
    with locks.running(address("study.db", tmp_path)):
        code, out, _ = run(capsys, "study", "enqueue", file, five)
    assert (0, f"{five}: trial 0 waits to be tried\n") == (code, out)


def test_a_storage_of_two_names_is_not_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each name would have a log of its own."""
    begun(tmp_path, FIRST)
    (tmp_path / "5.yaml").write_text(KNOWN % 5, "utf-8")
    typed = ("study", "enqueue", str(tmp_path / "study.yaml"), str(tmp_path / "5.yaml"))
    assert 0 == run(capsys, *typed)[0]
    (tmp_path / "other.db").hardlink_to(tmp_path / "study.db")
    assert "has several names (hard links)" in refused(capsys, *typed)


def test_networks_of_code_come_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By their arguments, and without being made again; with consent, and if no file of the code has changed."""
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()
    old, file = own_code.written(first), own_code.written(second, own_code.STUDY.replace("[2, 6]", "[1, 9]"))
    typed = ("study", "import", str(old), "--into", str(file))
    assert 0 == again(first, OWN).returncode
    assert "runs only with --allow-code" in refused(capsys, *typed)
    code, out, err = run(capsys, *typed, "--allow-code")
    assert (0, True) == (code, out.startswith("carried over  2 trials")), err
    was, now = (stored(folder).trials() for folder in (first, second))
    assert [(each.point, each.values) for each in was] == [(each.point, each.values) for each in now]
    assert [each.begun.identity for each in was if each.begun] == [each.begun.identity for each in now if each.begun]
    names = {each.name for each in (first / "study.db.weights").iterdir()}
    assert names == {each.name for each in (second / "study.db.weights").iterdir()}
    (second / "known.yaml").write_text("{family: module, factory: 'mynet:Small', args: {width: 8}}\n", "utf-8")
    asked = run(capsys, "study", "enqueue", str(file), str(second / "known.yaml"), "--allow-code")
    assert (0, f"{second / 'known.yaml'}: trial 2 waits to be tried\n") == asked[:2]
    (second / "mynet.py").write_text(own_code.NETWORKS + "# another\n", "utf-8")
    assert "'mynet.py' changed since the study" in refused(capsys, *typed, "--allow-code")
    assert 0 == run(capsys, *typed, "--allow-code", "--code-changed")[0]


def test_a_file_that_is_no_point_asks_for_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The key and what is allowed there; of several files nothing is asked for, and no study is made."""
    begun(tmp_path, FIRST)
    for width in (5, 7):
        (tmp_path / f"{width}.yaml").write_text(KNOWN % width, "utf-8")
    file, five, seven = (str(tmp_path / name) for name in ("study.yaml", "5.yaml", "7.yaml"))
    err = refused(capsys, "study", "enqueue", file, five, seven)
    assert err.startswith(f"{seven}:1:58: widths.0: given 7; allowed: an integer from 4 to 6\n")
    assert not (tmp_path / "study.db").exists()
    err = refused(capsys, "study", "run", file, "--dry-run")
    assert "search.start.0: given 'known.yaml'; allowed: a model.yaml, from the study's folder" in err
    (tmp_path / "known.yaml").write_text(KNOWN % 7, "utf-8")
    assert "widths.0: given 7" in refused(capsys, "study", "run", file)
    assert not (tmp_path / "study.db").exists()


def test_a_dry_run_says_what_is_first(capsys: pytest.CaptureFixture[str], evenings: Path) -> None:
    """How many known networks."""
    code, out, _ = run(capsys, "study", "run", str(evenings / "first" / "study.yaml"), "--dry-run")
    assert (0, True) == (code, "\nfirst        1 known network\n" in out)


def test_known_networks_load_no_torch(tmp_path: Path) -> None:
    """Whether a tree is a point of a space is found out without it."""
    script = "import sys, archcost.search.placement.trees; sys.exit('torch' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", script], check=False, cwd=tmp_path).returncode
