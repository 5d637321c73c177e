"""archcost choose: the network of a study within a budget, as a table and as JSON, with its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused, run
from stored_studies import Wanted, made

FIRST = ["take", "trial", "column", "way", "objectives", "probability", "runner_up", "why", "export"]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with a small study."""
    file = tmp_path_factory.mktemp("choose") / "study.db"
    made(file, Wanted(trials=30))
    return str(file)


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str], held: str) -> None:
    """The answer first, the two networks below each other, the command that exports it last."""
    code, out, err = run(capsys, "choose", held, "--latency", "800us")
    lines = out.splitlines()
    assert (0, "") == (code, err)
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].startswith("Take ")
    assert [line.split()[0] for line in lines if line.startswith(("take ", "runner-up "))] == ["take", "runner-up"]
    name = next(line.split()[1] for line in lines if line.startswith("take "))
    assert lines[-1] == f"archcost export {held} --trial {name} --bundle trial-{name.replace('/', '-')}"


def test_json_says_the_same(capsys: pytest.CaptureFixture[str], held: str) -> None:
    """One document with the keys of the format, in base units."""
    code, out, err = run(capsys, "choose", held, "--latency", "800us", "--params", "20k", "--json")
    found = json.loads(out)
    assert (0, "", FIRST) == (code, err, [*found][: len(FIRST)])
    assert {"latency_s": 8e-4, "params": 20_000} == found["budget"]
    assert found["objectives"]["latency_s"] <= 8e-4
    assert 0.8 <= found["probability"] <= 1
    assert found["export"].endswith(f"--trial {found['take']} --bundle trial-{found['take'].replace('/', '-')}")
    assert found["runner_up"]["take"] != found["take"]


def test_no_network_in_the_budget_is_a_check_that_does_not_hold(capsys: pytest.CaptureFixture[str], held: str) -> None:
    """Exit code 1, with the nearest, in both forms."""
    code, out, _ = run(capsys, "choose", held, "--latency", "1us")
    assert (1, True) == (code, out.startswith("No network keeps 1.00 us: nearest is "))
    assert "\nnearest " in out
    code, out, _ = run(capsys, "choose", held, "--macs", "1", "--json")
    found = json.loads(out)
    assert (1, None, None, None) == (code, found["take"], found["probability"], found["export"])
    assert found["nearest"]["take"]


def test_a_size_is_in_bytes(capsys: pytest.CaptureFixture[str], held: str) -> None:
    """Of parameters and buffers, as a budget has it under 'weights'."""
    code, out, _ = run(capsys, "choose", held, "--size", "20 kB", "--json")
    assert (0, {"weights_bytes": 20_000}) == (code, json.loads(out)["budget"])


def test_the_storage_is_in_the_command(capsys: pytest.CaptureFixture[str], held: str, tmp_path: Path) -> None:
    """What is printed can be typed: names with spaces are quoted."""
    file = tmp_path / "my study.yaml"
    _, out, _ = run(capsys, "choose", str(file), "--storage", held)
    assert out.splitlines()[-1].startswith(f"archcost export '{file}' --storage {held} --trial ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--latency", "5"), "allowed: a time above 0 in us, ms or s"),
        (("--size", "2XB"), "allowed: a whole number, 1 to 2^53 bytes"),
        (("--macs", "-1"), "allowed: a whole number"),
    ],
)
def test_what_is_no_limit_is_refused(
    capsys: pytest.CaptureFixture[str], held: str, given: tuple[str, str], said: str
) -> None:
    """With what is allowed."""
    assert said in " ".join(refused(capsys, "choose", held, *given).split())


def test_choosing_loads_no_torch(held: str) -> None:
    """It reads a storage, and runs nothing."""
    script = (
        "import sys\n"
        "from archcost import cli\n"
        "try:\n"
        f"    cli.main(['choose', {held!r}, '--latency', '800us', '--size', '1MB'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, sorted({'torch', 'pandas', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
