"""Trials carried over into another study: which, with what, and what keeps the others; the old study never changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets_small import images
from earlier_studies import PLAIN, beside, confirm, dataset, ran, width
from plans import FRACTAL, planned

from archcost.data.splits import Split
from archcost.errors import InputError
from archcost.nets.weights import marked, read_tensors
from archcost.search.ask import Method, exhausted
from archcost.study import run
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, trials
from archcost.study.records.database import locks
from archcost.study.records.stored import Stored, find, running
from archcost.study.warm_start import transfer
from archcost.study.warm_start.transfer import Carried, carry_over

WIDER: Any = [{**PLAIN, "widths": [{"int": [2, 16], "step": 2}], "order": {"choice": ["post", "pre"]}}, FRACTAL]
"""The plain template with another domain, one more, and a template beside it: odd widths are gone."""


def plan_of(**changes: Any) -> StudyPlan:
    """Return the plan of a study of the plain template with these keys changed."""
    return planned(dataset(), **changes)


def import_(folder: Path, plan: StudyPlan, old: str = "old.db") -> Carried:
    """Carry the trials of a study over into a new one, in the same folder."""
    return carry_over(find(beside(folder, old)), plan, dataset(), beside(folder, "new.db"))


def new(folder: Path) -> Stored:
    """Return the study that trials came to."""
    return find(beside(folder, "new.db"))


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of the old study, and of its weights."""
    return {str(path): path.read_bytes() for path in [*sorted(folder.glob("old.db*/*")), folder / "old.db"]}


def why(done: Carried) -> list[tuple[int, str, str]]:
    """Return which trials were left: number, kind, and about what."""
    return [(each.number, each.kind, each.about) for each in done.left]


def test_a_widened_domain_keeps_what_was_tried(tmp_path: Path) -> None:
    """Each trial is at its point of the new space, with results, dates, rungs and weights; the others say why not."""
    old, where = plan_of(), beside(tmp_path)
    ran(old, where, [width(4), width(5), width(12)])
    ran(old, where, [width(6)], "pruned")
    before = content(tmp_path)
    done = import_(tmp_path, plan_of(models=WIDER))
    assert ((0, 0, "complete"), (2, 1, "complete"), (3, 2, "pruned")) == done.trials
    assert [(1, "point", "widths.0")] == why(done)
    assert ("0", "1") == done.weights
    assert before == content(tmp_path)
    was, now = find(where).trials(), new(tmp_path).trials()
    assert [{"model": 0, "0.widths.0": channels, "0.order": "post"} for channels in (4, 12, 6)] == [
        each.point for each in now
    ]
    for first, other in zip([was[0], was[2], was[3]], now, strict=True):
        same = ("state", "values", "rungs", "ended", "since", "until", "counts")
        assert [getattr(first, key) for key in same] == [getattr(other, key) for key in same]
        assert other.begun is not None
        assert ("imported", first.begun and first.begun.identity) == (other.begun.origin, other.begun.identity)
    assert [each.values for each in find(where).front().members if each.name != "1"] == [
        each.values for each in new(tmp_path).front().members
    ]


def test_weights_say_whose_they_are_now(tmp_path: Path) -> None:
    """The same tensors under the new study's mark; the folder says the study it is of."""
    ran(plan_of(), beside(tmp_path), [width(5), width(4)])
    import_(tmp_path, plan_of(models=WIDER))
    stored, file = new(tmp_path), tmp_path / "new.db.weights" / "0.pt"
    (trial,) = stored.trials()
    assert trial.ended is not None
    assert marked(file, {"study": stored.identity, "trial": 0, "digest": trial.ended.parts[0].digest})
    held, was = (
        read_tensors(each, torch.device("cpu"))["weights"] for each in (file, tmp_path / "old.db.weights/1.pt")
    )
    assert held.keys() == was.keys()
    assert all(torch.equal(held[name], was[name]) for name in held)


def test_weights_of_somebody_else_are_not_taken(tmp_path: Path) -> None:
    """A file that is not what it says is left, with a note; the trial comes without."""
    ran(plan_of(), beside(tmp_path), [width(4), width(6)])
    folder = tmp_path / "old.db.weights"
    (folder / "1.pt").write_bytes((folder / "0.pt").read_bytes())
    (folder / "0.pt").write_bytes(b"broken")
    done = import_(tmp_path, plan_of(models=WIDER))
    assert (2, ()) == (len(done.trials), done.weights)
    assert [True, True] == ["cannot read" in done.notes[0], "another network or study" in done.notes[1]]
    assert ["study.json"] == [each.name for each in (tmp_path / "new.db.weights").iterdir()]


def test_importing_again_adds_nothing(tmp_path: Path) -> None:
    """Trials are known by what they trained."""
    ran(plan_of(), beside(tmp_path), [width(4), width(6)])
    plan = plan_of(models=WIDER)
    import_(tmp_path, plan)
    again = import_(tmp_path, plan)
    assert ((), (), (), ()) == (again.trials, again.weights, again.confirmed, again.notes)
    assert [(0, "known", ""), (1, "known", "")] == why(again)
    assert 2 == len(new(tmp_path).trials())


def test_what_came_since_is_added(tmp_path: Path) -> None:
    """The old study may go on, and be imported once more."""
    plan = plan_of(models=WIDER)
    ran(plan_of(), beside(tmp_path), [width(4)])
    import_(tmp_path, plan)
    ran(plan_of(), beside(tmp_path), [width(6)])
    assert ((1, 1, "complete"),) == import_(tmp_path, plan).trials


@pytest.mark.parametrize("step", ["_weights", "_confirmed", "_written"])
def test_an_import_that_was_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever it ended, the study can be read, and importing again gives what one import gives."""
    data = dataset()
    ran(plan_of(), beside(tmp_path), [width(4), width(6), width(8)])
    confirm(plan_of(), beside(tmp_path), ["1"], data)
    plan, real, calls = plan_of(models=WIDER), getattr(transfer, step), []

    def cut(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > 1 or step != "_written":
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(transfer, step, cut)
    with pytest.raises(KeyboardInterrupt):
        import_(tmp_path, plan)
    monkeypatch.undo()
    assert (1 if step == "_written" else 3) == len(new(tmp_path).trials())
    import_(tmp_path, plan)
    stored = new(tmp_path)
    assert ["complete"] * 3 == [each.state for each in stored.trials()]
    assert {"0.pt", "1.pt", "2.pt", "study.json"} == {each.name for each in (tmp_path / "new.db.weights").iterdir()}
    assert ["1"] == list(confirmed.everything(stored.study))


def test_what_was_confirmed_comes_too(tmp_path: Path) -> None:
    """Seeds, tests and samples of members and columns, under their new names; what the study has itself stays."""
    models, data = [FRACTAL, PLAIN], dataset()
    old = plan_of(models=models)
    ran(old, beside(tmp_path), [{"model": 1, **{"1.widths.0": 5}}, {"model": 0}])
    confirm(old, beside(tmp_path), ["0", "1", "1/2"], data)
    plan = plan_of(models=WIDER)
    done = import_(tmp_path, plan)
    assert ("0", "0/2") == done.confirmed
    was, now = (confirmed.everything(each.study) for each in (find(beside(tmp_path)), new(tmp_path)))
    assert {"0": was["1"], "0/2": was["1/2"]} == now
    with run.begun(plan, beside(tmp_path, "new.db")) as stored:
        confirmed.keep(running(stored), "0", replace(was["1"], seeds=(1, 2, 3)))
    assert () == import_(tmp_path, plan).confirmed
    assert (1, 2, 3) == confirmed.everything(new(tmp_path).study)["0"].seeds


def test_on_how_many_examples_it_was_confirmed_comes_too(tmp_path: Path) -> None:
    """And on how many both studies search, whose data are the same."""
    models = [FRACTAL, PLAIN]
    old = plan_of(models=models)
    ran(old, beside(tmp_path), [{"model": 0}])
    confirm(old, beside(tmp_path), ["0"], dataset())
    with run.begun(old, beside(tmp_path)) as stored:
        held = confirmed.everything(stored.study)["0"]
        confirmed.keep(running(stored), "0", replace(held, examples=900, data="d"))
        trials.remember(running(stored), "examples", 60)
    assert ("0",) == import_(tmp_path, plan_of(models=WIDER)).confirmed
    assert (60, 900) == ((now := new(tmp_path)).examples, confirmed.everything(now.study)["0"].examples)


def test_another_test_split_confirms_nothing(tmp_path: Path) -> None:
    """Trials are compared on the validation split, and come all the same."""
    other = replace(images(), read_test=lambda: Split(images().train.inputs[:9], images().train.targets[:9]))
    ran(plan_of(), beside(tmp_path), [width(4)])
    confirm(plan_of(), beside(tmp_path), ["0"], other)
    done = import_(tmp_path, plan_of(models=WIDER))
    assert (1, (), ("nothing that was confirmed: it was tested on another test split",)) == (
        len(done.trials),
        done.confirmed,
        done.notes,
    )


def test_columns_keep_their_results(tmp_path: Path) -> None:
    """A fractal network's columns come with it, on the front as before."""
    ran(plan_of(models=[FRACTAL]), beside(tmp_path), [{}])
    models = [{**FRACTAL, "columns": {"int": [1, 3]}}]
    assert 1 == len(import_(tmp_path, plan_of(models=models)).trials)
    names = [each.name for each in new(tmp_path).candidates()]
    assert ["0", "0/1", "0/2"] == names
    assert [each.values for each in find(beside(tmp_path)).candidates()] == [
        each.values for each in new(tmp_path).candidates()
    ]


@pytest.mark.parametrize(
    ("state", "kind", "about"),
    [("running", "open", ""), ("waiting", "open", ""), ("failed", "failed", "diverged"), ("repeats", "repeats", "")],
)
def test_what_gave_no_result_is_left(tmp_path: Path, state: str, kind: str, about: str) -> None:
    """It runs still, failed, or repeats another one's."""
    ran(plan_of(), beside(tmp_path), [width(4)], state)
    assert [(0, kind, about)] == why(import_(tmp_path, plan_of(models=WIDER)))


def test_of_two_that_trained_the_same_one_comes(tmp_path: Path) -> None:
    """The complete one, also if a pruned one was first; it comes too if the study itself pruned that network."""
    ran(plan_of(), beside(tmp_path), [width(4)], "pruned")
    plan = plan_of(models=[{**PLAIN, "widths": [{"choice": [4, 6]}]}])
    assert ((0, 0, "pruned"),) == import_(tmp_path, plan).trials
    ran(plan_of(models=[{**PLAIN, "widths": [4]}]), beside(tmp_path, "other.db"), [{}])
    assert ((0, 1, "complete"),) == import_(tmp_path, plan, "other.db").trials
    assert [(0, "known", "")] == why(import_(tmp_path, plan))


@pytest.mark.parametrize(
    ("limits", "about"), [({"params": 600}, "params"), ({"params": 600, "macs": 1}, "params, macs"),
                          ({"latency": "1 us"}, "latency")]
)  # fmt: skip
def test_what_is_over_a_new_limit_is_left(tmp_path: Path, limits: dict[str, Any], about: str) -> None:
    """Of counts and of the latency that was measured."""
    ran(plan_of(), beside(tmp_path), [width(12)])
    assert [(0, "limit", about)] == why(import_(tmp_path, plan_of(limits=limits)))


def _objectives(**changes: Any) -> dict[str, Any]:
    latency = {"latency": "min", "target": "fake", "threads": 1, "time": 2.0, **changes}
    return {"objectives": [{"error": "min"}, latency]}


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"fit": {"epochs": 3, "rungs": [1, 3]}}, ["fit.epochs", "fit.rungs"]),
        ({"fit": {"epochs": 2, "rungs": [1, 2], "seed": 5}}, ["fit.seed"]),
        ({"objectives": [{"error": "min"}]}, ["objectives"]),
        ({"objectives": [{"error": "min"}, {"params": "min"}]}, ["objectives"]),
        (_objectives(batch=2), ["objectives"]),
        (_objectives(dtype="bfloat16"), ["objectives"]),
        (_objectives(threads=2), ["objectives"]),
        (_objectives(target="cpu"), ["objectives"]),
        (_objectives(runtime="compile"), ["objectives"]),
        ({**_objectives(batch=2), "fit": {"epochs": 2, "rungs": [1, 2], "lr": 0.5}}, ["fit.lr", "objectives"]),
    ],
)
def test_what_is_not_comparable_is_refused(tmp_path: Path, changes: dict[str, Any], paths: list[str]) -> None:
    """Every difference is named, and nothing is made."""
    ran(plan_of(), beside(tmp_path), [width(4)])
    with pytest.raises(InputError) as caught:
        import_(tmp_path, plan_of(**changes))
    assert paths == [".".join(map(str, each.path)) for each in caught.value.mistakes]
    said = [each.message for each in caught.value.mistakes]
    assert [] == [each for each in said if not re.fullmatch(r"given .* in '.*'; allowed: .*, as in this study", each)]
    assert not (tmp_path / "new.db").exists()


def test_other_data_are_refused(tmp_path: Path) -> None:
    """By their fingerprint."""
    ran(plan_of(), beside(tmp_path), [width(4)])
    with pytest.raises(InputError, match=r"data: given fingerprint stripes in .*; allowed: others, as in this study"):
        import_(tmp_path, planned(replace(dataset(), fingerprint="others")))


@pytest.mark.parametrize(
    "changes", [_objectives(precision=0.1, time=0.5), {"search": {"sampler": "random"}}, {"name": "x"}]
)
def test_what_may_differ_is_comparable(tmp_path: Path, changes: dict[str, Any]) -> None:
    """How exactly is measured, the search, the name."""
    ran(plan_of(), beside(tmp_path), [width(4)])
    assert 1 == len(import_(tmp_path, plan_of(**changes)).trials)


def _changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a study holds of the end of its first trial."""
    with run.begun(plan_of(), beside(folder)) as stored:
        study = running(stored)
        (frozen,) = study.get_trials()
        ended = frozen.user_attrs["archcost:ended"]
        change(ended)
        made = type(frozen)(**{key.removeprefix("_"): value for key, value in vars(frozen).items()
                               if key.removeprefix("_") in ("state", "params", "distributions", "values")},
                            number=0, value=None, trial_id=0, datetime_start=frozen.datetime_start,
                            datetime_complete=frozen.datetime_complete, intermediate_values={}, system_attrs={},
                            user_attrs={**frozen.user_attrs, "archcost:ended": ended})  # fmt: skip
        study.add_trial(made)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "device",
            {"name": "other", "cpus": 2, "memory_bytes": None, "system": "fake"},
            "on another device: other, fake",
        ),
        ("runtime", "compile", "measured as fake, compile, 1, float32, 1, not fake, eager, 1, float32, 1"),
    ],
)
def test_what_was_measured_elsewhere_is_left(tmp_path: Path, key: str, value: Any, words: str) -> None:
    """A latency is of its device and its way alone."""
    ran(plan_of(), beside(tmp_path), [width(4)])
    _changed(tmp_path, lambda ended: ended["parts"][0]["samples"][0]["origin"].update({key: value}))
    done = import_(tmp_path, plan_of(models=WIDER))
    assert (1, [(1, "ways", "")]) == (len(done.trials), why(done))
    assert words in done.left[0].text


def test_a_graph_that_is_drawn_otherwise_is_left(tmp_path: Path) -> None:
    """As after a change of a family between two versions: its counts and weights are of another network."""
    ran(plan_of(), beside(tmp_path), [width(4)])
    _changed(tmp_path, lambda ended: ended["parts"][0].update(digest="0" * 64))
    assert [(1, "counts", "")] == why(import_(tmp_path, plan_of(models=WIDER)))


def test_a_study_is_not_imported_into_itself(tmp_path: Path) -> None:
    """Nor a copy of it."""
    plan = plan_of()
    ran(plan, beside(tmp_path), [width(4)])
    with pytest.raises(InputError, match="is the study itself; allowed: another study's storage"):
        carry_over(find(beside(tmp_path)), plan, dataset(), beside(tmp_path))
    (tmp_path / "new.db").write_bytes((tmp_path / "old.db").read_bytes())
    with pytest.raises(InputError, match="is a copy of the study itself"):
        import_(tmp_path, plan)


def test_a_study_that_runs_is_left_alone(tmp_path: Path) -> None:
    """Trials come to it when it does not run."""
    plan = plan_of()
    ran(plan, beside(tmp_path), [width(4)])
    with run.begun(plan, beside(tmp_path, "new.db")):
        pass
    with locks.running(beside(tmp_path, "new.db")), pytest.raises(InputError, match="another process runs the study"):
        import_(tmp_path, plan)
    assert () == new(tmp_path).trials()


def test_what_came_is_known_to_the_search(tmp_path: Path) -> None:
    """No trial repeats one that was carried over, and they count."""
    ran(plan_of(models=[{**PLAIN, "widths": [{"int": [4, 6]}]}]), beside(tmp_path), map(width, (4, 5, 6)))
    plan = plan_of(models=[{**PLAIN, "widths": [{"choice": [6, 4, 5]}]}])
    import_(tmp_path, plan)
    assert [True] * 3 == [each.counts for each in new(tmp_path).trials()]
    with run.begun(plan, beside(tmp_path, "new.db")) as stored:
        assert exhausted(running(stored), plan.spec.space.draw, Method())


def test_a_trial_says_where_it_came_from(tmp_path: Path) -> None:
    """The study and the number it had there."""
    ran(plan_of(), beside(tmp_path), [width(5), width(4)])
    import_(tmp_path, plan_of(models=WIDER))
    (frozen,) = new(tmp_path).study.get_trials()
    assert {"study": find(beside(tmp_path)).identity, "trial": 1} == frozen.user_attrs[transfer.FROM]
    assert trials.typed(frozen).writes
