"""A file that is given for a network or a study and is neither is named, with the command that takes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from archcost.config import document
from archcost.errors import InputError
from archcost.models import load, sources
from archcost.study.spec import load_study

STUDY = "models: [{family: fractal, columns: 1, widths: [4]}]\ndata: {name: digits}\nobjectives: [{error: min}]\n"
NETWORK = "family: fractal\ninput: [3, 8, 8]\nclasses: 4\ncolumns: 1\nwidths: [4]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of many kinds."""
    texts = {
        "s.yaml": STUDY,
        "n.yaml": NETWORK,
        "b.yaml": "params: 1M\n",
        "p.json": '{"archcost": "0.3.0", "schema": 1, "model": {}}',
        "c.json": '{"archcost": "0.3.0", "schema": 1, "models": []}',
        "mine.py": "open('ran', 'w')\nclass Net(nn.Module): ...\ndef make(): ...\n",
        "many.py": "".join(f"def net{number}(): ...\n" for number in range(11)),
        "nothing.py": "",
        "my-net.py": "",
        "a b.pt": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    for ending in ("onnx", "pt", "PTH", "pt2", "ckpt", "safetensors"):
        (tmp_path / f"net.{ending}").write_bytes(b"\x80\x02")
    with closing(sqlite3.connect(tmp_path / "study.db")) as made:
        made.execute("CREATE TABLE t (x)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(source: str, *, study: bool = False) -> str:
    """Return what is said of a source, without the line of its text."""
    with pytest.raises(InputError) as refused:
        load_study(source) if study else load.read(source)
    assert 2 == refused.value.exit_code
    (mistake,) = refused.value.mistakes
    return str(mistake).splitlines()[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mine.py", "'mine.py' is Python code; allowed: 'mine:Net' or 'mine:make' with --input, as in --input 3"),
        ("mine.py:make", "'mine.py' is Python code; allowed: 'mine:make' with --input, as in --input 3,224,224"),
        ("./mine.py:make", "'./mine.py' is Python code; allowed: 'mine:make' with --input, as in --input 3,224,224"),
        ("nothing.py", "'nothing.py' is Python code; allowed: 'nothing:CALLABLE' with --input"),
        ("many.py", "'many.py' is Python code; allowed: 'many:net0', 'many:net1', 'many:net2'"),
        ("my-net.py", "'my-net.py' is Python code; allowed: package.module:callable with --input, for which"),
        ("net.onnx", "'net.onnx' is an ONNX file, a network that was exported; allowed: the code that makes"),
        ("net.pt", "'net.pt' is a file that torch.save wrote: weights, or a pickled module, which is not opened"),
        ("net.PTH", "'net.PTH' is a file that torch.save wrote"),
        ("net.pt2", "'net.pt2' is a program that torch.export wrote; allowed: the code"),
        ("net.ckpt", "'net.ckpt' is a checkpoint"),
        ("net.safetensors", "'net.safetensors' is a file of weights"),
        ("study.db", "'study.db' is the storage of a study; 'archcost study front study.db' shows its networks"),
        ("s.yaml", "s.yaml:1:1: a study, where a network is wanted; 'archcost study run s.yaml' runs it, 'archcost "),
        ("b.yaml", "b.yaml:1:1: a budget, where a network is wanted; '--budget' of 'archcost check' takes it"),
        ("./p.json", "./p.json:1:2: what 'archcost profile --json' or 'compare --json' printed, where a network"),
        ("./c.json", "./c.json:1:2: what 'archcost profile --json' or 'compare --json' printed, where a network"),
        ("missing.onnx", "'missing.onnx' is neither a file nor a shipped network"),
        ("missing.py", "'missing.py' is neither a file nor a shipped network"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_named(folder: Path, source: str, expected: str) -> None:
    """By its name, or by what it holds; no code runs, and nothing is unpickled."""
    assert expected == told(source)[: len(expected)]
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n.yaml", "n.yaml:1:1: a network, where a study is wanted; 'archcost profile n.yaml' takes it, 'models' of"),
        ("b.yaml", "b.yaml:1:1: a budget, where a study is wanted; '--budget' of 'archcost check' takes it"),
        ("p.json", "p.json:1:2: what 'archcost profile --json' or 'compare --json' printed, where a study is wanted"),
        ("mine.py", "'mine.py' is Python code; allowed: the YAML file of a study"),
        ("net.onnx", "'net.onnx' is an ONNX file, a network that was exported; allowed: the YAML file of a study"),
        ("study.db", "'study.db' is the storage of a study; allowed: the YAML file of a study; 'archcost study front"),
        ("resnet-20", "'resnet-20' is a network that ships; allowed: the YAML file of a study; 'archcost profile resn"),
        ("mine:Net", "'mine:Net' is code that makes a network; allowed: the YAML file of a study; 'archcost study n"),
        ("missing.yaml", "missing.yaml: cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_study_is_named(folder: Path, source: str, expected: str) -> None:
    """By its name, or by what it holds."""
    assert expected == told(source, study=True)[: len(expected)]
    assert not (folder / "ran").exists()


def test_no_more_callables_are_named_than_fit() -> None:
    """The others are counted."""
    assert "'many:net6' or 'many:net7' (and 3 more) with --input" in told("many.py")


def test_code_elsewhere_is_run_in_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module has no name from the current folder."""
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert told("../mine.py").endswith(
        "'mine:Net' or 'mine:make' with --input, as in --input 3,224,224, in the folder of the file"
    )


def test_a_text_without_a_file_has_no_name_to_type() -> None:
    """Standard input: the command is said with FILE."""
    with pytest.raises(InputError, match="'archcost study run FILE' runs it, 'archcost export FILE --trial N"):
        load.interpret(document.load(STUDY, "<stdin>"))


def test_a_command_can_be_pasted(folder: Path) -> None:
    """Names with spaces are quoted for a shell."""
    (folder / "a b.yaml").write_text(STUDY, "utf-8")
    assert "'archcost study run 'a b.yaml'' runs it" in told("a b.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STUDY, "study"),
        (NETWORK, "network"),
        ("latency: 5 ms\nmacs: 1M", "budget"),
        ("macs: 1M\nwidth: 2", None),
        ("[1]", None),
        ("{}", None),
    ],
)
def test_a_text_says_what_it_is(text: str, expected: str | None) -> None:
    """By its keys alone: an empty mapping, and keys of no kind, say nothing."""
    assert expected == sources.kind(document.load(text, "x").tree)
