"""Reasons: a kind to decide by, kept in a storage with its words; what earlier versions kept is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import optuna
import pytest
from written_before import FIRST

from archcost.cli.study.run import _in_vain
from archcost.errors import InputError, Mistake, TargetError
from archcost.study.phases.search_loop import End, _infeasible
from archcost.study.records import confirmed, tables, trials
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.database import storage
from archcost.study.records.database.addresses import address
from archcost.study.records.reasons import INTERRUPTED, JobKind, Kind, Reason, alike, of_trial
from archcost.study.records.stored import described, find
from archcost.study.records.trials import Ended
from archcost.study.run import Outcome
from archcost.study.workers.failures import reason_of
from archcost.study.workers.messages import Failed, decode_event, encode

KINDS: tuple[Kind, ...] = tuple(kind for part in get_args(Kind) for kind in get_args(part) or (part,))


def kept(*ended: Ended) -> optuna.Study:
    """Return a study whose trials failed so."""
    study = optuna.create_study()
    for each in ended:
        trials.fail(study, study.ask(), each)
    return study


@pytest.mark.parametrize("kind", KINDS)
def test_a_reason_is_read_as_it_was_kept(kind: Kind) -> None:
    """Of a trial and of a network that was confirmed, with its words and what it is about, whatever its kind."""
    reason = Reason(kind, "it: rained; 3 times", "cats")
    study = kept(Ended(reason=reason))
    confirmed.keep(study, "0", Confirmed(reason=reason))
    assert {"kind": kind, "text": reason.text, "about": "cats"} == study.trials[0].user_attrs["archcost:ended"][
        "reason"
    ]
    assert [reason] == [each.reason for each in trials.read(study, {})]
    assert Confirmed(reason=reason) == confirmed.confirmed(study, "0") == confirmed.everything(study)["0"]


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Ended trials of a storage on disk, read again, are equal, with a reason of each kind or none."""
    written = [Ended(reason=Reason(kind, f"{kind} 1"), seconds=1.5, counts=False) for kind in KINDS] + [Ended()]
    where = address(str(tmp_path / "study.db"), tmp_path)
    about = {"schema": 1, "name": "x", "objectives": [["error", None]], "labels": ["error"]}
    store = storage.opened(
        where, lambda made: trials.remember(optuna.create_study(study_name="x", storage=made), "about", about)
    )
    study = storage.find(store)
    for each in written:
        trials.fail(study, study.ask(), each)
    storage.close(store)
    assert written == [each.ended for each in find(where).trials()]


@pytest.mark.parametrize("kind", get_args(JobKind))
def test_a_failed_job_tells_its_reason(kind: JobKind) -> None:
    """It crosses from the child as it is."""
    event = Failed(Reason(kind, "text: of its own", "about"))
    assert event == decode_event(encode(event))


@pytest.mark.parametrize(
    ("kind", "text"),
    [("diverged", "diverged: x"), ("target", "target: x"), ("silent", "target: x"), ("bug", "bug: x"), ("killed", "x")],
)
def test_a_trials_words_begin_with_what_failed(kind: Kind, text: str) -> None:
    """A table shows what kind of failure it was; what was killed says so itself. The kind stays."""
    assert Reason(kind, text, "y") == of_trial(Reason(kind, "x", "y"))


BEFORE: list[tuple[str, Kind]] = [
    ("interrupted; its point was asked for again", "interrupted"),
    ("at epoch 3 not among the best third that had come so far", "pruned"),
    ("limits: params 11,922; allowed: 6,000", "limit"),
    ("infeasible: given 3; allowed: a multiple of 2", "infeasible"),
    ("its result is not finite", "not_finite"),
    ("every point of the space is known", "known"),
    ("another worker began the same point at the same moment", "gave_way"),
    ("what was enqueued is no point of this study", "enqueued"),
    ("killed by signal 9: the system does so where memory is short, or somebody did", "killed"),
    ("target: hung: no progress for 4 s, killed; 'search.patience' allows more", "silent"),
    ("target: no route to it", "target"),
    ("input: unknown target 'abacus'", "input"),
    ("diverged: loss nan at epoch 2", "diverged"),
    ("memory: out of memory", "memory"),
    ("bug: ValueError: no", "bug"),
    ("the time was over", "time"),
    ("something else", "unknown"),
]


@pytest.mark.parametrize(("text", "kind"), BEFORE)
def test_a_sentence_of_before_has_its_kind(text: str, kind: Kind) -> None:
    """A storage of 0.1.0 has the text alone; it is shown as it was, and interrupted trials are told apart."""
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("archcost:ended", {"parts": [], "reason": text, "counts": True})
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    (found,) = trials.read(study, {})
    assert found.reason is not None
    assert (kind, text, text) == (found.reason.kind, found.reason.text, found.why)
    assert ("interrupted" if kind == "interrupted" else "failed") == found.fate


def test_all_that_a_trial_can_have_is_read() -> None:
    """No kind is missing in the table above but those that end a run, of which no trial is told, and those of 0.4.0."""
    assert set(KINDS) - {"space", "files", "code", "refused"} == {kind for _, kind in BEFORE}


def test_the_fixture_of_before_has_kinds() -> None:
    """Those of the study that 0.1.0 wrote."""
    found = find(address("study.db", FIRST)).trials()
    assert [None] * 3 + ["limit", "pruned", "pruned"] == sorted(
        (each.reason and each.reason.kind for each in found), key=lambda kind: kind or ""
    )


def test_reasons_that_are_alike_are_one() -> None:
    """The first stands for all of its kind, those of a limit, a key or a bug for all of that, others for equal ones."""
    reasons = [
        Reason("diverged", "diverged: loss 3.5"),
        Reason("limit", "limits: latency 270 us; allowed: 10 us", "latency"),
        Reason("target", "target: no power"),
        Reason("limit", "limits: latency 1.2 ms; allowed: 10 us", "latency"),
        Reason("limit", "limits: params 5; allowed: 4", "params"),
        Reason("target", "target: no route to it"),
        Reason("diverged", "diverged: loss nan"),
        Reason("limit", "limits: latency 1.3 ms; allowed: 10 us", "latency"),
        Reason("target", "target: no power"),
        INTERRUPTED,
    ]
    assert [
        ("limits: latency 270 us; allowed: 10 us", 3),
        ("diverged: loss 3.5", 2),
        ("target: no power", 2),
        ("limits: params 5; allowed: 4", 1),
        ("target: no route to it", 1),
        (INTERRUPTED.text, 1),
    ] == alike(reasons)


def test_a_point_that_is_no_network_names_its_keys() -> None:
    """Each once, without the places in lists: what differs in those alone is one reason."""
    mistakes = (Mistake("given 3", ("layers", 0, "widths")), Mistake("given 5", ("layers", 2, "widths")))
    assert Reason("infeasible", "infeasible: given 3; given 5", "layers.widths") == _infeasible(InputError(*mistakes))
    assert "" == _infeasible(InputError("no such thing")).about


def test_a_bug_is_about_the_type_of_its_error() -> None:
    """Its text may hold numbers of one trial; what archcost raises on purpose is about nothing else."""
    assert Reason("bug", "KeyError: 7", "KeyError") == reason_of(KeyError(7))
    assert Reason("target", "no power") == reason_of(TargetError("no power"))


def ended_in_vain(end: End, *ended: Ended) -> Outcome:
    """Return the outcome of a run whose trials failed so."""
    study = kept(*ended)
    trials.remember(study, "about", {"schema": 1, "name": "x", "objectives": [["error", None]], "labels": ["error"]})
    return Outcome(described(study, address("study.db", Path.cwd())), end)


FAILED, REFUSED = Ended(reason=Reason("bug", "bug: x")), Ended(reason=Reason("limit", "limits: x"), counts=False)


@pytest.mark.parametrize(
    ("end", "ended", "code"),
    [
        ("trials", (FAILED, REFUSED), 3),
        ("exhausted", (FAILED, REFUSED), 3),
        ("exhausted", (REFUSED,), 2),
        ("time", (REFUSED,), 0),
        ("time", (), 0),
    ],
)
def test_the_exit_code_of_a_run_in_vain(end: End, ended: tuple[Ended, ...], code: int) -> None:
    """3 if all trials that ran failed, 2 if the space holds nothing to try, 0 if there was no time."""
    assert code == _in_vain(ended_in_vain(end, *ended))


def test_a_run_in_vain_says_the_most_frequent_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of them, and how many trials had others."""
    each = [Ended(reason=Reason("target", f"target: {number}")) for number in range(13)]
    _in_vain(ended_in_vain("trials", each[12], *each))
    lines = capsys.readouterr().err.splitlines()
    assert (11, "no trial is complete: 2 x target: 12") == (len(lines), lines[0])
    assert "no trial is complete: 3 x others; 'archcost study table' has all" == lines[-1]


def test_the_state_of_a_study_counts_kinds() -> None:
    """Beside the texts, which differ from trial to trial."""
    found = ended_in_vain("time", FAILED, REFUSED, replace(REFUSED, reason=Reason("limit", "limits: y")), Ended())
    status = tables.status_of(found.stored, found.stored.front())
    assert {"limit": 2, "bug": 1} == status["kinds"]
    assert {"bug: x": 1, "limits: x": 1, "limits: y": 1} == status["reasons"]


@pytest.mark.parametrize("held", [{"kind": "weather", "text": "it rained"}, {"text": "no kind"}, 5, [], True])
def test_another_form_is_refused(held: object) -> None:
    """What another program wrote is one message."""
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("archcost:ended", {"reason": held})
    study.tell(trial, 1.0)
    with pytest.raises(InputError, match="trial 0 is not archcost's: reason"):
        trials.read(study, {})
