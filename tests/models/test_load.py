"""From what a user names to a network: files, shipped names and code, overrides, consent, and where mistakes lie."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistakes import begin, told
from specs import Tree, fractals, laws, model

from archcost.config import document
from archcost.errors import InputError
from archcost.graph.codec import digest
from archcost.graph.columns import columns, only
from archcost.models import load
from archcost.models.code import Argument
from archcost.models.load import Reference

SMALL = "family: nin\ninput: [3, 8, 8]\nclasses: 2\nlayers: [{kernel: 3, widths: [4, 2]}]"
HEAD = "family: module\nfactory: net:make\n"  # what follows is line 3
HOSTILE = "family: module\nfactory: os:system\nargs: {command: 'touch {}'}\ninput: [3]\n"

# ---- what a name stands for


def test_a_file_stands_before_a_shipped_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped name is that network, unless a file of the name is there."""
    monkeypatch.chdir(tmp_path)
    assert "bottleneck" == load.load("resnet-20").family
    Path("resnet-20").write_text(SMALL)
    assert "nin" == load.load("resnet-20").family


def test_a_misspelt_name_has_a_suggestion() -> None:
    """What is neither a file nor shipped says which shipped name is near, and what lists them."""
    with pytest.raises(InputError) as caught:
        load.load("resnet20")
    message = "'resnet20' is neither a file nor a shipped network (did you mean 'resnet-20'?)"
    assert f"{message}; 'archcost example' lists those" == str(caught.value)


@pytest.mark.parametrize("name", ["resnet-20.yaml", "resnet-20.yml", "./resnet-20"])
def test_a_path_is_no_shipped_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has a folder or an ending is a file, and one that is missing is said to be."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{re.escape(name)}: cannot be read: No such file or directory"):
        load.load(name)


@pytest.mark.parametrize(("keys", "name"), [("", "m"), ("\nname: mine", "mine")])
def test_a_network_has_a_name(keys: str, name: str) -> None:
    """It is the one that is written, or else the file's without folder and ending."""
    assert name == load.expand(document.load(SMALL + keys, "folder/m.yaml")).name


@given(fractals(all_columns=True), st.data())
@laws(30)
def test_a_column_is_a_network_of_its_own(tree: Tree, data: st.DataObject) -> None:
    """It has the graph that is left without the other columns, says so in its name, and nothing in it is dropped."""
    whole = model(tree)
    column = data.draw(st.sampled_from(columns(whole.graph)))
    alone = load.alone(whole, column)
    assert (f"{whole.name}-column-{column}", whole.recipe.init) == (alone.name, alone.recipe.init)
    assert (0, 0) == (alone.recipe.drop_local, alone.recipe.drop_global)
    assert digest(only(whole.graph, [column])) == alone.digest


def test_a_single_column_drops_nothing() -> None:
    """Whatever drop-path says: two such networks are one, which a study trains once."""
    tree = {"family": "fractal", "input": [3, 8, 8], "classes": 4, "columns": 1, "widths": [4, 8]}
    plain, dropping = model(tree), model({**tree, "drop_path": {"local": 0.15, "global": 0.5}})
    assert (plain.digest, plain.recipe) == (dropping.digest, dropping.recipe)
    assert 0.15 == model({**tree, "columns": 2, "drop_path": {"local": 0.15}}).recipe.drop_local


# ---- mistakes

WHOLE: list[tuple[str, list[str]]] = [
    ("[1, 2]", ["1:1: given a list of 2; allowed: a mapping of keys to values"]),
    ("hello", ["1:1: given 'hello'; allowed: a mapping of keys to values"]),
    ("classes: 2", ["1:1: family: missing; allowed: 'bottleneck', 'nin', 'rir', 'fractal' or 'hornn'"]),
    ("family: botleneck", [
        "1:9: family: unknown family 'botleneck' (did you mean 'bottleneck'?); allowed: 'bottleneck', "]),
    ("family: 5", ["1:9: family: unknown family '5'; allowed: "]),
    ("family: [nin]", ["1:9: family: unknown family 'a list of 1'; allowed: "]),
    ("family: rir\nfamily: rir", ["2:1: duplicate key 'family'; the first is at 1:1"]),
    ("family: rir\nclasses: 2\ninput: [3, 8]\ndepths: [1]\nwidths: [2]", ["3:8: input: "]),
    ("family: rir\nclasses: 2\ninput: [3, 8, 8, 8]\ndepths: [1]\nwidths: [2]", [
        "3:8: input: given a list of 4; allowed: "]),
    ("family: rir\nclasses: 2\ninput: [3, 8.0, x]\ndepths: [1]\nwidths: [2]", [
        "3:12: input.1: given 8.0; allowed: an integer", "3:17: input.2: given 'x'; allowed: an integer"]),
    ("family: rir\nclasses: -1\ninput: {steps: 3}\ndepths: [1]\nwidths: [2]", [
        "2:10: classes: given -1; allowed: at least 1", "3:8: input: given a mapping; allowed: a list"]),
    ("family: hornn\ninput: [3, 8, 8]\nhidden: 1\norder: 1", [
        "2:8: input: given a list of 3; allowed: a mapping of keys to values"]),
    ("family: hornn\ninput: {steps: 0, vocab: x}\nhidden: 1\norder: 1", [
        "2:16: input.steps: given 0; allowed: at least 1", "2:26: input.vocab: given 'x'; allowed: an integer"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WHOLE, ids=[text.replace("\n", " ")[:40] for text, _ in WHOLE])
def test_mistakes_of_the_whole(text: str, expected: list[str]) -> None:
    """What is no network at all, or has an input of another kind, is told the same way."""
    begin([f"m.yaml:{line}" for line in expected], told(text))


# ---- overrides


def test_overrides() -> None:
    """`key=value` replaces what the file says, in order, lists and mappings by their dotted path."""
    sets = ["classes=5", "layers.0.widths=[7, 7]", "layers.0.widths.1=5", "layers.0.pool=max", "name=other"]
    model = load.expand(document.load(SMALL, "m.yaml"), sets)
    assert ("other", (5,), "Pool") == (model.name, model.graph.nodes[-1].shape, model.cost.rows[-2].op)
    assert (3, 7, 5) == tuple(node.shape[0] for node in model.graph.nodes[:5:2])


def test_overrides_of_a_file(tmp_path: Path) -> None:
    """They work on a file, whose stem names the network, and on a shipped network."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    changed = load.load(file, ["layers=[{kernel: 1, widths: [2]}]"])
    assert ("small", "nin", 3 * 2 + 2) == (changed.name, changed.family, changed.cost.params)
    assert 20 * 4_480_000 == load.load("hornn-3", ["input.steps=20"]).cost.macs


OVERRIDES = [
    ("classes=two", ["--set classes:1:1: classes: given 'two'; allowed: an integer"]),
    (
        "layers.0.widths=[4, 3]",
        ["--set layers.0.widths:1:5: layers.0.widths.1: given 3; allowed: 2, the number of classes"],
    ),
    ("layers.0.pol=max", ["--set layers.0.pol:1:1: layers.0.pol: unknown key 'pol' (did you mean 'pool'?)"]),
    ("stem.pool=max", ["--set stem.pool:1:1: stem: unknown key 'stem'"]),
    ("layers.3.pool=max", ["--set layers.3.pool: layers: '3' is not an index of this list; allowed: 0 to 0"]),
    ("family=fractals", ["--set family:1:1: family: unknown family 'fractals' (did you mean 'fractal'?)"]),
    ("classes=", ["--set classes:1:1: classes: given null; allowed: an integer"]),
    ("classes", ["--set: 'classes' is not an assignment; allowed: key=value"]),
    ("classes=[1", ["--set classes:1:3: "]),
]


@pytest.mark.parametrize(("override", "expected"), OVERRIDES, ids=[override for override, _ in OVERRIDES])
def test_mistakes_in_overrides(override: str, expected: list[str]) -> None:
    """A mistake in an override points into the override, not into the file."""
    begin(expected, told(SMALL, override))


def test_mistakes_of_file_and_override() -> None:
    """A mistake of the file and one of the override are told together."""
    lines = told(SMALL.replace("kernel: 3", "kernel: 2"), "span=0")
    assert {"m.yaml:4:19: layers.0.kernel: given 2; allowed: an odd number",
            "--set span:1:1: span: given 0; allowed: at least 1"} == set(lines)  # fmt: skip


# ---- what is typed

IMAGE = (Argument(shape=(3, 8, 8)),)


def test_typed_code_is_a_reference_with_its_inputs() -> None:
    """Naming code on the command line is consent; its name is the callable's, `--set` reaches its arguments."""
    found = load.read("pkg.net:make", ["args.depth=50", "inputs.0.shape.0=1"], IMAGE)
    assert isinstance(found, Reference)
    assert ("make", "pkg.net:make", {"depth": 50}) == (found.name, found.spec.factory, found.spec.args)
    assert (Argument(shape=(1, 8, 8)),) == found.spec.arguments
    assert "other" == load.read("pkg.net:make", ["name=other"], IMAGE).name


def test_inputs_may_come_by_set() -> None:
    """`--set input=...` and `--set inputs=...` are as good as --input; without any the message says what to type."""
    for assignment in ("input=[3, 8, 8]", "inputs=[{shape: [3, 8, 8]}]"):
        found = load.read("net:make", [assignment])
        assert isinstance(found, Reference)
        assert IMAGE == found.spec.arguments
    message = "'net:make' is code and needs its inputs; allowed: one --input or more, as in --input 3,2"
    with pytest.raises(InputError, match=f"^{message}"):
        load.read("net:make")


PLACES = {
    "family=nin": "<command line>: factory: unknown key 'factory'",
    "name=''": "--set name:1:1: name: given ''",
    "args.a-b=3": "--set args.a-b:1:1: args.a-b: given 'a-b'; allowed: a Python name",
    "input=[3]": "--input: inputs: given beside 'input'",
    "inputs.0.name=class": None,
    "inputs.0.nam=x": "--set inputs.0.nam:1:1: inputs.0.nam: unknown key 'nam'",
    "inputs.3.name=x": "--set inputs.3.name: inputs: '3' is not an index of this list; allowed: 0 to 1",
}


@pytest.mark.parametrize(("assignment", "expected"), PLACES.items(), ids=PLACES)
def test_places_of_what_is_typed(assignment: str, expected: str | None) -> None:
    """A mistake in what is typed names the command line, --input or the --set that made it."""
    two = (*IMAGE, Argument(shape=(), name="mask"))
    try:
        load.read("net:make", [assignment], two)
        lines = [None]
    except InputError as error:
        lines = [str(mistake).splitlines()[0] for mistake in error.mistakes]
    assert any((line or "").startswith(expected) if expected else line is None for line in lines), lines


def test_names_given_twice_are_told_at_the_option() -> None:
    """Two --input with one name are refused."""
    with pytest.raises(InputError, match=r"--input: inputs\.1\.name: given 'a' again; allowed: once"):
        load.read("net:make", inputs=[Argument(shape=(), name="a")] * 2)


def test_a_file_named_like_code_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file of the name is there, it is what is read; a Path is never code."""
    monkeypatch.chdir(tmp_path)
    assert load.is_code("net:make")
    assert not load.is_code(Path("net:make"))
    Path("net:make").write_text(SMALL)
    assert not load.is_code("net:make")
    assert "net" in load.load("net:make").name


# ---- --input beside a file


def test_inputs_replace_those_of_a_file() -> None:
    """--input takes the place of `input` and of `inputs`; --set still reaches it."""
    for given_there in ("input: [3]", "inputs: [{shape: [5], dtype: int64}, {shape: [6]}]"):
        source = document.load(f"{HEAD}{given_there}\nargs: {{a: 1}}", "m.yaml")
        found = load.interpret(source, ["inputs.0.name=x"], IMAGE, allow_code=True)
        assert isinstance(found, Reference)
        assert (Argument(shape=(3, 8, 8), name="x"),) == found.spec.arguments
        assert ("m", {"a": 1}) == (found.name, found.spec.args)


@pytest.mark.parametrize("source", ["resnet-20", "hornn-3"])
def test_inputs_beside_a_family_are_refused(source: str) -> None:
    """A family's input is a key of its own."""
    with pytest.raises(InputError, match=r"--input: goes with code; allowed here: --set input=\.\.\., which changes"):
        load.read(source, inputs=IMAGE)


# ---- consent


def test_code_of_a_file_needs_consent(tmp_path: Path) -> None:
    """Without consent the file is refused at its factory; nothing has run either way."""
    witness = tmp_path / "ran"
    file = tmp_path / "net.yaml"
    file.write_text(HOSTILE.replace("{}", str(witness)))
    with pytest.raises(InputError) as caught:
        load.read(file)
    message = "'os:system' is code; code named in a file runs only with --allow-code (Python: allow_code=True)"
    assert f"{file}:2:1: factory: {message}\n    factory: os:system\n    ^" == str(caught.value)
    assert isinstance(load.read(file, allow_code=True), Reference)
    with pytest.raises(InputError, match=r"--set factory:1:1: factory: 'os:popen' is code; code named in a file"):
        load.read(file, ["factory=os:popen"])
    assert not witness.exists()


@pytest.mark.parametrize("source", ["file", "os:system"])
def test_load_runs_no_code(source: str, tmp_path: Path) -> None:
    """`load` returns networks with a graph; code it points to `profile`, consent or not."""
    file = tmp_path / "net.yaml"
    file.write_text(HOSTILE.replace("{}", str(tmp_path / "ran")))
    message = r"'os:system' is code, which has no graph to load; archcost\.profile\(\.\.\., allow_code=True\)"
    with pytest.raises(InputError, match=message):
        load.load(file if source == "file" else source)
    assert [file] == list(tmp_path.iterdir())


def test_reading_code_imports_nothing_of_it(tmp_path: Path) -> None:
    """With consent too, reading imports neither the named module nor torch."""
    (tmp_path / "net.py").write_text("open('ran', 'w')")
    script = (
        "import sys; from archcost.models import code, load;"
        "found = load.read('net:make', ['args.a=1'], [code.parse_input('3,8,8')]);"
        "print(found.name, 'torch' in sys.modules, 'net' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert (b"make False False\n", b"") == (done.stdout, done.stderr)
    assert ["net.py"] == [each.name for each in tmp_path.iterdir()]
