"""Code on the command line: consent before anything runs, --input, and what commands that need a graph say."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import run

import archcost
from archcost.config import document
from archcost.errors import InputError
from archcost.models import load
from archcost.models.code import Argument

CONSENT = "is code; code named in a file runs only with --allow-code (Python: allow_code=True)"
BUDGET = "params: 1M\n"

# Every command that takes a model, as it is given one without --allow-code; MODEL, OUT and BUDGET are paths.
COMMANDS: dict[str, tuple[str, ...]] = {
    "draw": ("draw", "MODEL"),
    "draw to a file": ("draw", "MODEL", "-o", "OUT"),
    "suggest": ("suggest", "MODEL", "--no-latency"),
    "suggest and apply": ("suggest", "MODEL", "--no-latency", "--apply", "1", "-o", "OUT"),
    "export json": ("export", "MODEL", "--to", "json"),
    "export yaml": ("export", "MODEL", "--to", "yaml"),
    "export yaml to a file": ("export", "MODEL", "--to", "yaml", "-o", "OUT"),
    "export onnx": ("export", "MODEL", "--to", "onnx", "-o", "OUT"),
    "export pt2": ("export", "MODEL", "--to", "pt2", "-o", "OUT"),
    "profile": ("profile", "MODEL"),
    "profile without latency": ("profile", "MODEL", "--no-latency", "--no-witness", "--json"),
    "profile to a page": ("profile", "MODEL", "--no-latency", "--html", "OUT"),
    "compare": ("compare", "MODEL", "MODEL", "--no-latency"),
    "compare with another": ("compare", "resnet-20", "MODEL", "--no-latency"),
    "check": ("check", "MODEL", "--budget", "BUDGET"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that appears where hostile code runs."""
    return tmp_path / "ran"


@pytest.fixture
def hostile(tmp_path: Path, ran: Path) -> dict[str, str]:
    """Files that name code which leaves a trace: called, and already when it is imported; in a folder of their own."""
    away = tmp_path / "away"
    away.mkdir()
    (away / "trap.py").write_text(f"open({str(ran)!r}, 'w')")
    texts = {
        "called": f"factory: os:system\nargs: {{command: 'touch {ran}'}}\ninput: [3]\n",
        "imported": "factory: trap:make\ninput: [3]\n",
        "named": f"name: resnet-20\nfactory: subprocess:check_call\nargs: {{args: [touch, '{ran}']}}\ninput: [3]\n",
    }
    paths = {}
    for name, text in texts.items():
        path = away / f"{name}.yaml"
        path.write_text(f"family: module\n{text}", "utf-8")
        paths[name] = str(path)
    (tmp_path / "budget.yaml").write_text(BUDGET, "utf-8")
    return paths | {"budget": str(tmp_path / "budget.yaml"), "away": str(away), "out": str(tmp_path / "out")}


# ---- consent


@pytest.mark.parametrize("kind", ["called", "imported", "named"])
@pytest.mark.parametrize("command", COMMANDS)
def test_code_of_a_file_never_runs_without_consent(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hostile: dict[str, str],
    ran: Path,
    command: str,
    kind: str,
) -> None:
    """Exit 2 with one message at the factory, nothing printed, nothing written, nothing imported, nothing run."""
    monkeypatch.syspath_prepend(hostile["away"])
    paths = {"MODEL": hostile[kind], "OUT": hostile["out"], "BUDGET": hostile["budget"]}
    code, out, err = run(capsys, *(paths.get(word, word) for word in COMMANDS[command]))
    assert (2, "") == (code, out)
    assert f"{hostile[kind]}:" in err
    assert f" {CONSENT}\n    factory: " in err
    assert 1 == err.count(CONSENT)
    assert "Traceback" not in err
    assert (False, False) == (ran.exists(), Path(hostile["out"]).exists())
    assert "trap" not in sys.modules


@pytest.mark.parametrize("command", ["draw", "suggest", "export json", "profile", "check"])
def test_code_of_standard_input_needs_consent_too(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hostile: dict[str, str],
    ran: Path,
    command: str,
) -> None:
    """Standard input is a file like any other."""
    data = Path(hostile["called"]).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    paths = {"MODEL": "-", "BUDGET": hostile["budget"]}
    code, out, err = run(capsys, *(paths.get(word, word) for word in COMMANDS[command]))
    assert (2, "", True) == (code, out, err.startswith(f"<stdin>:2:1: factory: 'os:system' {CONSENT}\n"))
    assert not ran.exists()


@pytest.mark.parametrize("call", ["load", "profile", "read", "expand"])
def test_python_asks_for_consent_too(hostile: dict[str, str], ran: Path, call: str) -> None:
    """No call of the library runs a file's code unless it is allowed."""
    path = hostile["called"]
    calls = {
        "load": lambda: archcost.load(path),
        "profile": lambda: archcost.profile(path),
        "read": lambda: load.read(path),
        "expand": lambda: load.expand(document.read_file(path)),
    }
    with pytest.raises(InputError, match="'os:system' is code") as caught:
        calls[call]()
    assert f"{path}:2:1: factory: " in str(caught.value)
    assert not ran.exists()


def test_set_is_no_consent(capsys: pytest.CaptureFixture[str], hostile: dict[str, str], ran: Path) -> None:
    """A file whose family or factory is set on the command line still names code."""
    code, _, err = run(capsys, "export", hostile["imported"], "--to", "yaml", "--set", "factory=os:system")
    assert (2, True) == (code, f"--set factory:1:1: factory: 'os:system' {CONSENT}" in err)
    assert not ran.exists()


# ---- commands that need a graph


@pytest.mark.parametrize("command", ["draw", "suggest"])
@pytest.mark.parametrize("model", ["file", "typed", "typed without input"])
def test_commands_that_need_a_graph_refuse_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hostile: dict[str, str],
    ran: Path,
    command: str,
    model: str,
) -> None:
    """With consent too, code has no graph to draw or change: one message, and it does not run."""
    monkeypatch.syspath_prepend(hostile["away"])
    words = {
        "file": (hostile["imported"], "--allow-code"),
        "typed": ("trap:make", "--input", "3"),
        "typed without input": ("trap:make",),
    }[model]
    counted = ("--no-latency",) if command == "suggest" else ()  # with latencies its operators are looked at
    code, out, err = run(capsys, command, *words, *counted)
    message = f"archcost {command} needs the graph of a family, and 'trap:make' is code; allowed: a network of family "
    assert (2, "", True) == (code, out, err.startswith(f"archcost: {message}'bottleneck', "))
    assert not ran.exists()


@pytest.mark.parametrize("command", ["draw", "suggest", "export"])
def test_input_goes_with_code_only(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A family's input is a key; the message says how to set it."""
    code, out, err = run(capsys, command, "resnet-20", "--input", "3,9,9", *(("--to", "yaml") * (command == "export")))
    assert (2, "") == (code, out)
    assert "--input: goes with code; allowed here: --set input=..., which changes the network's own\n" == err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3,x", "Invalid value for '--input': given 'x' in '3,x'; allowed: an integer"),
        ("3:int", "Invalid value for '--input': unknown dtype 'int' (did you mean 'int64'?); allowed: 'float32'"),
        ("", "Invalid value for '--input': given ''; allowed: [name=]sizes[:dtype[:below]], as in 3,224,224"),
    ],
)
@pytest.mark.parametrize("command", ["draw", "suggest", "export"])
def test_an_input_that_is_none_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], command: str, text: str, message: str
) -> None:
    """What --input cannot be is said with what it can."""
    more = ("--to", "yaml") if command == "export" else ()
    code, out, err = run(capsys, command, "net:make", "--input", text, *more)
    assert (2, "") == (code, out)
    assert message in " ".join(err.split())


# ---- export


def test_yaml_of_typed_code_is_the_file_to_keep(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hostile: dict[str, str], ran: Path
) -> None:
    """What was typed becomes a file, overrides included; nothing runs for it, and the file needs consent again."""
    monkeypatch.syspath_prepend(hostile["away"])
    typed = ("trap:make", "--input", "35:int64:100", "--input", "mask=35:bool", "--set", "args.depth=5")
    code, out, err = run(capsys, "export", *typed, "--to", "yaml")
    assert (0, "") == (code, err)
    assert (
        'name: make\nfamily: module\nfactory: "trap:make"\nargs: {depth: 5}\ninputs:\n'
        "  - {shape: [35], dtype: int64, below: 100}\n  - {shape: [35], dtype: bool, name: mask}\n"
    ) == out
    path = Path(hostile["out"])
    assert (0, "", "") == run(capsys, "export", *typed, "--to", "yaml", "-o", str(path))
    assert out == path.read_text("utf-8")
    assert CONSENT in run(capsys, "export", str(path), "--to", "yaml")[2]
    assert (0, out, "") == run(capsys, "export", str(path), "--to", "yaml", "--allow-code")
    found = load.read(path, allow_code=True)
    assert isinstance(found, load.Reference)
    assert Argument(shape=(35,), dtype="int64", below=100) == found.spec.arguments[0]
    assert not ran.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net:make", "--input", "3", "--to", "json"), "--to json needs the graph of a family, and 'net:make' is code"),
        (("net:make", "--to", "yaml"), "'net:make' is code and needs its inputs; allowed: one --input or"),
        (("net:make", "--input", "3", "--to", "yaml", "--batch", "2"), "--batch: yaml holds no batch"),
        (("net:make", "--input", "3", "--to", "onnx"), "--to onnx needs -o FILE"),
        (("net.make", "--to", "yaml"), "'net.make' is neither a file nor a shipped network"),
        (
            ("net:make", "--input", "3", "--to", "yaml", "--set", "depth=5"),
            "--set depth:1:1: depth: unknown key 'depth'",
        ),
        (("net:make", "--input", "3", "--to", "yaml", "-o", "no/where"), "cannot write 'no/where'"),
    ],
)
def test_mistakes_are_one_message(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    """What a user got wrong about code is said on standard error, and nothing is written."""
    code, out, err = run(capsys, "export", *arguments)
    assert (2, "") == (code, out)
    assert message in err
    assert [] == list(folder.iterdir())


# ---- start-up


@pytest.mark.parametrize("arguments", [["draw", "--help"], ["export", "--help"], ["suggest", "--help"]])
def test_help_loads_neither_pydantic_nor_torch(arguments: list[str]) -> None:
    """The options are shown without what reads them."""
    script = (
        f"import sys; from archcost.cli import cli\ntry: cli.main({arguments!r})\nexcept SystemExit: pass\n"
        "print({'torch', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "--input SIZES[:DTYPE[:BELOW]]" in done.stdout
    assert "--allow-code" in done.stdout
    assert ("set()", "") == (done.stdout.splitlines()[-1], done.stderr)


def test_writing_code_as_yaml_loads_no_torch(folder: Path) -> None:
    """What does not run the code does not wait for torch."""
    script = (
        "import sys; from archcost.cli import cli;"
        "cli.main(['export', 'net:make', '--input', '3', '--to', 'yaml'], standalone_mode=False);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ("False", "") == (done.stdout.splitlines()[-1], done.stderr)
