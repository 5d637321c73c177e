"""archcost suggest as users meet it: what is listed, what is measured by turns, what is written, and exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from commands import SMALL, refused, run

import archcost
from archcost import cli
from archcost.cli.suggest.command import suggest
from archcost.errors import TargetError
from archcost.latency import targets
from archcost.latency.runtimes import Runtime, Source
from archcost.latency.samples import Plan, Samples
from archcost.latency.targets import Target, fake
from archcost.models import published
from archcost.profiling.suggest.changes import UNKNOWN, counts, suggestions

LEAST = "family: hornn\ninput: {steps: 1, features: 1}\nclasses: 1\nhidden: 1\norder: 1\n"
COUNT = "--no-latency"

Measure = Callable[[Sequence[Source], Runtime, Plan], tuple[Samples, ...]]
Invented = Callable[[Measure], None]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command among the others."""
    monkeypatch.setitem(cli.cli.commands, "suggest", suggest)


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> Invented:
    """Make a target named `invented` of a function."""

    def make(measure: Measure) -> None:
        module = ModuleType("invented_target")
        made = Target("invented", "", fake.describe, measure)
        module.target = lambda name: made  # type: ignore[attr-defined]  # as every module of the table has one
        monkeypatch.setitem(sys.modules, "invented_target", module)
        monkeypatch.setitem(targets.KINDS, "invented", "invented_target")

    return make


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return the one JSON document the command prints."""
    code, out, _ = run(capsys, "suggest", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def size(source: Source) -> int:
    """Return a network's parameters."""
    return sum(p.numel() for p in source.network.parameters())


def test_the_table_has_exact_counts_and_says_what_it_cannot_know(capsys: pytest.CaptureFixture[str]) -> None:
    """The original and each change stand with exact counts, most MACs saved first, with reasons and the caveat."""
    code, out, err = run(capsys, "suggest", "resnet-50", COUNT, "--top", "2")
    assert (0, "") == (code, err)
    assert "25,557,032 parameters, 4,089,184,256 MACs" in out
    rows = [line.split("  ") for line in out.splitlines() if line.startswith(("  1  ", "  2  "))]
    assert ["1", "reduction 8, not 4", "12,381,864", "51.6%", "1,822,031,872", "55.4%"] == [c for c in rows[0] if c]
    assert "3x3 in groups: 32, not 1" in out
    assert "1: Network in Network's low-dimensional embedding" in out
    assert "... and 10 more, which save less; --top 12 shows all" in out
    assert UNKNOWN in out


@pytest.mark.parametrize("name", published.names())
def test_every_shipped_network_fits_80_columns(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """All changes of each shipped network keep to 80 columns, no title is cut."""
    code, out, _ = run(capsys, "suggest", name, COUNT, "--top", "99")
    assert (0, True) == (code, max(len(line) for line in out.splitlines()) <= 80)
    assert all(s.change.title in out for s in suggestions(archcost.load(name)))


def test_json_holds_what_python_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, differences, ratios, overrides, YAML and digest are those of the library; nothing was measured."""
    value = parsed(capsys, "nin-cifar10", COUNT, "--batch", "4", "--dtype", "float16", "--top", "50")
    model = archcost.load("nin-cifar10")
    found = suggestions(model, batch=4, dtype="float16")
    assert (len(found), len(found), 4, "float16") == (
        len(value["suggestions"]), value["found"], value["batch"], value["dtype"]
    )  # fmt: skip
    assert tuple(counts(model, batch=4, dtype="float16")) == (
        value["params"], value["macs"], value["peak_memory_bytes"]
    )  # fmt: skip
    for i, (row, s) in enumerate(zip(value["suggestions"], found, strict=True), 1):
        assert [i, *s.after] == [row[key] for key in ("number", "params", "macs", "peak_memory_bytes")]
        assert [*s.saved] == [row[f"{key}_saved"] for key in ("params", "macs", "peak_memory_bytes")]
        assert [*s.ratios] == [row[f"{key}_ratio"] for key in ("params", "macs", "peak_memory_bytes")]
        assert (list(s.change.overrides), s.yaml, s.digest) == (row["overrides"], row["yaml"], row["digest"])
        assert row["latency"] is None
    assert (UNKNOWN, None) == (value["note"], value["written"])


def test_overrides_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """--set changes the original, which the changes then start from."""
    value = parsed(capsys, "resnet-50", COUNT, "--set", "reduction=8", "--top", "1")
    assert (12381864, "reduction 16, not 8") == (value["params"], value["suggestions"][0]["title"])


def test_csv_has_a_row_per_change(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """The same numbers stand in the CSV; what was not measured is empty."""
    code, out, _ = run(capsys, "suggest", small, COUNT, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = suggestions(archcost.load(small))
    assert (0, len(found)) == (code, len(rows))
    assert [s.after.macs for s in found] == [int(row["macs"]) for row in rows]
    assert {""} == {row["ratio"] for row in rows}


def test_markdown_is_a_table(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """Markdown holds a row per change."""
    out = run(capsys, "suggest", small, COUNT, "--format", "markdown")[1]
    assert "| number | title | why | overrides |" in out
    assert 2 + len(suggestions(archcost.load(small))) == out.count("\n")


def test_networks_are_measured_by_turns(capsys: pytest.CaptureFixture[str], small: str, invented: Invented) -> None:
    """The original and each change take turns, and all together have the time that was given."""
    seen: list[tuple[list[int], float]] = []

    def measure(sources: Sequence[Source], runtime: Runtime, plan: Plan) -> tuple[Samples, ...]:
        seen.append(([size(source) for source in sources], plan.time_s * len(sources)))
        return fake.measure(sources, runtime, plan)

    invented(measure)
    value = parsed(capsys, small, "--target", "invented", "--time", "4s", "--top", "2")
    assert [[value["params"], row["params"]] for row in value["suggestions"]] == [sizes for sizes, _ in seen]
    assert sum(time_s for _, time_s in seen) == pytest.approx(4)


def test_what_is_faster_slower_or_the_same_is_told(capsys: pytest.CaptureFixture[str], invented: Invented) -> None:
    """Each change is told faster, slower or neither; where fewer MACs take longer, a note says so."""
    times = {"hidden 200, not 400": 0.002, "order 2, not 3": 0.0005}
    by_size = {s.after.params: times.get(s.change.title, 0.001) for s in suggestions(archcost.load("hornn-3"))}

    def measure(sources: Sequence[Source], runtime: Runtime, plan: Plan) -> tuple[Samples, ...]:
        times = [by_size.get(size(source), 0.001) for source in sources]
        scripts = [fake.Script(base_s=base_s, warmup=0, noise=0.001) for base_s in times]
        return fake.measure(sources, runtime, plan, scripts=scripts)

    invented(measure)
    asked = ("hornn-3", "--target", "invented", "--time", "20s")
    _, out, err = run(capsys, "suggest", *asked, "--format", "csv")
    words = {row["title"]: row["measured"] for row in csv.DictReader(io.StringIO(out))}
    assert ("slower", "faster") == (words.pop("hidden 200, not 400"), words.pop("order 2, not 3"))
    assert {"no detectable difference"} == set(words.values())
    order = [row["title"] for row in csv.DictReader(io.StringIO(out))]
    assert ("order 2, not 3", "hidden 200, not 400") == (order[0], order[-1])
    note = "change 1: 52.7% of the MACs saved, yet 2.00 times the latency: fewer MACs are not always faster"
    assert f"warning: {note}" in err.splitlines()
    code, out, _ = run(capsys, "suggest", *asked)
    assert (0, True) == (code, note in " ".join(out.split()))
    assert "Measured by turns, invented/eager, batch 1, float32, " in out
    assert "2.00  slower\n" in out
    assert "1.00  no detectable difference\n" in out


def test_latencies_are_in_json_and_csv(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """The measured pair stands beside the counts, with its interval."""
    value = parsed(capsys, small, "--target", "fake", "--top", "1")
    latency = value["suggestions"][0]["latency"]
    low, high = latency["ratio_interval"]
    assert low <= latency["ratio"] <= high
    assert latency["differ"] is (not low <= 1 <= high)
    rows = list(csv.DictReader(io.StringIO(run(capsys, "suggest", small, "--target", "fake", "--format", "csv")[1])))
    assert all(0.9 < float(row["ratio"]) < 1.1 and row["measured"] for row in rows)


def test_a_change_that_cannot_be_measured_is_exit_3(
    capsys: pytest.CaptureFixture[str], small: str, invented: Invented
) -> None:
    """The other changes are measured and printed; the failure is told at the end."""
    original = archcost.load(small).cost.params
    fails = suggestions(archcost.load(small))[0].after.params
    assert fails != original

    def measure(sources: Sequence[Source], runtime: Runtime, plan: Plan) -> tuple[Samples, ...]:
        if fails in map(size, sources):
            raise TargetError("no power")
        return fake.measure(sources, runtime, plan)

    invented(measure)
    code, out, err = run(capsys, "suggest", small, "--target", "invented")
    assert (3, True) == (code, "Measured by turns" in out)
    assert "archcost: change 1: no power" in err


def test_a_change_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--apply writes the network whose counts were listed under that number; the file's name is its name."""
    path = tmp_path / "lean.yaml"
    second = suggestions(archcost.load("nin-cifar10"))[1]
    code, out, _ = run(capsys, "suggest", "nin-cifar10", "--apply", "2", "-o", str(path))
    written = archcost.load(path)
    assert (0, True) == (code, "Wrote" in out)
    assert (second.digest, "lean") == (written.digest, written.name)
    assert (second.after.params, second.after.macs) == (written.cost.params, written.cost.macs)
    assert f'# "NiN CIFAR-10": {second.change.title}\n{second.yaml}' == path.read_text("utf-8")
    assert ["lean.yaml"] == [p.name for p in tmp_path.iterdir()]


def test_what_was_written_is_in_the_json(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """With --apply the document holds that change alone, and the file."""
    path = str(tmp_path / "lean.yaml")
    value = parsed(capsys, small, "--apply", "2", "-o", path)
    assert (path, [(2, None)]) == (value["written"], [(s["number"], s["latency"]) for s in value["suggestions"]])


def test_a_hostile_name_stays_text(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """Neither the terminal nor the comment in the written file is acted on by a network's name."""
    Path(small).write_text(SMALL + 'name: "a\\x1b[2J\\u202e\\nwidths: [1]\\uFFFE#"\n', "utf-8")
    for form in ("table", "json", "csv", "markdown"):
        out = run(capsys, "suggest", small, COUNT, "--format", form)[1]
        assert not {"\x1b", "\u202e"} & set(out)
    path = tmp_path / "lean.yaml"
    assert run(capsys, "suggest", small, "--apply", "1", "-o", str(path))[0] == 0
    assert suggestions(archcost.load(small))[0].digest == archcost.load(path).digest


def test_nothing_to_save_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A network without suggestions is no mistake: a sentence says so, the JSON has an empty list."""
    path = tmp_path / "least.yaml"
    path.write_text(LEAST, "utf-8")
    code, out, _ = run(capsys, "suggest", str(path))
    assert (0, True) == (code, "No single change" in out)
    assert ([], 0) == tuple(parsed(capsys, str(path))[key] for key in ("suggestions", "found"))
    code, _, err = run(capsys, "suggest", str(path), "--apply", "1", "-o", str(tmp_path / "x.yaml"))
    assert (2, True) == (code, "no change of this network saves" in err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet-20", "--apply", "99", "-o", "x.yaml"), "given 99; allowed: 1 to 5"),
        (("resnet-20", "--apply", "0", "-o", "x.yaml"), "given 0; allowed: 1 to 5"),
        (("resnet-20", "--apply", "x", "-o", "x.yaml"), "'x' is not a valid integer"),
        (("resnet-20", "--apply", "1"), "--apply N and -o FILE go together"),
        (("resnet-20", "-o", "x.yaml"), "--apply N and -o FILE go together"),
        (("resnet-20", "--apply", "1", "-o", "nowhere/x.yaml"), "cannot write 'nowhere/x.yaml'"),
        (("resnet-20", "--top", "0"), "0 is not in the range"),
        (("resnet-20", "--batch", "1", "--batch", "2"), "allowed: one target, runtime, batch, dtype and threads"),
        (("resnet-20", "--target", "gpu"), "unknown target 'gpu'"),
        (("resnet-20", "--batch", "0"), "batch: given 0"),
        (("resnet-5",), "neither a file nor a shipped network"),
        (("resnet-20", "--set", "widht=3"), "(did you mean 'widths'?)"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """What a user got wrong is said on standard error, and no file is written."""
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "suggest", *arguments)
    assert [] == list(tmp_path.iterdir())


def test_stages_that_were_left_out_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """If there are too many stages to change one by one, a warning says how many were not."""
    path = tmp_path / "deep.yaml"
    lists = f"depths: {[2] * 40}\nstrides: {[1] * 40}\nwidths: {[*range(20, 60)]}\n"
    path.write_text(f"family: bottleneck\ninput: [3, 4, 4]\nclasses: 2\n{lists}", "utf-8")
    assert "8 stages or layers" in run(capsys, "suggest", str(path), COUNT, "--json")[2]


def test_counting_changes_is_light() -> None:
    """Listing suggestions without latencies, and writing one, load neither torch nor fvcore."""
    call = "from archcost.cli.suggest.command import suggest as run; run.main(['resnet-20', '--no-latency'], "
    script = f"import sys; {call}standalone_mode=False); print(*sys.modules, sep=',')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split(",")}
    assert ("archcost" in loaded, loaded & {"torch", "fvcore", "numpy"}) == (True, set())
