"""archcost check and archcost compare as users and CI meet them: verdicts, formats, exit codes, hostile names."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from commands import SMALL, refused, run

from archcost import cli
from archcost.cli.check import check
from archcost.cli.compare.command import compare
from archcost.errors import TargetError
from archcost.latency import measure as measuring
from archcost.latency import runtimes, samples, targets
from archcost.latency.samples import Plan
from archcost.latency.targets import fake
from archcost.profiling import subjects

OTHER = SMALL.replace("[4, 8]", "[8, 8, 8]")
EVIL = SMALL + 'name: "=evil\\x1b[2J\\u202e|<img src=x>"\n'
GIANT = "family: bottleneck\ninput: [3, 8, 8]\nclasses: 2\nblock: basic\ndepths: [1]\nwidths: [4000000000000]\n"
FAKE = ("--target", "fake", "--threads", "1")
_CANNOT = "not measured: fake/eager, batch 1, float32, 1 thread: no power"
FORMS = ("table", "json", "csv", "markdown")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put both commands into the group, and three networks and a budget into the current directory."""
    for command in (check, compare):
        monkeypatch.setitem(cli.cli.commands, str(command.name), command)
    monkeypatch.chdir(tmp_path)
    for name, text in (("small", SMALL), ("other", OTHER), ("evil", EVIL), ("giant", GIANT)):
        Path(f"{name}.yaml").write_text(text, "utf-8")
    budget("params: 1M")


def budget(text: str) -> None:
    """Write the budget."""
    Path("budget.yaml").write_text(text, "utf-8")


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Check the small network against the budget."""
    return run(capsys, "check", "small.yaml", "--budget", "budget.yaml", *arguments)


def fail_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no target measure anything."""

    def failing(*_: object) -> None:
        raise TargetError("no power \x1b[2J")

    monkeypatch.setattr(measuring, "measured", failing)


@pytest.mark.parametrize(
    ("limits", "arguments", "code", "words"),
    [
        ("{params: 2k, macs: 1M, memory: 1 MB, weights: 1 MB}", (), 0, "small: within the budget"),
        ("{params: 1k, macs: 1M}", (), 1, "small: over the budget in params"),
        ("{memory: 8 kB}", ("--batch", "1", "--batch", "64"), 1, "FAIL         memory"),
        ("{weights: 4 kB}", ("--dtype", "float32", "--dtype", "float16"), 1, "PASS         weights"),
        ("{latency: 1 s}", FAKE, 0, "PASS         latency"),
        ("{latency: 1 us}", FAKE, 1, "FAIL         latency"),
        ("{latency: 1.0002 ms}", FAKE, 0, "small: cannot tell for latency"),
        ("{latency: 1.0002 ms}", (*FAKE, "--strict"), 1, "the limit is inside"),
        ("{latency: 1 s}", (*FAKE, "--strict"), 0, "within the budget"),
        ("{params: 1M, latency: 1 s}", ("--no-latency",), 0, "not measured"),
        ("{params: 1M, latency: 1 s}", ("--no-latency", "--strict"), 1, "cannot tell  latency"),
        ("{params: 1M}", ("--strict",), 0, "within the budget"),
        ("{params: 1}", ("--set", "columns=1"), 1, "over the budget in params"),
        ("{params: 1k, latency: 1.0002 ms}", FAKE, 1, "over the budget in params; cannot tell for latency"),
    ],
)
def test_verdicts_and_exit_codes(
    capsys: pytest.CaptureFixture[str], limits: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Exceeded is 1, held is 0, what cannot be told is said, and 1 only under --strict."""
    budget(limits)
    found, out, _ = checked(capsys, *arguments)
    assert (code, True) == (found, words in out)
    assert 80 >= max(len(line) for line in out.splitlines())


def test_a_line_per_limit_with_limit_actual_and_share(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line begins with the verdict and has the exact numbers."""
    params = json.loads(run(capsys, "profile", "small.yaml", "--no-latency", "--no-witness", "--json")[1])["params"]
    budget(f"params: {params * 2}")
    _, out, err = checked(capsys)
    (line,) = [line for line in out.splitlines() if line.startswith("PASS")]
    assert ["PASS", "params", f"{params * 2:,}", f"{params:,}", "50.0%"] == line.split()[:5]
    assert err == ""


def test_counts_alone_are_not_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit on latency nothing is built and nothing measured."""
    monkeypatch.setattr(subjects, "built", lambda *_: pytest.fail("built"))
    assert checked(capsys)[0] == 0


@pytest.mark.parametrize(
    "command",
    [
        ["check", "small.yaml", "--budget", "budget.yaml"],
        ["compare", "small.yaml", "other.yaml", "--no-latency"],
    ],
)
def test_counts_alone_load_no_torch(command: list[str]) -> None:
    """A budget of counts and a comparison without latency load neither torch nor fvcore."""
    root = Path(cli.__file__).parents[2]
    script = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from archcost.cli import cli\nfrom archcost.cli.check import check\n"
        "from archcost.cli.compare.command import compare\n"
        f"cli.add_command(check); cli.add_command(compare)\ncli.main({command}, standalone_mode=False)\n"
        "print(sorted({'torch', 'fvcore', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ("[]", "") == (done.stdout.splitlines()[-1], done.stderr)


@pytest.mark.parametrize("form", FORMS)
def test_every_format_has_every_verdict(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """All formats show all limits, and exit with the same code."""
    budget("{params: 1k, macs: 1M, memory: 1 MB, weights: 1 MB, latency: 1 s}")
    code, out, _ = checked(capsys, *FAKE, "--format", form)
    assert code == 1
    assert all(name in out for name in ("params", "macs", "memory", "weights", "latency"))


def test_json_is_one_document_in_base_units(capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints exact numbers, a verdict of true, false or null each and together, and the latency itself."""
    budget("{params: 1k, memory: 1 MB, latency: 5 ms}")
    _, out, _ = checked(capsys, *FAKE, "--json")
    value = json.loads(out)
    assert ["archcost", "schema", "warnings", "model", "holds", "verdicts", "latencies"] == list(value)
    rows = [(v["name"], v["limit"], v["unit"], v["holds"]) for v in value["verdicts"]]
    assert [
        ("params", 1_000, "scalars", False),
        ("memory", 1_000_000, "bytes", True),
        ("latency", 0.005, "seconds", True),
    ] == rows
    assert value["holds"] is False
    assert value["latencies"][0]["median_s"] == value["verdicts"][2]["actual"]


@pytest.mark.parametrize(("limits", "holds"), [("{params: 1M}", True), ("{params: 1M, latency: 1 s}", None)])
def test_json_says_what_holds_together(capsys: pytest.CaptureFixture[str], limits: str, holds: bool | None) -> None:
    """Together the limits hold, or it cannot be told: null."""
    budget(limits)
    assert holds is json.loads(checked(capsys, "--no-latency", "--json")[1])["holds"]


def test_csv_has_a_row_per_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """The CSV holds base units and the verdict in words."""
    budget("{params: 1k, weights: 1 MB, latency: 1 s}")
    rows = list(csv.DictReader(io.StringIO(checked(capsys, "--no-latency", "--format", "csv")[1])))
    assert [("params", "1000", "FAIL"), ("weights", "1000000", "PASS"), ("latency", "1.0", "cannot tell")] == [
        (row["limit_on"], row["limit"], row["verdict"]) for row in rows
    ]
    assert ("", "") == (rows[2]["actual"], rows[2]["share"])


def test_a_failing_target_is_exit_3(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the target fails, the counts are judged, the reason is said, and the code is 3, also under --strict."""
    fail_everywhere(monkeypatch)
    budget("{params: 1M, latency: 1 s}")
    for arguments in (FAKE, (*FAKE, "--strict")):
        code, out, err = checked(capsys, *arguments)
        assert (3, True, True) == (code, "PASS         params" in out, "no power" in err)
        assert "\x1b" not in out + err


def test_an_exceeded_count_outweighs_a_failing_target(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is exceeded is exceeded, whatever became of the measurement; the failure stands in the verdict."""
    fail_everywhere(monkeypatch)
    budget("{params: 1, latency: 1 s}")
    code, out, _ = checked(capsys, *FAKE)
    assert (1, True) == (
        code,
        "not measured: fake/eager, batch 1, float32, 1 thread: no power" in " ".join(out.split()),
    )


def test_a_disturbed_measurement_accuses_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contention that pushes the median over the limit is no failure while some call met it; the reason is said."""
    measure = partial(fake.measure, scripts=[fake.Script(noise=0.2, waiting=0.5)])
    monkeypatch.setattr(measuring.targets, "find", lambda name: targets.Target("fake", "", fake.describe, measure))
    budget("latency: 0.9 ms")
    code, out, err = checked(capsys, *FAKE)
    words = " ".join(out.split())
    assert (0, True) == (code, "cannot tell latency" in words)
    assert "met the limit; not stable" in words
    assert "contention" in words + err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "small.yaml"), "Missing option '--budget'"),
        (("check", "--budget", "budget.yaml"), "Missing argument 'MODEL'"),
        (("check", "small.yaml", "--budget", "missing.yaml"), "missing.yaml: cannot be read"),
        (("check", "small.yaml", "--budget", "."), "not a regular file"),
        (("check", "missing.yaml", "--budget", "budget.yaml"), "missing.yaml: cannot be read"),
        (("check", "small.yaml", "--budget", "small.yaml"), "small.yaml:1:1: family: unknown key 'family'"),
        (("check", "small.yaml", "--budget", "budget.yaml", "--set", "width=3"), "(did you mean 'widths'?)"),
        (("check", "small.yaml", "--budget", "budget.yaml", "--target", "gpu"), "unknown target 'gpu'"),
        (("check", "small.yaml", "--budget", "budget.yaml", "--batch", "0"), "batch: given 0"),
        (("check", "small.yaml", "--budget", "budget.yaml", "--dtype", "int7"), "unknown dtype 'int7'"),
        (("compare", "small.yaml"), "given 1 network; allowed: two or more to compare"),
        (("compare",), "Missing argument 'MODEL MODEL ...'"),
        (("compare", "-", "-"), "standard input (-) can be read only once"),
        (("compare", "small.yaml", "resnet-5", "--no-latency"), "'resnet-5' is neither a file"),
        (("compare", "small.yaml", "other.yaml", "--runtime", "tpu"), "unknown runtime 'tpu'"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """What a user got wrong is said on standard error, without a traceback, with exit code 2."""
    assert message in refused(capsys, *arguments)


def test_the_mistakes_of_model_and_budget_come_together(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong budget does not hide what is wrong in the model."""
    budget("params: many\nmac: 1M\n")
    _, _, err = checked(capsys, "--set", "columns=none")
    for place in ("budget.yaml:1:9: params: given 'many'", "budget.yaml:2:1: mac: unknown key", "--set columns:1:1: "):
        assert place in err


def test_the_mistakes_of_all_networks_come_together(capsys: pytest.CaptureFixture[str]) -> None:
    """Each network's mistakes are told; one in --set only once."""
    _, _, err = run(capsys, "compare", "small.yaml", "other.yaml", "missing.yaml", "--set", "colour=red")
    assert (1, 1) == (err.count("unknown key 'colour'"), err.count("missing.yaml"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "evil.yaml", "--budget", "budget.yaml"),
        ("compare", "evil.yaml", "small.yaml", "--no-latency", "--layers"),
    ],
)
def test_hostile_names_act_on_nothing(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], form: str
) -> None:
    """A name cannot act on the terminal, on a spreadsheet, or on a page that shows the Markdown."""
    code, out, err = run(capsys, *arguments, "--format", form)
    assert code == 0
    assert not {"\x1b", "\u202e"} & set(out + err)
    if form == "csv":
        assert not any(cell.startswith("=") for row in csv.reader(io.StringIO(out)) for cell in row)
    if form == "markdown":
        assert "<img" not in out
        assert "\\|" in out


def test_our_own_bug_is_exit_70_and_interrupted_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The codes of the command line hold here too."""
    budget("latency: 1 s")
    for error, code in ((KeyError("gone"), 70), (KeyboardInterrupt(), 130)):

        def broken(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(subjects, "built", broken)
        assert code == checked(capsys, *FAKE)[0]
        assert code == run(capsys, "compare", "small.yaml", "other.yaml", *FAKE)[0]


@pytest.mark.parametrize("arguments", [(), ("--layers",)])
@pytest.mark.parametrize("second", ["other.yaml", "giant.yaml", "resnet-50", "hornn-3-fofe"])
def test_a_comparison_fits_80_columns(
    capsys: pytest.CaptureFixture[str], second: str, arguments: tuple[str, ...]
) -> None:
    """Neither many layers nor giant counts make a line wider than a terminal."""
    if second.startswith("hornn"):
        second = next(name.split()[0] for name in run(capsys, "example")[1].splitlines() if name.startswith("hornn"))
    code, out, err = run(capsys, "compare", "small.yaml", second, "--no-latency", *arguments)
    assert (0, "") == (code, err)
    assert 80 >= max(len(line) for line in out.splitlines())


def test_a_giant_is_checked_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of 27 digits are judged exactly and shown short."""
    budget("{params: 9000T, macs: 9000T, memory: 8000 TiB, weights: 1}")
    code, out, _ = run(capsys, "check", "giant.yaml", "--budget", "budget.yaml")
    assert (1, 4) == (code, out.count("FAIL"))
    assert 80 >= max(len(line) for line in out.splitlines())


def test_a_comparison_shows_totals_differences_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    """Totals with difference and ratio, both latencies, the ratio and its interval, and the verdict."""
    code, out, err = run(capsys, "compare", "resnet-20", "resnet-56", *FAKE)
    assert (0, "") == (code, err)
    for text in ("272,474", "855,770", "+583,296", "3.14", "99% interval", "no detectable difference", "by turns"):
        assert text in " ".join(out.split())
    assert 80 >= max(len(line) for line in out.splitlines())


def test_a_slower_network_is_called_slower(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals that lie apart make a verdict."""

    def measure(
        sources: Sequence[runtimes.Source], runtime: runtimes.Runtime, plan: Plan
    ) -> tuple[samples.Samples, ...]:
        times = [1e-3 * len(list(source.network.modules())) for source in sources]
        return fake.measure(sources, runtime, plan, scripts=[fake.Script(each, each) for each in times])

    monkeypatch.setattr(measuring.targets, "find", lambda name: targets.Target("fake", "", fake.describe, measure))
    for models, word in ((("small.yaml", "other.yaml"), "B is slower"), (("other.yaml", "small.yaml"), "B is faster")):
        assert word in run(capsys, "compare", *models, *FAKE)[1]


def test_layers_are_listed_where_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """--layers lists matched layers and those of one network; without it their numbers are said."""
    _, short, _ = run(capsys, "compare", "small.yaml", "other.yaml", "--no-latency")
    _, long, _ = run(capsys, "compare", "small.yaml", "other.yaml", "--no-latency", "--layers")
    assert "only in B" in " ".join(short.split())
    assert "block3" not in short
    assert "block3" in long


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_comparisons_as_rows(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Both have totals and latencies, with --layers the layers; standard error has what could not be, each once."""
    _, out, err = run(capsys, "compare", "small.yaml", "other.yaml", *FAKE, "--format", form, "--layers")
    assert "block3" in out
    assert "fake/eager, batch 1, float32, 1 thread" in out
    (warning,) = err.splitlines()
    assert "not attributed yet: layers on the target fake" in warning


def test_csv_of_a_comparison_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    """The layers' MACs of either network add up to its total."""
    _, out, _ = run(
        capsys, "compare", "small.yaml", "other.yaml", "nin-cifar10", "--no-latency", "--format", "csv", "--layers"
    )
    rows = [row for row in csv.DictReader(io.StringIO(out)) if row["quantity"] == "macs"]
    for number in ("2", "3"):
        mine = [row for row in rows if row["number"] == number]
        (total,) = [row for row in mine if not row["layer"]]
        for side in ("value_first", "value_other"):
            assert int(total[side]) == sum(int(row[side] or 0) for row in mine if row["layer"])


def test_json_of_a_comparison_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints the comparison's dictionary."""
    code, out, _ = run(capsys, "compare", "small.yaml", "other.yaml", "--no-latency", "--json")
    value = json.loads(out)
    assert (0, 2, 1) == (code, len(value["models"]), len(value["comparisons"]))


def test_a_comparison_whose_target_fails_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts are compared all the same, and the reason is told, once for the networks that would take turns."""
    fail_everywhere(monkeypatch)
    code, out, err = run(capsys, "compare", "small.yaml", "other.yaml", *FAKE)
    assert (3, True) == (code, "parameters" in out)
    lines = err.removeprefix("archcost: ").splitlines()
    assert ["fake/eager"] == [line.partition(",")[0] for line in lines]
    assert "\x1b" not in out + err


def test_more_than_26_networks_have_a_name_each(capsys: pytest.CaptureFixture[str]) -> None:
    """After Z, networks are numbered."""
    code, out, _ = run(capsys, "compare", *["small.yaml"] * 28, "--no-latency")
    assert (0, True) == (code, "N28 against A" in out)
