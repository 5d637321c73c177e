"""Ways to run: each trained network has a point for each, with the score, bytes and samples that it has there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fronts import taken
from plans import drawn, planned, specified

from archcost.errors import InputError
from archcost.graph.cost import count
from archcost.graph.weight_sizes import saved_bytes
from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.spec import Findings, FloatLayer
from archcost.profiling.budget import Budget
from archcost.study import jobs
from archcost.study.parts import counted, parts
from archcost.study.phases import points
from archcost.study.phases.limits import exceeded
from archcost.study.phases.points import quantised
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, tables, trials
from archcost.study.records.best.due import following
from archcost.study.records.confirmed import Again, Confirmed
from archcost.study.records.front import Front, by_way, candidates, front
from archcost.study.records.names import Way, names_of
from archcost.study.records.part import InWay, Part, achieved
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Ended
from archcost.study.workers.in_8_bits.quantisation import able, decided
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.study.workers.messages import Measured, Quantised, decode_event, encode
from archcost.training.score import Score

ORT, INT8 = {"runtime": "onnxruntime"}, {"runtime": "onnxruntime", "dtype": "int8"}
LATENCY = {"latency": "min", "target": "fake", "threads": 1}
OBJECTIVES = (("error", None), ("latency", 0))
WAYS = (Way(0, None, (0,), "onnxruntime"), Way(1, "int8", (1,), "onnxruntime", "int8"))
FOLDER = Path("folder")
LOST = Reason("target", "target: int8: nothing to quantise")


def score(error: float) -> Score:
    """Return a score of 100 examples."""
    return Score(0.1, 100, error)


def part(digest: str, error: float, eight: float | None, *times_s: float, reason: Reason | None = None) -> Part:
    """Return a network with its error in float32 and in 8 bits, and what a call takes in both ways."""
    ways = (InWay(10, 8), InWay(4, 2, None if eight is None else score(eight), reason))
    return Part(0, digest, 6274, 10, 10, score(error), tuple(map(taken, times_s)), 8, ways)


def told(*every: Part) -> optuna.Study:
    """Return a study with a complete trial of each network."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for each in every:
        trials.end(study, study.ask(), Ended((each,)), achieved(each.in_way(WAYS[0]), OBJECTIVES))
    return study


def fronted(study: optuna.Study, limits: Budget | None = None) -> Front:
    """Return the front of a study."""
    return front(candidates(study, trials.read(study, {}), OBJECTIVES, WAYS, limits), None)


def plan_of(*ways: dict[str, str], **more: Any) -> StudyPlan:
    """Return the plan of a study that names these ways."""
    return planned(objectives=[{"error": "min"}, {**LATENCY, "ways": list(ways)}], **more)


@pytest.mark.parametrize(
    ("ways", "names"),
    [
        ([("onnxruntime", "float32"), ("onnxruntime", "int8")], (None, "int8")),
        ([("eager", "float32"), ("onnxruntime", "float32"), ("onnxruntime", "int8")], (None, "onnxruntime", "int8")),
        ([("eager", "float32"), ("onnxruntime", "int8"), ("openvino", "int8")], (None, "onnxruntime", "openvino")),
        (
            [("eager", "bfloat16"), ("compile", "bfloat16"), ("eager", "float32"), ("compile", "float32")],
            (None, "compile-bfloat16", "eager-float32", "compile-float32"),
        ),
        ([("onnxruntime", "int8")], (None,)),
    ],
)
def test_a_way_is_named_by_what_tells_it_apart(ways: list[tuple[str, str]], names: tuple[str | None, ...]) -> None:
    """By its dtype, else by its runtime, else by both; the first has no name, and no name is given twice."""
    assert (names, len(ways)) == (names_of(ways), len({*names}))


@pytest.mark.parametrize(
    ("keys", "path", "begin"),
    [
        ({"ways": [{"dtype": "int8"}]}, ("ways", 0, "dtype"), "given int8 for the runtime 'eager'"),
        ({"ways": [ORT, {"runtime": "abacus"}]}, ("ways", 1, "runtime"), "unknown runtime 'abacus'"),
        ({"ways": [ORT, INT8, ORT]}, ("ways", 2), "the way onnxruntime float32 is given twice"),
        ({"ways": [ORT], "runtime": "eager"}, ("runtime",), "'ways' says it of each way"),
        ({"ways": [ORT], "dtype": "float32"}, ("dtype",), "'ways' says it of each way"),
        ({"ways": []}, ("ways",), "given a list of 0"),
    ],
)
def test_ways_that_are_none_are_refused_at_their_key(keys: dict[str, Any], path: tuple[Any, ...], begin: str) -> None:
    """Each with its file, line and column."""
    with pytest.raises(InputError) as refused:
        planned(objectives=[{"error": "min"}, {**LATENCY, **keys}])
    (mistake,) = refused.value.mistakes
    assert (("objectives", 1, *path), True) == (mistake.path, mistake.message.startswith(begin))
    assert mistake.place is not None


def test_objectives_name_the_same_ways() -> None:
    """In one order; an objective without ways is measured in its own, and holds for all points."""
    with pytest.raises(InputError, match="not the ways of the objective before"):
        specified(
            objectives=[{"error": "min"}, {**LATENCY, "ways": [ORT, INT8]}, {**LATENCY, "batch": 8, "ways": [ORT]}]
        )
    plan = planned(objectives=[{**LATENCY, "batch": 2}, {"error": "min"}, {**LATENCY, "ways": [ORT, INT8]}])
    assert ["eager", "onnxruntime", "onnxruntime"] == [each.runtime for each in plan.setups]
    assert [(0, 1), (0, 2)] == [each.places for each in plan.ways]
    assert ((("latency", 0), ("error", None), ("latency", 1)), (2,)) == (plan.objectives, plan.optional)


def test_a_study_without_ways_keeps_what_it_kept_before() -> None:
    """One way without a name, nothing of it with a network, nothing of it in what may not change."""
    plan = planned()
    assert ((None,), False) == (tuple(each.name for each in plan.ways), plan.names_ways)
    assert [()] == [each.ways for each in parts(plan, drawn(plan))]
    assert (None, (), "ways" in str(plan.fixed)) == (
        jobs.train(plan, drawn(plan), FOLDER, 1).quantise,
        plan.optional,
        False,
    )


def test_bytes_are_those_of_each_way() -> None:
    """In 8 bits the weights of products take a quarter; MACs and parameters are the same."""
    plan = plan_of(ORT, INT8)
    model = drawn(plan)
    whole, saved = count(model.graph).weights_bytes(4), saved_bytes(model.graph)
    (found,) = parts(plan, model)
    assert [whole, whole - saved] == [each.weights_bytes for each in found.ways]
    assert found.ways[0].memory_bytes - saved == found.ways[1].memory_bytes
    assert whole - saved == found.in_way(plan.ways[1]).weights_bytes


def test_a_count_is_over_its_limit_if_it_is_in_every_way() -> None:
    """Weights that only fit in 8 bits are no reason to refuse a network."""
    plan = plan_of(ORT, INT8)
    sizes = [weights for _, weights in counted(plan, drawn(plan)).sizes]
    between, below = sum(sizes) // 2, sizes[1] - 1
    for limit, names in ((between, []), (below, ["weights"])):
        limited = plan_of(ORT, INT8, limits={"weights": f"{limit}B"})
        assert names == [each.name for each in exceeded(limited, counted(limited, drawn(limited)))]


def test_a_network_has_a_point_for_each_way() -> None:
    """With the error of that way: at equal error the faster one is on the front, at less error both are."""
    now = fronted(told(part("a", 0.1, 0.1, 0.5, 0.1), part("b", 0.05, 0.08, 0.4, 0.2)))
    assert ["1", "1@int8", "0@int8"] == [each.name for each in now.members]
    assert ["0"] == [each.name for each in now.others]
    assert [None, "int8", "int8"] == [each.way.name for each in now.members]


def test_a_point_that_is_not_there_is_told() -> None:
    """The network has its other points; the reason is in its row, and the state is the trial's."""
    study = told(part("a", 0.1, None, 0.5, 0.1, reason=LOST))
    every = trials.read(study, {})
    now = fronted(study)
    assert ["0"] == [each.name for each in (*now.members, *now.others)]
    rows = tables.rows(every, now, OBJECTIVES, WAYS)
    assert [("0", None, "", True), ("0@int8", "int8", LOST.text, False)] == [
        (row["trial"], row["way"], row["reason"], row["on_front"]) for row in rows
    ]


def test_a_point_over_a_limit_drops() -> None:
    """By the latency and the bytes of its way; a study that names no ways judges its trials as they run."""
    study = told(part("a", 0.1, 0.2, 0.5, 0.1))
    for limits, names in (
        (Budget(latency_s=0.3), ["0@int8"]),
        (Budget(weights_bytes=4), ["0@int8"]),
        (Budget(latency_s=1.0), ["0", "0@int8"]),
        (Budget(latency_s=0.01), []),
    ):
        now = fronted(study, limits)
        assert names == sorted(each.name for each in (*now.members, *now.others))
    alone = candidates(study, trials.read(study, {}), OBJECTIVES, (), Budget(latency_s=0.01))
    assert ["0"] == [each.name for each in alone]


def test_a_trial_ends_if_no_way_keeps_its_limits() -> None:
    """One that is not measured yet may; one in which the network does not run does not."""
    plan = plan_of(ORT, INT8, limits={"latency": "300 ms"})
    (bare,) = parts(plan, drawn(plan))
    slow = points.measured(plan, [bare], Measured(0, (taken(0.5),)))
    assert None is points.lost(plan, slow)
    for second, ends in ((Measured(1, (taken(0.1),)), False), (Measured(1, (taken(0.4),)), True),
                         (Measured(1, (), LOST), True)):  # fmt: skip
        why = points.lost(plan, points.measured(plan, slow, second))
        assert ends is (why is not None)
        assert why is None or "limit" == why.kind


def test_what_cannot_be_measured_leaves_a_gap() -> None:
    """The samples of setups after it keep their places."""
    plan = planned(objectives=[{"error": "min"}, {**LATENCY, "ways": [ORT, INT8]},
                               {**LATENCY, "batch": 8, "ways": [ORT, INT8]}])  # fmt: skip
    found = parts(plan, drawn(plan))
    for event in (Measured(0, (taken(0.5),)), Measured(1, (), LOST), Measured(2, (taken(0.2),)),
                  Measured(3, (taken(0.1),))):  # fmt: skip
        found = points.measured(plan, found, event)
    assert ([0, 2, 3], (1,)) == ([*found[0].measured], found[0].skipped)
    assert ((), LOST) == (found[0].in_way(plan.ways[1]).samples, found[0].missing(plan.ways[1]))
    assert (taken(0.5), taken(0.2)) == found[0].in_way(plan.ways[0]).samples


def test_the_sampler_hears_the_first_way() -> None:
    """Of 8 bits if that is the first; at a rung, where nothing is quantised yet, the score of the network."""
    plan = plan_of(INT8, ORT)
    (bare,) = parts(plan, drawn(plan))
    found = replace(bare, score=score(0.1), samples=(taken(0.5), taken(0.2)))
    assert [0.1, 0.1] == [values[0] for values in points.at_rung(plan, [found])]
    assert "nan" == str(points.first(plan, [found])[0])
    (quantised,) = points.quantised([found], Quantised(0, 0, "validation", score(0.2)))
    assert 0.2 == points.first(plan, [quantised])[0]


def test_seeds_are_confirmed_in_every_way() -> None:
    """With the scores of each way, in the order of the seeds, whichever ended first; a seed may lack one."""
    eight = {1: Again((score(0.3),), (score(0.4),))}
    lost = {1: Again((None,), (None,), LOST)}
    found = Confirmed().repeated(3, score(0.1), score(0.2), eight).repeated(1, score(0.2), score(0.3), lost)
    found = found.repeated(2, score(0.5), score(0.5), {1: Again((score(0.6),), (score(0.7),))})
    assert ((1, 2, 3), 3) == (found.in_way(WAYS[0]).seeds, len(found.in_way(WAYS[0]).tests))
    here = found.in_way(WAYS[1])
    assert ((2, 3), (0.6, 0.3), (0.7, 0.4)) == (
        here.seeds, tuple(each.error for each in here.scores), tuple(each.error for each in here.tests),
    )  # fmt: skip
    assert LOST == here.reason


def test_what_was_confirmed_comes_back_from_the_storage() -> None:
    """Ways and gaps too."""
    study = optuna.create_study()
    found = Confirmed().repeated(1, score(0.1), score(0.2), {1: Again((score(0.3),), (score(0.4),))})
    found = found.measured(0, taken(0.1)).measured(1, None).measured(2, taken(0.2))
    confirmed.keep(study, "0", found)
    assert (found, (1,), 2) == (confirmed.confirmed(study, "0"), found.skipped, len(found.samples))
    assert found.measured(2, taken(0.3)).samples == (taken(0.1), taken(0.3))


def test_a_network_is_confirmed_once_for_all_its_ways() -> None:
    """It counts as one of the members that may be."""
    now = fronted(told(part("a", 0.1, 0.2, 0.5, 0.1), part("b", 0.05, 0.3, 0.6, 0.05)))
    assert ["1", "0", "0@int8", "1@int8"] == [each.name for each in now.members]
    assert (None, None) == (following(now, ["0", "1"], 8), following(now, ["1"], 1))
    other = following(now, ["1"], 2)
    assert other is not None
    assert "0" == other.network


def test_seeds_are_quantised_where_their_trial_was() -> None:
    """Every seed of a network has the job of the study's ways of 8 bits, calibrated with the study's seed."""
    plan = plan_of(ORT, INT8, search={"seed": 7})
    job = jobs.confirm(plan, drawn(plan), FOLDER, 2, 1)
    assert (Quantise(((1, "onnxruntime"),), 7), (), ()) == (job.quantise, job.ways, job.optional)


def test_what_a_way_does_to_the_front() -> None:
    """Alone it is the front of its own points; together they are at least as much."""
    study = told(part("a", 0.1, 0.2, 0.5, 0.1), part("b", 0.05, 0.3, 0.6, 0.05))
    found = candidates(study, trials.read(study, {}), OBJECTIVES, WAYS)
    reference = [1.0, 1.0]
    each = by_way(found, WAYS, reference)
    volumes = [alone.hypervolume or 0.0 for _, alone in each]
    whole = front(found, reference).hypervolume or 0.0
    assert [["1", "0"], ["0@int8", "1@int8"]] == [[one.name for one in alone.members] for _, alone in each]
    assert max(volumes) <= whole <= sum(volumes)


def test_samples_of_a_graph_are_shared_in_each_way() -> None:
    """Two networks of one graph have one latency in a way, of the one that took more samples."""
    more: tuple[Samples, ...] = (taken(0.5, 9), taken(0.1, 4))
    study = told(replace(part("a", 0.1, 0.2), samples=more), part("a", 0.3, 0.05, 0.6, 0.2))
    found = {each.name: each.part.samples for each in candidates(study, trials.read(study, {}), OBJECTIVES, WAYS)}
    assert {"0": (taken(0.5, 9),), "1": (taken(0.5, 9),), "0@int8": (taken(0.2),), "1@int8": (taken(0.2),)} == found


def test_a_way_that_failed_is_known_after_an_interruption() -> None:
    """The checkpoint of a training holds why, so that it is not tried again."""
    plan = plan_of(ORT, INT8)
    job = jobs.train(plan, drawn(plan), FOLDER, 1)
    events = [Measured(0, (taken(0.5),)), Measured(1, (), LOST)]
    assert events == [decode_event(encode(each)) for each in events]
    assert Quantise((), 0) == able(job, Quantise(((1, "onnxruntime"),), 0), events)
    assert Quantise(((1, "onnxruntime"),), 0) == able(job, Quantise(((1, "onnxruntime"),), 0), events[:1])


def test_layers_in_float32_stay_as_they_were_first_measured() -> None:
    """Of the whole network and of each column: what is scored is then the file that was measured."""
    plan = plan_of(ORT, INT8)
    job = jobs.train(plan, drawn(plan), FOLDER, 1)
    slow = Findings((FloatLayer("stem.conv", "slower", 2e-3, 1e-3),), given=("head.fc",))
    events = [Measured(0, (taken(0.5), taken(0.4))), Measured(1, (replace(taken(0.1), findings=slow), taken(0.2)))]
    assert events == [decode_event(encode(each)) for each in events]
    assert (("head.fc", "stem.conv"), ()) == decided(job, events, job.ways[1])
    assert () == decided(job, events, job.ways[0])
    how = able(job, Quantise(((1, "onnxruntime"),), 0), events)
    assert [{"head.fc", "stem.conv"}, set(), set()] == [how.float_layers(1, place) for place in range(3)]
    assert frozenset() == how.float_layers(0, 0)


def test_what_is_in_float32_is_kept_with_the_score() -> None:
    """With the bytes that its weights take more, by which limits are judged."""
    found = part("a", 0.1, 0.2)
    event = Quantised(1, 0, "validation", score(0.3), None, ("stem.conv",), 300)
    (after,) = quantised([found], event)
    before, now = found.ways[1], after.ways[1]
    assert (("stem.conv",), before.weights_bytes + 300) == (now.float_layers, now.weights_bytes)
    assert before.memory_bytes + 300 == now.memory_bytes
    assert found.ways[0] == after.ways[0]


def test_what_is_measured_again_is_replaced() -> None:
    """As its file has other layers in float32; setups after it keep their places, and one that fails leaves a gap."""
    plan = planned(objectives=[{"error": "min"}, {**LATENCY, "ways": [ORT, INT8]},
                               {**LATENCY, "batch": 8, "ways": [ORT, INT8]}])  # fmt: skip
    found = parts(plan, drawn(plan))
    for place, time_s in enumerate((0.5, 0.1, 0.6, 0.2)):
        found = points.measured(plan, found, Measured(place, (taken(time_s),)))
    (after,) = points.measured(plan, found, Measured(1, (taken(0.3),)))
    assert (tuple(map(taken, (0.5, 0.3, 0.6, 0.2))), ()) == (after.samples, after.skipped)
    (after,) = points.measured(plan, [after], Measured(1, (), LOST))
    assert (tuple(map(taken, (0.5, 0.6, 0.2))), (1,)) == (after.samples, after.skipped)
    assert (None, LOST) == (after.missing(plan.ways[0]), after.missing(plan.ways[1]))


def test_a_point_drops_that_is_over_a_limit_when_it_is_measured_again() -> None:
    """The trial ends if its network has no other one."""
    plan = plan_of(ORT, INT8, limits={"latency": "300 ms"})
    found = points.measured(plan, parts(plan, drawn(plan)), Measured(0, (taken(0.5),)))
    found = points.measured(plan, found, Measured(1, (taken(0.1),)))
    assert None is points.lost(plan, found)
    why = points.lost(plan, points.measured(plan, found, Measured(1, (taken(0.4),))))
    assert why is not None
    assert "limit" == why.kind


def test_samples_are_those_of_the_file() -> None:
    """Two trainings of one graph share them in float32, and in 8 bits if they have the same layers in float32."""
    left = Findings((), given=("stem.conv",))
    first = replace(part("a", 0.1, 0.2), samples=(taken(0.5, 9), taken(0.1, 9)))
    ways = (InWay(10, 8), InWay(4, 2, score(0.05), float_layers=("stem.conv",)))
    other = replace(part("a", 0.3, 0.05), samples=(taken(0.6), replace(taken(0.2), findings=left)), ways=ways)
    again = replace(part("a", 0.4, 0.05), samples=(taken(0.7), taken(0.3)))
    study = told(first, other, again)
    every = candidates(study, trials.read(study, {}), OBJECTIVES, WAYS)
    found = {each.name: each.part.samples for each in every}
    assert {("a", ((), ())), ("a", ((), ("stem.conv",)))} == {each.file for each in every}  # measured beside each other
    assert {(taken(0.5, 9),)} == {found["0"], found["1"], found["2"]}
    assert (taken(0.1, 9),) == found["0@int8"] == found["2@int8"]
    assert other.samples[1:] == found["1@int8"]


def test_why_layers_are_in_float32_is_kept_and_said() -> None:
    """For its time or for its accuracy, with what it is with and without; of an earlier storage it is not known."""
    why = (FloatLayer("stem.conv", "slower", 2e-3, 1e-3), FloatLayer("head", "accuracy", 0.09, 0.0625))
    event = Quantised(1, 0, "validation", score(0.3), None, ("head", "old", "stem.conv"), 300, why)
    (after,) = quantised([part("a", 0.1, 0.2, 0.5, 0.1)], event)
    study = told(after)
    found = {each.name: each for each in candidates(study, trials.read(study, {}), OBJECTIVES, WAYS)}
    assert ((), ()) == (found["0"].why_float32, found["0"].float_words)
    assert why == found["0@int8"].why_float32
    assert (
        "'stem.conv': the network takes 1.00 ms so, 2.00 ms with it in 8 bits",
        "'head': the error is 6.2% so, 9.0% with it in 8 bits",
        "'old': why is not known",
    ) == found["0@int8"].float_words
    assert [("head", 0.09), ("old", None), ("stem.conv", 2e-3)] == [
        (each["name"], each["before"]) for each in tables.reasons_of(found["0@int8"])
    ]
    rows = tables.rows(trials.read(study, {}), fronted(study), OBJECTIVES, WAYS)
    assert [None, ["head", "old", "stem.conv"]] == [row["float_layers"] for row in rows]
