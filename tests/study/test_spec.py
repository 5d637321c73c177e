"""study.yaml: read strictly, refused with places if it cannot hold; a drawn template is a plain network."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas import fits
from specs import Tree, bottlenecks, fractals, hornns, laws, nins, rirs

from archcost.cli.schemas import committed
from archcost.config import document
from archcost.config.document import Value
from archcost.config.writer import to_yaml
from archcost.errors import InputError
from archcost.models import load
from archcost.profiling.budget import Limits
from archcost.study.drawn import Gives, materialise
from archcost.study.spec import StudySpec, load_study, read_study

SCHEMA = json.loads(committed("study"))
IMAGE = Gives([1, 8, 8], 10, "image", {"steps": 8, "features": 8})
TEXT = Gives({"steps": 7, "vocab": 20}, 20, "text")
ROWS = Gives({"steps": 8, "features": 8}, 10, "sequence")

FORMAT = """
models:                        # one or more templates; the choice is itself a categorical
  - {family: fractal, columns: {int: [1, 3]}, widths: {scale: [16, 32], by: {choice: [1, 2]}}}
  - {family: bottleneck, depths: {repeat: {int: [1, 3]}, times: 3}, widths: [32, 64, 128]}
data: {name: digits, as: image}
objectives: [{error: min}, {latency: min, target: cpu, runtime: eager, batch: 1, threads: 1, dtype: float32}]
limits: {params: 1M, macs: 50M, latency: 5 ms, memory: 64 MB}
fit: {epochs: 9, batch: 128, optimiser: sgd, lr: 0.1, schedule: one-cycle, precision: float32, rungs: [1, 3, 9]}
search: {sampler: tpe, trials: 40, time: 10m, seed: 0}
confirm: {seeds: 3, members: 8}
storage: study.db
"""
SMALL = {
    "models": [{"family": "fractal", "columns": 1, "widths": [4]}],
    "data": {"name": "digits"},
    "objectives": [{"error": "min"}],
}
HORNN = {"family": "hornn", "hidden": 4, "order": 2}


def study(tree: Any, file: str = "small.yaml") -> StudySpec:
    """Return the study of a tree or a text."""
    return read_study(document.load(tree if isinstance(tree, str) else json.dumps(tree), file))


def refused(tree: Any) -> list[str]:
    """Return the first line of every mistake of a study."""
    with pytest.raises(InputError) as caught:
        study(tree)
    assert 2 == caught.value.exit_code
    assert all(each.place and each.place.line for each in caught.value.mistakes)
    return [str(each).splitlines()[0] for each in caught.value.mistakes]


def test_the_study_of_the_format_is_read() -> None:
    """Every key of the format's example has its value, in base units."""
    spec = study(FORMAT)
    found = spec.study
    assert 9 == spec.space.size()
    assert ("digits", "image") == (found.data.name, found.data.read_as)
    assert ["error", "latency"] == [each.quantity for each in found.objectives]
    assert Limits(params="1M", macs="50M", latency="5 ms", memory="64 MB") == found.limits  # type: ignore[arg-type]
    assert (9, (1, 3, 9)) == (found.fit.epochs, found.fit.stops())
    assert ("tpe", 40, 600.0, 0) == (found.search.sampler, found.search.trials, found.search.time, found.search.seed)
    assert (3, 8, "study.db") == (found.confirm.seeds, found.confirm.members, found.storage)
    assert fits(document.load(FORMAT, "x").tree, SCHEMA)


def test_what_is_left_out_has_its_default() -> None:
    """models, data and objectives are enough."""
    found = study(SMALL).study
    assert (None, "tpe", 40, None, 3, "study.db") == (
        found.limits, found.search.sampler, found.search.trials, found.search.time, found.confirm.seeds, found.storage
    )  # fmt: skip
    assert 600.0 == found.search.patience
    assert fits(SMALL, SCHEMA)


@pytest.mark.parametrize(("given_text", "expected_s"), [("10m", 600.0), ("500ms", 0.5), (30, 30.0)])
def test_patience_is_a_time(given_text: object, expected_s: float) -> None:
    """With a unit or as a number of seconds; the schema for editors says the same."""
    tree = {**SMALL, "search": {"patience": given_text}}
    assert expected_s == study(tree).study.search.patience
    assert fits(tree, SCHEMA)


@pytest.mark.parametrize(
    ("given_name", "file", "expected"),
    [
        ("mine", "a/b.yaml", "mine"),
        (None, "a/b.yaml", "b"),
        (None, "a/quick/study.yaml", "quick"),
        (None, "/quick/study.yaml", "quick"),
        (None, "/study.yaml", "study"),
    ],
)
def test_a_study_has_a_name(given_name: str | None, file: str, expected: str) -> None:
    """Its own, its file's, or its folder's."""
    assert expected == study({**SMALL, **({"name": given_name} if given_name else {})}, file).name


def test_a_file_is_read_with_overrides(tmp_path: Path) -> None:
    """--set reaches into templates; a mistake in its value names it."""
    path = tmp_path / "study.yaml"
    path.write_text(FORMAT, "utf-8")
    spec = load_study(path, ["models.1.depths.times={int: [1, 3]}", "search.time=90"])
    assert (6 + 9, 90.0) == (spec.space.size(), spec.study.search.time)
    with pytest.raises(InputError, match=r"--set models.0.columns:1:7: models.0.columns.int: an empty domain"):
        load_study(path, ["models.0.columns={int: [2, 1]}"])


LATENCY = {"latency": "min"}
TEXTUAL = {"models": [HORNN], "data": {"name": "ptb"}}
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no models": ({"models": []}, ["models: given a list of 0; allowed: at least 1 values"]),
    "models of a word": ({"models": "nin"}, ["models: given 'nin'; allowed: a list"]),
    "a template of a word": ({"models": ["nin"]}, ["models.0: given 'nin'; allowed: a mapping of keys to values"]),
    "a rule for a template": (
        {"models": [{"choice": [1]}]}, ["models.0: a rule in place of a template; allowed: a mapping with 'family'"]),
    "no family": ({"models": [{}]}, ["models.0.family: missing; allowed: 'bottleneck', 'nin'"]),
    "an unknown family": (
        {"models": [{"family": "fractl"}]}, ["models.0.family: unknown family 'fractl' (did you mean 'fractal'?)"]),
    "a template's key beside a wrong data set": (
        {"models": [{"family": "fractal", "colums": 2, "widths": [8]}], "data": {"name": "digitz"}},
        ["models.0.columns: missing", "models.0.colums: unknown key 'colums' (did you mean 'columns'?)",
         "data.name: unknown data set 'digitz'"]),
    "a domain of families": (
        {"models": [{"family": {"choice": ["nin", "rir"]}}]}, ["models.0.family: given a mapping; allowed"]),
    "code without a factory": (
        {"models": [{"family": "module", "args": {}}]}, ["models.0.factory: missing"]),
    "a metric that nothing gives": (
        {"objectives": [{"metric": "f1", "goal": "max"}]},
        ["objectives.0.metric: nothing gives a metric of your own; allowed: with 'evaluate' in 'fit'"]),
    "a metric without its goal": (
        {"objectives": [{"metric": "f1"}]}, ["objectives.0: a 'metric' and its 'goal', min or max, go together"]),
    "a metric of a known name": (
        {"objectives": [{"metric": "error", "goal": "min"}]},
        ["objectives.0.metric: given 'error', which has a meaning of its own; allowed: write 'error: min'"]),
    "training of one's own with archcost's keys": (
        {"fit": {"code": "mine:fit", "lr": 0.1}},
        ["fit.code: given beside 'lr', which training of your own does not read; allowed: in 'args'"]),
    "arguments of no code": (
        {"fit": {"args": {"lr": 0.1}}}, ["fit.args: given without code; allowed: with 'code' or 'evaluate'"]),
    "data from code with a key of data by name": (
        {"data": {"code": "mine:splits", "path": "x"}}, ["data.path: does not go with the keys beside it"]),
    "a network of images on a text": (
        {"data": {"name": "ptb"}, "objectives": [{"bpc": "min"}]},
        ["models.0.family: fractal does not take text data; allowed: 'hornn'"]),
    "a network of images on rows": (
        {"data": {"name": "digits", "as": "rows"}},
        ["models.0.family: fractal does not take sequence data; allowed: 'hornn'"]),
    "no such data": (
        {"data": {"name": "digitz"}}, ["data.name: unknown data set 'digitz' (did you mean 'digits'?)"]),
    "no objective": ({"objectives": []}, ["objectives: given a list of 0; allowed: at least 1 values"]),
    "five objectives": (
        {"objectives": [{"error": "min"}, LATENCY, {"params": "min"}, {"macs": "min"}, {"memory": "min"}]},
        ["objectives: given a list of 5; allowed: at most 4 values"]),
    "an objective without a quantity": ({"objectives": [{}]}, ["objectives.0: names 0 quantities; allowed: one of"]),
    "an objective of two": (
        {"objectives": [{"error": "min", "macs": "min"}]}, ["objectives.0: names 2 quantities; allowed: one of"]),
    "to be maximised": ({"objectives": [{"error": "max"}]}, ["objectives.0.error: given 'max'; allowed: 'min'"]),
    "perplexity of images": (
        {"objectives": [{"perplexity": "min"}, {"error": "min"}]},
        ["objectives.0.perplexity: digits is image data, which has no perplexity; allowed: 'error', 'latency'"]),
    "error of a text": (
        {**TEXTUAL, "objectives": [{"error": "min"}, {"bpc": "min"}]},
        ["objectives.0.error: ptb is text data, which has no error; allowed: 'perplexity', 'bpc', 'latency'"]),
    "an objective twice": (
        {"objectives": [{"error": "min"}, {"error": "min"}]}, ["objectives.1.error: this objective is given twice"]),
    "a latency twice": (
        {"objectives": [{"error": "min"}, LATENCY, {**LATENCY, "target": "cpu", "precision": "1%", "time": "9s"}]},
        ["objectives.2.latency: this objective is given twice"]),
    "two names of a loss": (
        {**TEXTUAL, "objectives": [{"bpc": "min"}, {"perplexity": "min"}]},
        ["objectives.1.perplexity: bpc and perplexity order networks alike; allowed: one of them"]),
    "nothing learnt": (
        {"objectives": [{"macs": "min"}]}, ["objectives: no objective is learnt; allowed: 'error' among them"]),
    "a way to measure an error": (
        {"objectives": [{"error": "min", "time": "1s", "target": "cpu"}]},
        ["objectives.0.time: goes with 'latency' only", "objectives.0.target: goes with 'latency' only"]),
    "a limit nothing measures": (
        {"limits": {"latency": "5 ms"}}, ["limits.latency: nothing measures it; allowed: with an objective 'latency'"]),
    "no limit": ({"limits": {}}, ["limits: sets no limit; allowed"]),
    "no time": ({"search": {"time": "0s"}}, ["search.time: given '0s'; allowed: a time above 0"]),
    "a share of all": (
        {"objectives": [{"error": "min"}, {**LATENCY, "precision": "200%"}]},
        ["objectives.1.precision: given '200%'; allowed: a share"]),
    "no trials": ({"search": {"trials": 0}}, ["search.trials: given 0; allowed: at least 1"]),
    "no such sampler": ({"search": {"sampler": "cma"}}, ["search.sampler: given 'cma'; allowed: 'tpe', 'nsga2'"]),
    "no such key": ({"serch": {}}, ["serch: unknown key 'serch' (did you mean 'search'?)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_impossible_study_is_refused(case: str) -> None:
    """Each mistake is told once, with its place, its key and what is allowed."""
    change, expected = REFUSED[case]
    found = refused({**SMALL, **change})
    assert len(expected) == len(found)
    for message, line in zip(expected, found, strict=True):
        assert line.partition(": ")[2].startswith(message), line


def test_mistakes_of_all_kinds_come_at_once() -> None:
    """Templates, families and keys are told together, in the order of the text."""
    text = (
        "models:\n"
        "  - {family: fractl, columns: {int: [2, 1]}}\n"
        "  - {family: nin, layers: {repeat: {choice: []}, times: 0}}\n"
        "data: {name: digitz}\n"
        "objectives: [{error: max}]\n"
        "search: {trials: -1}\n"
    )
    wrong = [
        (2, "fractl", "models.0.family"),
        (2, "[2, 1]", "models.0.columns.int"),
        (3, "[]", "models.1.layers.repeat.choice"),
        (3, "0}", "models.1.layers.times"),
        (4, "digitz", "data.name"),
        (5, "max", "objectives.0.error"),
        (6, "-1", "search.trials"),
    ]
    lines = text.splitlines()
    expected = [f"small.yaml:{line}:{lines[line - 1].index(what) + 1}: {key}" for line, what, key in wrong]
    assert expected == [
        line.rpartition(f"{key}: ")[0] + key for line, (*_, key) in zip(refused(text), wrong, strict=True)
    ]


def test_objectives_measured_in_different_ways_are_different() -> None:
    """The same latency on two targets is two objectives."""
    both = [{"error": "min"}, LATENCY, {**LATENCY, "batch": 8}, {**LATENCY, "runtime": "compile"}]
    assert 4 == len(study({**SMALL, "objectives": both}).study.objectives)


def made(template: Tree, gives: Gives, data: dict[str, str] | None = None) -> load.Model:
    """Return the network of a study's only template without domains."""
    learnt = "bpc" if gives.kind == "text" else "error"
    spec = study({"models": [template], "data": data or {"name": "digits"}, "objectives": [{learnt: "min"}]})
    return materialise(spec, spec.space.tree({}), gives)


PTB, DIGIT_ROWS = {"name": "ptb"}, {"name": "digits", "as": "rows"}


def test_input_and_classes_come_from_the_data() -> None:
    """What a template leaves out is put in; a text's classes are its vocabulary; what agrees may stand."""
    image = {"family": "fractal", "columns": 1, "widths": [4]}
    assert [1, 8, 8] == list(made(image, IMAGE).spec.model_dump()["input"])
    assert 10 == made(image, IMAGE).spec.model_dump()["classes"]
    assert made(image, IMAGE).digest == made({**image, "input": [1, 8, 8], "classes": 10}, IMAGE).digest
    text = made(HORNN, TEXT, PTB)
    assert (7, 20) == (text.steps, text.graph.nodes[-1].shape[-1])
    rows = made(HORNN, ROWS, DIGIT_ROWS)
    assert (8, 10, 1) == (rows.steps, rows.graph.nodes[-1].shape[-1], rows.graph.nodes[-1].runs)
    beside = made(HORNN, IMAGE)
    assert rows.digest == beside.digest  # an image row by row
    assert ("small", "own") == (made(image, IMAGE).name, made({**image, "name": "own"}, IMAGE).name)


@pytest.mark.parametrize(
    ("template", "gives", "data", "expected"),
    [
        ({"family": "fractal", "columns": 1, "widths": [4], "input": [3, 8, 8], "classes": 7}, IMAGE, None,
         ["input: given [3, 8, 8]; allowed: [1, 8, 8], as the data are, or nothing",
          "classes: given 7; allowed: 10, as the data are, or nothing"]),
        ({**HORNN, "input": {"steps": 7, "vocab": 21}}, TEXT, PTB,
         ['input: given {"steps": 7, "vocab": 21}; allowed: {"steps": 7, "vocab": 20}, as the data are, or nothing']),
        ({**HORNN, "classes": 9}, TEXT, PTB, ["classes: given 9; allowed: 20, as the data are, or nothing"]),
        ({**HORNN, "readout": "last"}, TEXT, PTB,
         ["readout: a text needs an output for every token; allowed: 'every'"]),
        ({**HORNN, "readout": "every"}, ROWS, DIGIT_ROWS,
         ["readout: a sequence has one class, not one at every step; allowed: 'last'"]),
        ({**HORNN, "readout": "every"}, IMAGE, None,
         ["readout: a sequence has one class, not one at every step; allowed: 'last'"]),
        ({"family": "fractal", "columns": "x", "widths": [4]}, IMAGE, None, ["columns: given 'x'; allowed"]),
        ({"family": "fractal", "columns": 1, "widths": [4, 4, 4, 4]}, IMAGE, None, ["widths"]),
        ({"family": "fractal", "columns": 1}, IMAGE, None, ["widths: missing; this key is required"]),
    ],
)  # fmt: skip
def test_a_network_that_contradicts_the_data_is_refused(
    template: Tree, gives: Gives, data: dict[str, str] | None, expected: list[str]
) -> None:
    """With its place in the study's file, and the key path of the whole study."""
    with pytest.raises(InputError) as caught:
        made(template, gives, data)
    lines = [str(each).splitlines()[0] for each in caught.value.mistakes]
    assert len(expected) == len(lines)
    for message, line in zip(expected, lines, strict=True):
        assert line.partition(": ")[2].startswith(f"models.0.{message}"), line
        assert line.startswith("small.yaml:1:")


def test_a_mistake_of_a_drawn_value_points_at_its_rule() -> None:
    """Line and column are those of the study's file, of the rule or the nearest key around it."""
    text = FORMAT.replace("{choice: [1, 2]}", "1").replace("{int: [1, 3]}, widths", "{int: [-2, 1]}, widths")
    spec = study(text)
    assert 1 == materialise(spec, spec.space.tree({"model": 0, "0.columns": 1}), IMAGE).spec.model_dump()["columns"]
    with pytest.raises(InputError, match=r"^small.yaml:3:32: models.0.columns: given -2; allowed: at least 1"):
        materialise(spec, spec.space.tree({"model": 0, "0.columns": -2}), IMAGE)


def opened(draw: Any, tree: Value) -> Value:
    """Return a tree with rules for some of its values that give those values and no others."""
    if isinstance(tree, dict):
        fixed = {"family", "input", "classes", "name"}
        return {key: each if key in fixed else opened(draw, each) for key, each in tree.items()}
    kinds = ["as it is", "choice"]
    if isinstance(tree, int) and not isinstance(tree, bool):
        kinds.append("int")
    if isinstance(tree, list) and tree and all(each == tree[0] and type(each) is type(tree[0]) for each in tree):
        kinds.append("repeat")
    if isinstance(tree, list) and tree and all(type(each) is int and each >= 0 for each in tree):
        kinds.append("scale")
    match draw(st.sampled_from(kinds)):
        case "choice":
            return {"choice": [tree]}
        case "int":
            return {"int": [tree, tree]}
        case "repeat":
            assert isinstance(tree, list)
            return {"repeat": opened(draw, tree[0]), "times": len(tree), "each": draw(st.booleans())}
        case "scale":
            return {"scale": tree, "by": {"choice": [1]}}
        case _:
            return [opened(draw, each) for each in tree] if isinstance(tree, list) else tree


@st.composite
def templates(draw: Any) -> tuple[Tree, Tree]:
    """A network, and a template that can only be it."""
    tree = draw(st.one_of(bottlenecks(), nins(), rirs(), fractals(), hornns()))
    return tree, opened(draw, tree)


def kind(tree: Tree) -> tuple[str, dict[str, str], str]:
    """Return the kind of data a network takes, data of that kind, and an objective of them."""
    if isinstance(tree["input"], list):
        return "image", {"name": "digits"}, "error"
    if "features" in tree["input"]:
        return "sequence", DIGIT_ROWS, "error"
    return "text", PTB, "perplexity"


@given(templates(), st.randoms(use_true_random=False))
@laws(80)
def test_a_drawn_study_comes_back(both: tuple[Tree, Tree], chance: random.Random) -> None:
    """A template that can only be one network is it; its YAML is read as the same network; the schema takes both."""
    tree, template = both
    what, data, objective = kind(tree)
    whole = {"models": [template], "data": data, "objectives": [{objective: "min"}]}
    assert fits(whole, SCHEMA)
    spec = study(whole)
    place, drawn = spec.space.tree(spec.space.sample(chance))
    assert (0, json.dumps(tree, sort_keys=True)) == (place, json.dumps(drawn, sort_keys=True))
    expected = load.expand(document.load(json.dumps(tree), "small.yaml"))
    classes = tree.get("classes", tree["input"]["vocab"] if what == "text" else 0)
    try:
        model = materialise(spec, (place, drawn), Gives(tree["input"], classes, what))
    except InputError as error:
        assert ["readout"] == [each.path[-1] for each in error.mistakes]  # noqa: PT017  # as the data are
        return
    assert expected.digest == model.digest
    assert model.digest == load.expand(document.load(to_yaml(model.spec), "again.yaml")).digest


def test_the_schema_refuses_what_the_tool_refuses() -> None:
    """Rules with other keys, unknown families and keys are mistakes for an editor too; input may be left out."""
    base = {"family": "fractal", "columns": {"int": [1, 3]}, "widths": [4]}
    for wrong in (
        {**base, "columns": {"int": [1, 3], "stp": 1}},
        {**base, "columns": {"int": [1]}},
        {**base, "columns": {"int": [1, 3], "choice": [1]}},
        {**base, "family": {"choice": ["fractal"]}},
        {**base, "family": "module"},
        {**base, "colour": 1},
        {"family": "fractal", "columns": 1},
    ):
        assert fits({**SMALL, "models": [base]}, SCHEMA)
        assert not fits({**SMALL, "models": [wrong]}, SCHEMA), wrong
    for key, good, bad in (("time", ["10m", "1.5 h", 3], ["10 days", 0]), ("seed", [0], [-1, "0"])):
        for values, expected in ((good, True), (bad, False)):
            for value in values:
                tree = {**SMALL, "search": {key: value}}
                assert expected == fits(tree, SCHEMA)
                assert expected == _is_read(tree)


def _is_read(tree: Any) -> bool:
    try:
        study(tree)
    except InputError:
        return False
    return True


def test_a_name_that_no_database_keeps_is_refused() -> None:
    """With its place."""
    (message,) = refused({**SMALL, "name": "a\0b"})
    assert "name: given a name with the character NUL" in message
