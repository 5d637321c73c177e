"""Known networks as points of a study: found by what they are, refused with the key that keeps them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets_small import text
from earlier_studies import PLAIN, beside, dataset, ran, width
from hypothesis import given
from hypothesis import strategies as st
from plans import FRACTAL, planned
from specs import laws

from archcost.config import document
from archcost.errors import InputError
from archcost.models.load import Reference
from archcost.search import templates
from archcost.study import run
from archcost.study.plan import StudyPlan
from archcost.study.records.stored import running
from archcost.study.warm_start import queue
from archcost.study.warm_start.networks import Placed, placed

RICH = [
    {**FRACTAL, "columns": {"int": [1, 3]}, "widths": {"scale": [4, 8], "by": {"choice": [1, 2]}}},
    {
        "family": "bottleneck",
        "depths": {"repeat": {"int": [1, 2]}, "times": {"int": [1, 2]}},
        "widths": {"repeat": {"choice": [8, 16]}, "times": 2, "each": True},
        "reduction": {"choice": [2, 4, [2, 4]]},
        "stem": {"choice": [{"channels": 8}, {"kernel": 5, "pool": "max"}]},
        "strides": {"choice": [[1, 2], [1, 1]]},
        "order": {"choice": ["post", "pre"]},
        "dropout": {"float": [0, 0.5]},
    },
    {"family": "hornn", "hidden": {"int": [4, 8]}, "order": 2, "alpha": {"float": [0.1, 0.9]}, "pooling": "fofe"},
    {
        "family": "nin",
        "layers": [
            {"kernel": 3, "widths": [{"int": [4, 8]}, 4], "pool": {"choice": ["none", "max"]}},
            {"kernel": 3, "widths": [3]},
        ],
        "window": {"choice": [1, 3]},
    },
    {"family": "rir", "depths": [1, 1], "widths": {"scale": [4, 8], "by": {"float": [1, 3]}}, "head": "linear"},
]


@pytest.fixture(scope="module")
def rich() -> StudyPlan:
    """A study of all families, with every kind of rule."""
    return planned(models=RICH)


def known(plan: StudyPlan, tree: Mapping[str, Any]) -> Placed:
    """Return the point of a network that is written like this."""
    return placed(plan, document.load(json.dumps(tree), "known.yaml"))


def refused(plan: StudyPlan, tree: Mapping[str, Any]) -> list[str]:
    """Return why a network is no point of a study: place and message of each mistake."""
    with pytest.raises(InputError) as caught:
        known(plan, tree)
    assert all(each.place and "known.yaml" == each.place.file for each in caught.value.mistakes)
    return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in caught.value.mistakes]


@given(st.randoms(use_true_random=False))
@laws(60)
def test_every_network_of_a_space_is_found_by_its_yaml(chance: Any) -> None:
    """What a study writes of a trial is the very network again, in a space of all rules and families."""
    plan = planned(models=RICH)
    point = plan.spec.space.sample(chance)
    try:
        model = plan.model(plan.spec.space.tree(point))
    except InputError:
        return  # options that do not go together
    found = placed(plan, document.load(model.yaml, "trial.yaml"))
    assert found.model is not None
    assert plan.identity(model) == plan.identity(found.model)
    assert point.get("model") == found.point["model"]
    assert [name for name in point if point[name] != found.point.get(name) and not name.endswith(".by")] == []


@pytest.mark.parametrize(
    ("changes", "point"),
    [
        ({}, 6),
        ({"name": "mine"}, 6),
        ({"input": [1, 8, 8], "classes": 3}, 6),
        ({"order": "post", "stem": {"channels": 16, "kernel": 3}}, 6),
        ({"strides": [1], "shortcut": "projection"}, 6),
        ({"widths": [12]}, 12),
    ],
)
def test_what_is_left_out_is_its_default(changes: dict[str, Any], point: int) -> None:
    """Also one that follows from other keys, or from the data."""
    tree = {"family": "bottleneck", "block": "basic", "depths": [1], "widths": [6], **changes}
    assert width(point) == known(planned(), tree).point


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"widths": [13]}, ["widths.0: given 13; allowed: an integer from 4 to 12"]),
        ({"widths": [4, 4], "depths": [1, 1]},
         ["depths: given [1, 1]; allowed: [1]", "widths: given [4, 4]; allowed: [an integer from 4 to 12]"]),
        ({"order": "pre"}, ["order: given pre; allowed: post, the default: the template does not have this key"]),
        ({"block": "bottleneck"}, ["block: given bottleneck; allowed: basic"]),
        ({"classes": 4}, ["classes: given 4; allowed: 3, as the data are, or nothing"]),
        ({"depths": None, "widths": [6, 6]}, ["depths: given null; allowed: a list"]),
        ({"input": [3, 8, 8]}, ["input: given [3, 8, 8]; allowed: [1, 8, 8], as the data are, or nothing"]),
        ({"family": "rir", "block": None}, ["block: unknown key 'block'; allowed: "]),
        ({"family": "nets"}, ["family: unknown family 'nets'"]),
        ({"widths": [0]}, ["widths.0: given 0; allowed: at least 1"]),
        ({"family": "module", "factory": "a:b"}, ["block: unknown key 'block'"]),
    ],
)  # fmt: skip
def test_what_is_no_point_is_refused_at_its_key(changes: dict[str, Any], mistakes: list[str]) -> None:
    """With what is allowed there; what is no network, or contradicts the data, as everywhere."""
    tree = {"family": "bottleneck", "block": "basic", "depths": [1], "widths": [6], **changes}
    found = refused(planned(), tree)
    assert [each[: len(start)] for each, start in zip(found, mistakes, strict=False)] == mistakes


def test_another_family_is_refused_with_those_there_are(rich: StudyPlan) -> None:
    """A template of code is one of them."""
    assert ["family: given 'rir'; allowed: 'bottleneck', as the templates are"] == refused(
        planned(), {"family": "rir", "depths": [1], "widths": [4]}
    )
    assert refused(rich, {"family": "module", "factory": "a:b"})[0].startswith("family: given 'module'; allowed: 'frac")


def test_the_nearest_template_is_named() -> None:
    """Of several templates of a family, the one that fewest keys keep it out of."""
    models = [{**PLAIN, "order": "pre", "depths": [2]}, PLAIN]
    tree = {"family": "bottleneck", "block": "basic", "depths": [1], "widths": [13]}
    assert ["widths.0: given 13; allowed: an integer from 4 to 12, as models.1"] == refused(
        planned(models=models), tree
    )


def test_a_text_gives_its_vocabulary() -> None:
    """Input and classes of a recurrent network come from the text."""
    models = [{"family": "hornn", "hidden": {"int": [4, 8]}, "order": 1}]
    plan = planned(text(), models=models, data={"name": "ptb"}, objectives=[{"perplexity": "min"}])
    tree = {"family": "hornn", "hidden": 5, "order": 1, "readout": "every"}
    assert {"0.hidden": 5} == known(plan, tree).point


def test_files_are_read_together(tmp_path: Path) -> None:
    """What is wrong with each of them is told at once."""
    files = [tmp_path / f"{name}.yaml" for name in "ab"]
    for file, channels in zip(files, (13, 14), strict=True):
        file.write_text(json.dumps({"family": "bottleneck", "block": "basic", "depths": [1], "widths": [channels]}))
    with pytest.raises(InputError) as caught:
        queue.read(planned(), map(str, [*files, tmp_path / "c.yaml"]))
    assert 3 == len(caught.value.mistakes)
    assert [str(each) for each in (*files, tmp_path / "c.yaml")] == [
        each.place.file for each in caught.value.mistakes if each.place
    ]


def test_known_networks_wait_once(tmp_path: Path) -> None:
    """A point that waits, runs or has ended is not asked for again; one that failed is, if it is asked for by name."""
    plan, where = planned(models=[PLAIN]), beside(tmp_path)
    ran(plan, where, [width(4)])
    ran(plan, where, [width(5)], "failed")
    with run.begun(plan, where) as stored:
        study = running(stored)
        asked = [queue.enqueue(study, plan, width(channels)) for channels in (4, 5, 6, 6)]
        assert [(0, False), (2, True), (3, True), (3, False)] == [(each.trial, each.new) for each in asked]
        waits = [each for each in stored.trials() if each.state == "waiting"]
        assert [2, 3] == [each.number for each in waits]


def test_a_space_of_one_point_can_be_asked_for(tmp_path: Path) -> None:
    """Its point has no parameters."""
    plan = planned(models=[{**PLAIN, "widths": [4]}])
    with run.begun(plan, beside(tmp_path)) as stored:
        study = running(stored)
        assert [True, False] == [queue.enqueue(study, plan, {}).new for _ in range(2)]


def test_a_study_asks_for_its_start_once(tmp_path: Path) -> None:
    """Files beside the study, each for one trial however often it runs, also where it failed."""
    (tmp_path / "known.yaml").write_text(
        json.dumps({"family": "bottleneck", "block": "basic", "depths": [1], "widths": [6]})
    )
    plan = planned(models=[PLAIN], search={"start": [str(tmp_path / "known.yaml")]})
    where = beside(tmp_path)
    with run.begun(plan, where) as stored:
        assert [1, 0] == [queue.begin(running(stored), plan) for _ in range(2)]
        assert ["waiting"] == [each.state for each in stored.trials()]


@pytest.mark.parametrize("name", ["resnet-21", "no.yaml", "known.yaml/x"])
def test_a_start_that_is_nothing_is_refused_at_its_key(name: str) -> None:
    """Neither a file nor a shipped network."""
    with pytest.raises(
        InputError, match=r"allowed: a model.yaml, from the study's folder, or a shipped network"
    ) as error:
        queue.starts(planned(search={"start": [name]}))
    assert ("search", "start", 0) == error.value.mistakes[0].path


def test_a_shipped_network_may_be_a_start() -> None:
    """By its name: of data that it fits, else it is refused as any other."""
    with pytest.raises(InputError, match="as the data are") as error:
        queue.starts(planned(dataset(), search={"start": ["resnet-20"]}))
    (mistake, *_) = error.value.mistakes
    assert mistake.place is not None
    assert "resnet-20.yaml" == mistake.place.file


CODE = [{"family": "module", "factory": "mynet:Net", "args": {"width": {"float": [0.5, 2]}, "deep": {"int": [1, 3]}}}]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({"width": 1, "deep": 2}, {"0.args.width": 1.0, "0.args.deep": 2}),
        ({"width": 3, "deep": 2}, "args.width: given 3; allowed: a number from 0.5 to 2"),
        ({"width": 1}, "args.deep: missing; allowed: an integer from 1 to 3"),
        ({"width": 1, "deep": 2, "act": "relu"},
         "args.act: given relu; allowed: nothing: the template has no such key"),
    ],
)  # fmt: skip
def test_code_is_placed_by_its_arguments_and_never_run(args: dict[str, Any], found: object) -> None:
    """There is no module of that name: nothing is imported, and an argument that is left out is another network."""
    plan = planned()
    source = document.load(json.dumps({"models": CODE}), "study.yaml")
    plan = replace(plan, spec=replace(plan.spec, source=source, space=templates.space(source)))
    tree = {"family": "module", "factory": "mynet:Net", "args": args, "input": [1, 8, 8]}
    if isinstance(found, str):
        assert [found] == refused(plan, tree)
    else:
        placed_at = known(plan, tree)
        assert found == placed_at.point
        assert isinstance(placed_at.model, Reference)
