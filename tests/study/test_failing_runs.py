"""Runs that cannot go well: they stop at the first failure that all trials would have, and say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import RUN, STUDY, again, begun, planted

from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find

AFTER_A_TRIAL = ("archcost.study.phases.events", "_over", "after")
SWEEP = "import glob, tempfile; [os.remove(f) for f in glob.glob(tempfile.gettempdir() + '/archcost-*/data.pt')]"


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("shutil.rmtree('study.db.weights')", "the folder 'study.db.weights' is gone"),
        (SWEEP, "the data of the run: "),
        ("os.remove('study.db')", "was removed or replaced while it was used"),
    ],
)
def test_what_is_gone_ends_the_run(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, words: str
) -> None:
    """In the middle of a study: exit code 2 with the reason, what failed for it does not count, and it goes on."""
    monkeypatch.setenv("TMPDIR", str(short_path))
    begun(tmp_path)
    ended = planted(tmp_path, AFTER_A_TRIAL, 1, gone, (*RUN[:3], "--workers", "1"))
    assert (2, True) == (ended.returncode, words in ended.stderr), ended.stderr
    if (tmp_path / "study.db").exists():
        trials = find(address("study.db", tmp_path)).trials()
        assert 1 == sum(each.ended is not None and each.ended.counts for each in trials)
        assert {"complete", "interrupted", "waiting"} >= {each.fate for each in trials}
        rest = again(tmp_path)
        assert 0 == rest.returncode, rest.stderr
        counted = find(address("study.db", tmp_path)).trials()
        assert 3 == sum(each.ended is not None and each.ended.counts for each in counted)


def test_a_study_all_of_whose_trials_failed_is_none(tmp_path: Path) -> None:
    """Exit code 3, with the reason: nothing was found."""
    begun(tmp_path, STUDY.replace("epochs: 2, rungs: [1, 2]", "epochs: 1, lr: 1.0e+30"))
    ended = again(tmp_path)
    assert (3, True) == (ended.returncode, "no trial is complete: 3 x diverged" in ended.stderr), ended.stderr


def _walks(path: Path, seed: int) -> None:
    """Write sequences whose test split depends on a seed."""
    fixed, chance = np.random.default_rng(0), np.random.default_rng(seed)
    labels = np.arange(60) % 2
    train, test = fixed.normal(size=(60, 5, 2)), chance.normal(size=(60, 5, 2))
    np.savez(path, x_train=train.astype("float32"), y_train=labels, x_test=test.astype("float32"), y_test=labels)


def test_another_test_split_is_refused(tmp_path: Path) -> None:
    """The one that the study began with is what its members are judged by: its fingerprint is kept from the start."""
    _walks(tmp_path / "walks.npz", 1)
    model = "{family: hornn, hidden: {int: [4, 9]}, order: 1}"
    data = "data: {name: sequences, path: walks.npz}"
    others = [line for line in STUDY.splitlines() if not line.startswith(("models", "data"))]
    begun(tmp_path, "\n".join([f"models: [{model}]", data, *others]))
    first = again(tmp_path, (*RUN, "--trials", "1"))
    assert 0 == first.returncode, first.stderr
    _walks(tmp_path / "walks.npz", 2)
    ended = again(tmp_path)
    assert (2, True) == (ended.returncode, "the test split of" in ended.stderr), ended.stderr
    assert 1 == len([each for each in find(address("study.db", tmp_path)).trials() if each.ended])
