"""The report of a study: what is in it, that it is right, and that nothing from outside is changed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stored_studies import HOSTILE, Wanted, made

from archcost.errors import InputError
from archcost.report.blocks import Bars, Block, Chart, Document, Lines, Scatter, Series, Slider, Table, Verdicts
from archcost.report.page import page
from archcost.report.study import verdict
from archcost.report.study.document import study
from archcost.report.study.facts import found, some
from archcost.report.study.progress import saved
from archcost.search import pareto
from archcost.study.objectives import quantity_of
from archcost.study.records import confirmed
from archcost.study.records.best.advice import advise
from archcost.study.records.best.choice import Field
from archcost.study.records.stored import Stored, find, running
from archcost.study.records.tables import front_of, rows, status_of
from archcost.study.records.trials import Held

LIMITS = {"params": 30_000, "latency": 5e-4, "weights": 100_000}


@pytest.fixture(scope="module")
def stored() -> Stored:
    """A study with all kinds of trials, limits and some confirmed members."""
    return made(None, Wanted(limits=LIMITS))


@pytest.fixture(scope="module")
def report(stored: Stored) -> Document:
    """Its report."""
    return study(stored, "archcost report study.yaml -o page.html")


def blocks(report: Document) -> list[Block]:
    return [block for section in report.sections for block in section.blocks]


def chart(report: Document, key: str) -> Chart:
    (one,) = [block for block in blocks(report) if isinstance(block, Chart) and block.key == key]
    return one


def scatter(report: Document, key: str) -> Scatter:
    drawn = chart(report, key).drawn
    assert isinstance(drawn, Scatter)
    return drawn


def table(report: Document, key: str) -> Table:
    (one,) = [block for block in blocks(report) if isinstance(block, Table) and block.key == key]
    return one


def series(report: Document, key: str) -> dict[str, Series]:
    return {each.name: each for each in scatter(report, key).series}


def lines(report: Document, key: str) -> str:
    (section,) = [each for each in report.sections if each.key == key]
    return "\n".join(line for block in section.blocks if isinstance(block, Lines) for line in block.lines)


def test_sections_stand_in_their_order(report: Document) -> None:
    """The front comes before all that explains it; every chart with a table has it, and keys are there once."""
    keys = [section.key for section in report.sections]
    assert ["verdict", "front", "progress", "parameters", "latency", "trials", "method"] == keys
    named = [block.key for block in blocks(report) if isinstance(block, Chart | Table)]
    assert sorted(set(named)) == sorted(named)
    assert {block.table for block in blocks(report) if isinstance(block, Chart)} <= set(named)
    assert all(block.summary for block in blocks(report) if isinstance(block, Chart))


def test_every_row_has_a_cell_for_each_head_and_every_series_is_whole(report: Document) -> None:
    """What a page or a figure would stumble over."""
    for block in blocks(report):
        if isinstance(block, Table):
            assert {len(block.heads)} == {len(row.cells) for row in block.rows}
        elif isinstance(block, Chart) and isinstance(block.drawn, Scatter):
            for one in block.drawn.series:
                sides = (one.y, *filter(None, (one.texts, one.keys, one.spans, one.x_spans)))
                assert {len(one.x)} == {len(side) for side in sides}


def test_the_head_says_where_it_comes_from(report: Document) -> None:
    """Device with fingerprint, versions, dates of the trials, the command."""
    head = dict(report.head)
    assert ["study", "storage", "made by", "device", "versions", "first trial", "last trial", "command"] == list(head)
    assert "fingerprint" in head["device"]
    assert "torch 2.13.0" == head["versions"]
    assert "2026-01-02 03:04:05" == head["first trial"]
    assert "archcost report study.yaml -o page.html" == head["command"]


def test_limits_are_judged_for_the_knee_and_the_front(report: Document, stored: Stored) -> None:
    """A word for each limit, and for the front the members that break it."""
    (found_in,) = [block for block in report.sections[0].blocks if isinstance(block, Verdicts)]
    members = stored.front().members
    (params,) = [each for each in found_in.verdicts if each.text.startswith("front") and "params" in each.text]
    broken = [each.name for each in members if each.part.params > 30_000]
    assert ("FAIL" if broken else "PASS") == params.word
    assert all(name in params.text for name in broken)
    assert f"{len(members) - len(broken)} of {len(members)} networks" in params.text
    assert 3 == sum(each.text.startswith("knee") for each in found_in.verdicts)
    assert any("weights" in each.text and "PASS" == each.word for each in found_in.verdicts)


def test_what_is_against_trusting_the_front_is_said(report: Document) -> None:
    """One seed, shared weights, latencies that are not stable, trials that still run."""
    said = lines(report, "verdict")
    for words in ("confirmed in part", "On a single seed", "shared weights", "is not stable", "1 trial not over yet"):
        assert words in said
    assert "not confirmed: each member rests on one seed" in lines(study(made(None, Wanted(confirmed=0))), "verdict")


def test_of_many_latencies_that_are_not_stable_one_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """All members are named in a line, and what speaks against the first of them."""
    monkeypatch.setattr(verdict, "_TOLD", 0)
    stored = made(None, Wanted(confirmed=0))
    doubts = [(each.name, one.why) for each in stored.front().members for one in each.latencies() if not one.stable]
    said = lines(study(stored), "verdict")
    assert f"not stable: {some(list(dict.fromkeys(name for name, _ in doubts)))}." in said
    assert f"Against that of {doubts[0][0]} speaks: {doubts[0][1]}" in said
    assert f"The latency of {doubts[0][0]} is not stable" not in said


def test_a_front_without_a_knee_says_so() -> None:
    """Of a single objective there is one best network: no knee to judge, no other end to name."""
    report = study(made(None, Wanted(trials=20, objectives=(("error", None),), limits={"params": 30_000})))
    assert "has no knee" in lines(report, "verdict")
    (found_in,) = [block for block in report.sections[0].blocks if isinstance(block, Verdicts)]
    assert ["front"] == [each.text.partition(":")[0] for each in found_in.verdicts]
    assert "cheapest" not in chart(report, "front").summary


def test_what_was_trained_less_than_the_front_is_not_called_dominated() -> None:
    """Once members are confirmed with more epochs, scores of the search have a mark of their own."""
    stored = made(None, Wanted(confirmed=3))
    for name, each in confirmed.everything(stored.study).items():
        confirmed.keep(running(stored), name, replace(each, epochs=99))
    now, drawn = stored.front(), series(study(stored), "front")
    less = {each.name for each in now.others} - {each.name for each in now.comparable}
    assert less
    assert less == set(drawn["trained less than the front"].keys)
    assert "cross" == drawn["trained less than the front"].mark
    assert {each.name for each in now.others} - less == set(drawn["dominated"].keys if "dominated" in drawn else ())


def test_the_front_is_drawn_as_it_is(report: Document, stored: Stored) -> None:
    """Members and field are all there, in base units; shared weights have a mark of their own; limits are rules."""
    now, drawn = stored.front(), series(report, "front")
    shared = [each.name for each in now.members if each.shared]
    assert sorted(shared) == sorted(drawn["front, shared weights"].keys)
    assert sorted(each.name for each in now.members if not each.shared) == sorted(drawn["front"].keys)
    assert sorted(each.name for each in now.others) == sorted(drawn["dominated"].keys)
    assert ("diamond", "square", "circle") == tuple(
        drawn[name].mark for name in ("front", "front, shared weights", "dominated")
    )
    place = {each.name: stored.restored(each.values) for each in now.members}
    assert [place[name] for name in drawn["front"].keys] == [
        [y, x] for x, y in zip(drawn["front"].x, drawn["front"].y, strict=True)
    ]
    edge = drawn["edge of the front"]
    assert (True, True, len(now.members)) == (edge.line, edge.stepped, len(edge.x))
    assert list(edge.x) == sorted(x for x in edge.x if x is not None)
    rules = [(rule.at, rule.upright) for rule in scatter(report, "front").rules]
    assert [(5e-4, True)] == rules
    assert (True, "seconds") == (scatter(report, "front").x.log, scatter(report, "front").x.form)
    assert (False, "share") == (scatter(report, "front").y.log, scatter(report, "front").y.form)


def test_intervals_are_spans_of_confirmed_members(report: Document, stored: Stored) -> None:
    """A member that was not confirmed has none."""
    sure = {each.name for each in stored.front().members if each.standing}
    one = series(report, "front")["front"]
    assert sure
    assert sure == {name for name, span in zip(one.keys, one.spans, strict=True) if span}
    assert all(span is None or span[0] <= y <= span[1] for span, y in zip(one.spans, one.y, strict=True) if y)


def test_the_table_of_the_front_has_each_member_with_its_yaml(report: Document, stored: Stored) -> None:
    """Values are in base units, and what is copied is what `study front --yaml` writes."""
    shown, known = table(report, "front-table"), front_of(stored, stored.front())["members"]
    assert [each["trial"] for each in known] == [row.key for row in shown.rows]
    assert [each["yaml"] for each in known] == [row.copy for row in shown.rows]
    heads = [head.name for head in shown.heads]
    for each, row in zip(known, shown.rows, strict=True):
        cells = dict(zip(heads, row.cells, strict=True))
        values = [cells[name].value for name in ("error", "latency", "test", "probability", "seeds", "params", "MACs")]
        keys = ("error", "latency_s", "test", "probability", "seeds", "params", "macs")
        assert [each[key] for key in keys] == values
        assert each["shared_weights"] == ("shared weights" in cells["marks"].text)
    assert 1 == sum("knee" in row.cells[-1].text for row in shown.rows)


def test_the_hypervolume_ends_at_the_fronts(report: Document, stored: Stored) -> None:
    """It only grows, and what each trial adds sums up to what all dominate together."""
    (one,) = scatter(report, "hypervolume").series
    volumes = [y for y in one.y if y is not None]
    assert sorted(volumes) == volumes
    assert stored.front().hypervolume == pytest.approx(volumes[-1])


@pytest.mark.parametrize(
    "names", [("error", "params"), ("error", "params", "macs"), ("error", "params", "macs", "bpc")]
)
def test_the_hypervolume_is_that_of_any_number_of_objectives(names: tuple[str, ...]) -> None:
    """Added one by one it is what counting all at once gives."""
    kept = made(None, Wanted(trials=40, objectives=tuple((name, None) for name in names)))
    (one,) = scatter(study(kept), "hypervolume").series
    assert kept.reference is not None
    points = [each.values for each in kept.candidates()]
    assert pareto.hypervolume(points, kept.reference) == pytest.approx(one.y[-1])


def test_reasons_that_are_alike_are_one(report: Document) -> None:
    """With a number of trials and the first of them; trials without a reason are a state alone."""
    cells = [[cell.text for cell in row.cells] for row in table(report, "states").rows]
    reasons = {each[2]: each for each in cells}
    assert ["failed", "6"] == reasons["limits: params 30,007; allowed: 30,000"][:2]
    assert 1 == sum(reason.startswith("limits: params") for reason in reasons)
    assert 60 == sum(row.cells[1].value or 0 for row in table(report, "states").rows)


def test_what_a_killed_run_left_is_interrupted(stored: Stored) -> None:
    """In the table of states and in that of trials; while a process runs the study, or may do so, it runs."""
    for runs, state in ((False, "interrupted"), (True, "running"), (None, "running")):
        report = study(stored, "", runs)
        for name, column in (("states", 0), ("trials", 1)):
            states = {row.cells[column].text for row in table(report, name).rows}
            assert states & {"interrupted", "running"} == {state}


def test_what_pruning_saved_is_an_estimate_that_can_be_redone(stored: Stored) -> None:
    """Epochs after the last rung, at the mean seconds of an epoch of complete trials."""
    words = saved(found(stored))
    pruned = [each for each in stored.trials() if each.state == "pruned"]
    epochs = sum(9 - max(each.rungs) for each in pruned)
    assert f"gave up {len(pruned)} trials early and saved {epochs} epochs of {9 * len(pruned)}" in words
    assert "an estimate" in words
    assert "No trial was pruned" in saved(found(made(None, Wanted(trials=12, only="complete"))))


def test_columns_that_were_given_up_are_counted(stored: Stored) -> None:
    """The best of them was ranked, and an earlier version's trials, which kept none, are not said to be."""
    whole = found(stored)
    assert "had columns" not in saved(whole)
    pruned = [each.number for each in whole.trials if each.state == "pruned"]
    first = [replace(each, columns={1: ((0.5, 1.0),)}) if each.number == pruned[0] else each for each in whole.trials]
    assert saved(replace(whole, trials=tuple(first))) == (
        f"{saved(whole)} Of those given up, 1 had columns: the best of them was not good enough."
    )


def test_what_cannot_be_judged_is_said_in_words() -> None:
    """Without bars, the table stands alone."""
    shown = study(made(None, Wanted(trials=6, only="complete")))
    assert [] == [block for block in blocks(shown) if isinstance(block, Chart) and block.key == "importance"]
    assert {"cannot tell"} == {row.cells[1].text for row in table(shown, "importance-table").rows}


def test_importance_is_drawn_for_each_objective(report: Document) -> None:
    """Bars and table hold the same numbers."""
    drawn = chart(report, "importance").drawn
    assert isinstance(drawn, Bars)
    assert ["error", "latency"] == [bar.name for bar in drawn.bars]
    shown = {
        row.cells[0].text: [cell.value for cell in row.cells[1:3]] for row in table(report, "importance-table").rows
    }
    for place, label in enumerate(drawn.labels):
        assert shown[label] == [bar.values[place] for bar in drawn.bars]


def test_parallel_coordinates_are_lines_between_zero_and_one(report: Document, stored: Stored) -> None:
    """A series for the front and one for all others, a gap between networks, and every axis named at its place."""
    drawn = scatter(report, "parallel")
    assert ["others", "front"] == [one.name for one in drawn.series]
    axes = len(drawn.x.ticks)
    for one in drawn.series:
        assert all(y is None or 0 <= y <= 1 for y in one.y)
        assert {None} == set(one.x[axes :: axes + 1])
        assert {None} == set(one.y[axes :: axes + 1])
    members = {name for name in series(report, "parallel")["front"].keys if name}
    assert {each.name for each in stored.front().members} == members
    assert [name for _, name in drawn.x.ticks] == [row.cells[0].text for row in table(report, "parallel-axes").rows]
    assert any("(axis: 1 to 3)" in text for text in series(report, "parallel")["front"].texts)


def test_macs_and_latency_have_their_rank_correlation(report: Document, stored: Stored) -> None:
    """All networks that were measured are in it, pruned ones too; the front's are a series of their own."""
    drawn = series(report, "macs-latency")
    assert {each.name for each in stored.front().members} == set(drawn["front"].keys)
    pruned = {str(each.number) for each in stored.trials() if each.state == "pruned"}
    assert pruned
    assert pruned <= set(drawn["others"].keys)
    assert "rank correlation" in str(next(each for each in report.sections if each.key == "latency").blocks[1])
    several = study(made(None, Wanted(trials=20, objectives=(("error", None), ("latency", 0), ("latency", 1)))))
    assert {"macs-latency", "macs-latency-1"} <= {block.key for block in blocks(several) if isinstance(block, Chart)}
    none = study(made(None, Wanted(trials=20, objectives=(("error", None), ("params", None)))))
    assert "No latency was measured." in str(next(each for each in none.sections if each.key == "latency"))


def test_trials_are_listed_with_the_front_first(report: Document, stored: Stored) -> None:
    """Every trial and column is a row, folded away."""
    shown, now = table(report, "trials"), stored.front()
    assert not shown.open
    assert [each.name for each in now.members] == [row.key for row in shown.rows[: len(now.members)]]
    assert len(rows(stored.trials(), now, stored.objectives)) == len(shown.rows) + shown.left_out


def test_long_studies_leave_out_what_they_count(monkeypatch: pytest.MonkeyPatch, stored: Stored) -> None:
    """Rows, field and lines are bounded, and what is left out is said; the data are whole."""
    from archcost.report.study import front, latency, parallel, trials

    now = stored.front()
    monkeypatch.setattr(front, "MOST_DRAWN", 10)
    monkeypatch.setattr(latency, "MOST_DRAWN", 10)
    monkeypatch.setattr(parallel, "MOST_LINES", 20)
    monkeypatch.setattr(trials, "MOST_ROWS", 20)
    short = study(stored)
    assert (10, len(now.others) - 10) == (len(series(short, "front")["dominated"].x), chart(short, "front").left_out)
    assert chart(short, "macs-latency").left_out > 0
    assert 20 == len({key for one in scatter(short, "parallel").series for key in one.keys if key})
    listed = short.data["trials"]
    assert isinstance(listed, list)
    assert (20, len(listed) - 20) == (len(table(short, "trials").rows), table(short, "trials").left_out)


def test_the_data_are_those_of_the_commands(report: Document, stored: Stored) -> None:
    """What `study status`, `study front` and `study export` print, as strict JSON; its rows are the CSV."""
    now = stored.front()
    read = json.loads(json.dumps(report.data, allow_nan=False))
    assert ["archcost", "schema", "study", "front", "trials"] == list(read)
    assert read["study"] == json.loads(json.dumps(status_of(stored, now)))
    assert read["front"] == json.loads(json.dumps(front_of(stored, now)))
    assert read["trials"] == json.loads(json.dumps(rows(stored.trials(), now, stored.objectives)))
    assert ("", "trials") == (report.csv, report.rows)


def test_hostile_texts_pass_through_untouched() -> None:
    """Names, parameters, values, reasons and devices are as they came: whoever shows them escapes them."""
    report = study(made(None, Wanted(hostile=True)))
    assert HOSTILE == report.title
    assert HOSTILE == dict(report.head)["study"]
    assert HOSTILE in dict(report.head)["device"]
    drawn = chart(report, "importance").drawn
    assert isinstance(drawn, Bars)
    assert f"0.{HOSTILE}" in drawn.labels
    assert any(HOSTILE in row.cells[-1].text for row in table(report, "trials").rows)
    assert any(HOSTILE in row.cells[2].text for row in table(report, "states").rows)
    assert HOSTILE in scatter(report, "front").x.title


def test_the_same_storage_gives_the_same_report(tmp_path: Path) -> None:
    """Read from a file twice, and equal to what was put into it but for the storage's name."""
    kept = made(tmp_path / "a.db", Wanted(trials=15))
    assert study(find(kept.address)) == study(find(kept.address))
    again = study(replace(made(None, Wanted(trials=15)), address=kept.address))
    assert again.sections == study(find(kept.address)).sections


@pytest.mark.parametrize(
    "objectives",
    [
        (("error", None),),
        (("perplexity", None), ("memory", None)),
        (("bpc", None), ("macs", None), ("latency", 0)),
        (("error", None), ("latency", 0), ("latency", 1), ("params", None)),
    ],
)
def test_any_objectives_make_a_report(objectives: tuple[tuple[str, int | None], ...]) -> None:
    """One to four, of every quantity; of more than two, the front is no staircase; of one, params are its cost."""
    report = study(made(None, Wanted(trials=30, objectives=objectives)))
    drawn = scatter(report, "front")
    assert quantity_of(objectives[0][0]).log == drawn.y.log
    assert (2 == len(objectives)) == any(one.stepped for one in drawn.series)
    assert drawn.x.log
    heads = [head.name for head in table(report, "front-table").heads]
    assert sorted(set(heads)) == sorted(heads)


@pytest.mark.parametrize("state", ["pruned", "failed", "limits", "running"])
def test_a_study_without_a_complete_trial_has_no_report(state: str) -> None:
    """Said in one message, with what says more."""
    with pytest.raises(InputError, match="has no complete trial yet: nothing to report; 'archcost study status' says"):
        study(made(None, Wanted(trials=4, only=state)))


def test_a_study_that_says_little_of_itself_has_a_report(stored: Stored) -> None:
    """Without limits, fit or search in what it keeps, the sentences about them are left out."""
    attributes = {**stored.study.user_attrs, "archcost:about": {}}
    bare = found(replace(stored, study=Held(tuple(stored.study.get_trials(deepcopy=False)), attributes)))
    from archcost.report.study.method import method_section
    from archcost.report.study.verdict import verdict_section

    assert "sets no limits" in str(verdict_section(bare))
    assert "Networks were trained for" not in str(method_section(bare))
    assert "No trial was pruned" in saved(bare) or "not known" in saved(bare)


def test_a_report_is_gathered_without_torch_plotly_or_pandas() -> None:
    """Reading a study is light."""
    script = "import sys, archcost.report.study.document as _; print({'torch', 'plotly', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "set()" == done.stdout.strip()


def test_the_report_begins_with_the_choice(stored: Stored, report: Document) -> None:
    """The sentence that `archcost choose` prints, within the study's own limits, and one for every other budget."""
    first = report.sections[0].blocks[0]
    assert isinstance(first, Slider)
    begin = first.steps[first.begin]
    chosen = advise(Field(stored, stored.front()), stored.limits)
    assert (begin.answer, begin.key, "at most 500 us") == (chosen.why[0], chosen.take, begin.label)
    assert begin.lines[: len(chosen.why) - 1] == chosen.why[1:]
    assert f"Doubt: {chosen.doubts[0]}" in begin.lines
    assert (chosen.export, False) == (begin.command, begin.command in begin.lines)  # it is typed, not read
    assert len(first.steps) > 15
    assert (True, "") == (first.steps[0].answer.startswith("No network keeps "), first.steps[0].command)
    assert first.steps[-1].label == "no limit"


def test_a_budget_slides_over_what_is_not_learnt() -> None:
    """Over counts, if no latency is measured; over parameters, if nothing else is an objective."""
    for objectives, name in (((("error", None), ("macs", None)), "macs"), ((("error", None),), "params")):
        first = study(made(None, Wanted(trials=20, objectives=objectives))).sections[0].blocks[0]
        assert isinstance(first, Slider)
        assert (first.label, first.begin) == (f"Budget: {name}", len(first.steps) - 1)


def test_two_seeds_are_shown_as_what_they_gave() -> None:
    """Not as an interval, which of two seeds says nothing: in the table, and in the chart's bars."""
    held = made(None, Wanted(trials=20, confirmed=1))
    name = held.front().members[0].name
    found_in = confirmed.confirmed(held.study, name)
    assert found_in is not None
    two = [replace(found_in.scores[0], error=error) for error in (0.1, 0.2)]
    confirmed.keep(held.study, name, replace(found_in, seeds=(1, 2), scores=tuple(two), tests=tuple(two)))
    report = study(held)
    cells = [cell.text for block in blocks(report) if isinstance(block, Table) for row in block.rows if row.key == name
             for cell in row.cells]  # fmt: skip
    assert "15.0% (2 seeds: 10.0%, 20.0%)" in cells
    assert not any("0.0% to 100.0%" in text for text in cells)
    spans = [span for each in series(report, "front").values() for span in each.spans if span]
    assert (0.1, 0.2) in spans or name in [each.name for each in held.front().left]


def test_metadata_is_last(report: Document) -> None:
    """Where a study's report comes from is behind all that it says."""
    text = page(report)
    assert text.index('<h2 id="method">') < text.index("<dt>storage</dt>") < text.index("<footer>")
