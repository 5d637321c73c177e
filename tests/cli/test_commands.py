"""The command line as users meet it: output, exit codes, streams, signals."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import SMALL, refused, run

from archcost.cli.terminal import progress
from archcost.latency import measure as measuring
from archcost.latency import targets
from archcost.latency.targets import fake
from archcost.profiling import profile, subjects

COUNT = ("--no-latency", "--no-witness")


class Tags(HTMLParser):
    """Collects the names of a page's elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def archcost(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "archcost", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_the_table_fits_80_columns_and_has_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """The totals stand in full, the groups and columns are there, no line is wider than 80."""
    code, out, _ = run(capsys, "profile", "fractalnet-20", "--target", "fake", "--threads", "1")
    assert 0 == code
    for text in ("33,724,618", "845,222,912", "block5", "549,131,264", "agree", "stable", "batch 1, float32, 1 thread"):
        assert text in out
    assert 80 >= max(len(line) for line in out.splitlines())


def test_the_latencies_lead_and_their_details_are_asked_for(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """A line for each before all counts; --verbose adds what else is known of them, below, and changes nothing else."""
    asked = ("profile", small, "--target", "fake", "--no-witness", "--batch", "1,8")
    short, long = (run(capsys, *asked, *more)[1].splitlines() for more in ((), ("--verbose",)))
    assert ([], ["latency", "batch", "median", "blocks"]) == (short[2].split(), short[3].split())
    assert [["fake/eager", "1"], ["fake/eager", "8"]] == [line.split()[:2] for line in short[4:6]]
    assert {"stable"} == {line.split()[-1] for line in short[4:6]}
    assert "  float32, 1 thread; on fake" == short[6]
    assert short == [line for line in long if line in short]
    details = "\n".join(line for line in long if line not in short)
    for text in ("samples in 8 blocks", "calibration kernels", "first call", "torch "):
        assert 2 == details.count(text)
    assert 80 >= max(map(len, long))


def test_all_shipped_networks_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """The list of shipped networks and the table of each keep to 80 columns."""
    _, names, _ = run(capsys, "example")
    for line in names.splitlines():
        assert len(line) <= 80
        _, out, _ = run(capsys, "profile", line.split()[0], *COUNT)
        assert 80 >= max(len(row) for row in out.splitlines())


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ((), ["block1", "block2", "head"]),
        (("--depth", "1"), ["block1", "block2", "head"]),
        (("--depth", "2"), ["block1.column2", "block1.column1", "block1.join1", "block1.pool", "block2.column2",
                            "block2.column1", "block2.join1", "block2.pool", "head.pool", "head.linear"]),
    ],
)  # fmt: skip
def test_groups_are_as_deep_as_asked_for(
    capsys: pytest.CaptureFixture[str], small: str, depth: tuple[str, ...], expected: list[str]
) -> None:
    """In the table and in Markdown; JSON is the same at every depth."""
    out = run(capsys, "profile", small, *COUNT, *depth)[1]
    rows = out.partition("  group ")[2].partition("\n\n")[0].splitlines()[1:]
    assert expected == [row.split()[0] for row in rows]
    out = run(capsys, "profile", small, *COUNT, *depth, "--format", "markdown")[1]
    rows = out.partition("| group |")[2].partition("\n\n")[0].splitlines()[2:]
    assert expected == [row.split()[1] for row in rows]
    plain = run(capsys, "profile", small, *COUNT, "--json")[1]
    assert plain == run(capsys, "profile", small, *COUNT, *depth, "--json")[1]


def test_a_comparison_has_groups_as_deep_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """In place of the layers, in the table, in Markdown and in CSV; JSON has every layer."""
    typed = ("compare", "resnet-20", "resnet-56", "--no-latency")
    out = run(capsys, *typed, "--depth", "1")[1]
    assert "groups       6 of the same name, 3 of them with other counts" in out
    rows = [line.split()[0] for line in out.partition("MACs A")[2].splitlines()[1:]]
    assert ["stem", "stage1", "stage2", "stage3", "head"] == rows
    assert (
        "| stage1 params | 14,016 | 42,048 | 3.00 |" in run(capsys, *typed, "--depth", "1", "--format", "markdown")[1]
    )
    assert ",stage1,,params,14016,42048," in run(capsys, *typed, "--depth", "1", "--format", "csv")[1]
    assert run(capsys, *typed, "--json")[1] == run(capsys, *typed, "--depth", "1", "--json")[1]


def test_many_groups_are_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The table says how many are left, and how to see fewer; a name is cut at its beginning, where all are alike."""
    out = run(capsys, "profile", "resnet-164", *COUNT, "--depth", "3")[1]
    assert re.search(
        r"^  \.\.\. and [0-9]+ groups more; --depth N shows larger ones, --format json all layers$", out, re.M
    )
    assert 80 >= max(len(line) for line in out.splitlines())


def test_without_witnesses_the_table_says_so(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """--no-witness is told in the output."""
    assert "left out" in run(capsys, "profile", small, *COUNT)[1]


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """--json and --format json print the same single document, and nothing else."""
    first = run(capsys, "profile", small, *COUNT, "--json")
    assert first == run(capsys, "profile", small, *COUNT, "--format", "json")
    value = json.loads(first[1])
    assert ("small", "fractal", [3, 8, 8], None) == tuple(
        value["model"][k] for k in ("name", "family", "input", "steps")
    )


def test_csv_has_a_row_per_node(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """The CSV's MACs add up to the network's."""
    rows = list(csv.DictReader(io.StringIO(run(capsys, "profile", small, *COUNT, "--format", "csv")[1])))
    macs = json.loads(run(capsys, "profile", small, *COUNT, "--json")[1])["macs"]
    assert macs == sum(int(row["macs"]) for row in rows)


CSV = ("--no-witness", "--format", "csv")


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ((), ""),
        (("--batch", "4", "--dtype", "float16"), ""),
        (("--no-latency", "--time", "1s"), ""),
        (
            ("--target", "fake", "--target", "cpu", "--time", "1s"),
            "note: --format csv is the table of layers: nothing is measured, --target and --time not used\n",
        ),
    ],
)
def test_csv_is_not_measured_for(
    capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], note: str
) -> None:
    """No latency is in a CSV, so none is measured, which is said where an option asks for one."""
    monkeypatch.setattr(measuring, "measured", lambda *_: pytest.fail("measured"))
    assert (0, note) == run(capsys, "profile", small, *CSV, *options)[::2]


def test_csv_beside_a_page_is_measured_for(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """The page holds latencies, whatever is printed."""
    page = tmp_path / "page.html"
    assert (0, "") == run(capsys, "profile", small, *CSV, "--target", "fake", "--html", str(page))[::2]
    assert '<h2 id="latency">' in page.read_text("utf-8")


def test_markdown_is_a_table(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """Markdown holds the totals, the groups and the latencies as tables."""
    out = run(capsys, "profile", small, "--target", "fake", "--format", "markdown")[1]
    assert "| parameters | " in out
    assert "| block1 | " in out
    assert "| fake | eager | 1 | float32 |" in out
    assert "| median | blocks | stable |" in out


def test_standard_input_is_read(small: str) -> None:
    """A dash reads the model from standard input; its name is that of the stream."""
    done = archcost("profile", "-", *COUNT, "--json", input=SMALL.encode())
    assert (0, b"") == (done.returncode, done.stderr)
    assert (
        json.loads(done.stdout)["params"] == json.loads(archcost("profile", small, *COUNT, "--json").stdout)["params"]
    )


def test_overrides_apply_in_order(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """--set changes keys, the last one wins."""
    out = run(capsys, "profile", small, *COUNT, "--json", "--set", "columns=3", "--set", "columns=1")[1]
    assert [1] == [c["column"] for c in json.loads(out)["columns"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("profile", "missing.yaml"), "missing.yaml"),
        (("profile", "."), "not a regular file"),
        (("profile", "resnet-5"), "neither a file nor a shipped network"),
        (("profile", "resnet-20", "--set", "depths=[3, x, 3]"), "--set depths:1:5: depths.1: given 'x'"),
        (("profile", "resnet-20", "--set", "widht=3"), "(did you mean 'widths'?)"),
        (("profile", "resnet-20", "--target", "gpu"), "unknown target 'gpu'"),
        (("profile", "resnet-20", "--runtime", "tpu"), "unknown runtime 'tpu'"),
        (("profile", "resnet-20", "--batch", "0"), "batch: given 0"),
        (("profile", "resnet-20", "--batch", "x"), "batch: given x; allowed: an integer of at least 1"),
        (("profile", "resnet-20", "--time", "never"), "allowed: a time above 0, such as 10s"),
        (("profile", "resnet-20", "--time", "-1s"), "given '-1s'; allowed: a time above 0"),
        (("profile", "resnet-20", "--html", ""), "given ''; allowed: the name of a file"),
        (("profile", "resnet-20", "--html", "-"), "given '-'; allowed: the name of a file"),
        (("profile", "RESNET-20"), "(did you mean 'resnet-20'?)"),
        (("profile", "resnet-20", "--precision", "200%"), "allowed: a share such as 2%"),
        (("profile",), "Missing argument 'MODEL'"),
        (("profil",), "Did you mean 'profile'?"),
        (("example", "resnet-5"), "unknown network 'resnet-5'"),
        (("schema", "modell"), "unknown schema 'modell' (did you mean 'model'?)"),
        (
            ("profile", "resnet-20", *COUNT, "--html", "nowhere/page.html"),
            "cannot write 'nowhere/page.html': there is no such folder",
        ),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """What a user got wrong is said on standard error, without a traceback, with exit code 2."""
    assert message in refused(capsys, *arguments)


def test_every_mistake_of_a_file_begins_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """All mistakes are told at once, each as file:line:column: key: what was given."""
    path = tmp_path / "bad.yaml"
    path.write_text(SMALL.replace("classes: 4", "classes: four").replace("[4, 8]", "[4, 0]") + "colour: red\n", "utf-8")
    code, _, err = run(capsys, "profile", str(path))
    assert code == 2
    placed = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): ([\w.]+): ", err, re.MULTILINE)
    assert [("3", "10", "classes"), ("5", "13", "widths.1"), ("6", "1", "colour")] == placed


def test_hidden_characters_are_shown_as_escapes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A name with a terminal escape and a right-to-left mark cannot act on the terminal, nor in any format."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + 'name: "evil\\x1b[2J\\u202e<img src=x>"\n', "utf-8")
    for form in ("table", "json", "csv", "markdown"):
        _, out, err = run(capsys, "profile", str(path), *COUNT, "--format", form)
        assert not {"\x1b", "\u202e"} & set(out + err)
    assert "evil\\x1b[2J\\u202e" in run(capsys, "profile", str(path), *COUNT)[1]


def test_a_count_that_differs_is_exit_1(
    capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a witness counts otherwise, the node is named and the exit code is 1."""
    real = profile._witnessed
    wrong = ("block1.conv: 1 MACs counted",)
    monkeypatch.setattr(profile, "_witnessed", lambda *given: (replace(real(*given)[0], differences=wrong), given[2]))
    code, out, _ = run(capsys, "profile", small, "--no-latency")
    assert code == 1
    assert "DISAGREE" in out
    assert "block1.conv: 1 MACs counted" in out


def test_a_failing_target_is_exit_3_and_the_rest_is_there(
    capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that cannot measure gives its reason and exit code 3; the counts are still printed."""
    from archcost.errors import TargetError

    def failing(*_: object) -> None:
        raise TargetError("no power")

    monkeypatch.setattr(measuring, "measured", failing)
    code, out, err = run(capsys, "profile", small, "--no-witness")
    assert (3, True, True) == (code, "parameters" in out, "no power" in err)


def test_our_own_bug_is_exit_70(
    capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is told in one line; the traceback only with --debug."""
    monkeypatch.setattr(subjects, "built", lambda *_: {}["gone"])
    code, _, err = run(capsys, "profile", small)
    assert (70, True, False) == (code, "internal error: KeyError: 'gone'" in err, "Traceback" in err)
    assert "Traceback" in run(capsys, "profile", small, "--debug")[2]


def test_interrupted_is_130(capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and a word."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subjects, "built", interrupted)
    code, out, err = run(capsys, "profile", small)
    assert (130, "", "archcost: interrupted") == (code, out, err.strip())


@pytest.mark.skipif(os.name != "posix", reason="signals as exit codes are POSIX")
def test_terminated_is_143_and_leaves_no_half_file(tmp_path: Path) -> None:
    """SIGTERM while measuring ends with 143; no page and no part of one is left."""
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "archcost", "profile", "resnet-20", "--time", "10m", "--precision", "0.001%"]
    process = subprocess.Popen([*command, "--no-witness", "--html", str(page)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.readline()  # the line that says it has been measuring for some seconds
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert [] == list(tmp_path.iterdir())


def test_a_closed_pipe_is_silent() -> None:
    """A reader that goes away leaves no message behind."""
    command = f"{sys.executable} -m archcost profile resnet-50 --no-latency --no-witness --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert (b"{", b"") == (done.stdout, done.stderr)


@pytest.mark.parametrize("command", ["example", "targets", "profile resnet-50 --format csv --no-witness"])
def test_a_pipe_that_closes_between_lines_is_silent(command: str) -> None:
    """Also where more is printed after the reader went away: nothing is said, and the exit code is 0."""
    piped = f"(sleep 0.1; exec {sys.executable} -m archcost {command}) | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, timeout=60, check=False)
    assert (b"0\n", b"") == (done.stdout, done.stderr)


@pytest.mark.parametrize("job", [b"", b"garbage\n", b"\xff\x00", b"{}"])
def test_the_far_side_answers_whatever_it_is_given(job: bytes) -> None:
    """What is no job gets an answer that says so, one line of JSON, and an answer is exit code 0."""
    done = archcost("measure", "-", input=job)
    assert (0, b"", 1) == (done.returncode, done.stderr, done.stdout.count(b"\n"))
    assert done.stdout.endswith(b"\n")
    assert "input" == json.loads(done.stdout)["answer"]["kind"]


def test_doubts_are_in_the_row_or_once_below(
    capsys: pytest.CaptureFixture[str], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile's rows have them in a few words; else doubts are told once. What is best is not said for sure."""
    measure = partial(fake.measure, scripts=[fake.Script(waiting=0.2)])
    monkeypatch.setattr(measuring.targets, "find", lambda name: targets.Target("fake", "", fake.describe, measure))
    asked = ("--target", "fake", "--batch", "1..4")
    told = [
        " ".join(run(capsys, *command, *asked, "--format", form)[1].split())
        for command in (("profile", small, "--no-witness"), ("compare", small, small))
        for form in ("table", "markdown")
    ]
    assert [0, 1, 1, 1] == [words.count("not stable, all: contention: 20.0% of the sampling time") for words in told]
    assert [3, 1, 1, 1] == [words.count("contention") for words in told]
    assert 3 == told[0].count("not stable: contention 20.0%")
    assert "at batch 4; not sure, some rows are not stable" in told[0]


def test_every_failure_is_said_by_archcost(capsys: pytest.CaptureFixture[str], small: str) -> None:
    """Each line on standard error begins with the program's name; the table tells a reason once."""
    asked = ("--target", "mps", "--batch", "1", "--batch", "8", "--no-witness")
    code, out, err = run(capsys, "profile", small, *asked)
    if code == 0:
        pytest.skip("this machine has an mps")
    assert ["archcost: mps/eager, batch 1, float32: ", "archcost: mps/eager, batch 8, float32: "] == [
        line.partition("Metal")[0] for line in err.splitlines()
    ]
    assert "failed mps/eager, batch 1, float32; batch 8: Metal (MPS) exists on macOS only" in " ".join(out.split())


def test_a_large_batch_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """However long its numbers, the line of the memory is wrapped."""
    out = run(capsys, "profile", "resnet-50", *COUNT, "--batch", "1000000000")[1]
    assert 80 >= max(len(line) for line in out.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
@pytest.mark.parametrize("command", ["profile -", "measure -", "measure --attached -", "export - --to yaml"])
def test_a_closed_standard_input_is_said(command: str) -> None:
    """What `-` would read is named, and that it cannot be."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m archcost {command} <&-"], capture_output=True, timeout=60, check=False
    )
    assert (2, b"", b"<stdin>: cannot be read: standard input is closed\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


CLOSED = (">&-", "2>&-", "<&- >&- 2>&-")


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
@pytest.mark.parametrize(
    ("command", "closed"),
    [
        *(("profile resnet-20 --no-latency --no-witness", closed) for closed in CLOSED),
        *(("targets", closed) for closed in CLOSED),
        ("profile resnet-20 --target fake --no-witness", CLOSED[-1]),  # it loads torch
        ("study status no.db", CLOSED[0]),
        ("study status no.db", CLOSED[-1]),
    ],
)
def test_a_closed_output_is_like_one_that_nobody_reads(command: str, closed: str) -> None:
    """The command runs and exits as ever; what is open gets what it would have got."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m archcost {command} {closed}"], capture_output=True, timeout=60, check=False
    )
    fails = command.startswith("study")
    assert 2 * fails == done.returncode
    assert (closed == "2>&-" and not fails) == bool(done.stdout)
    assert (closed == ">&-" and fails) == (b"no study is stored in" in done.stderr)
    assert b"rror" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
def test_what_is_written_does_not_get_a_closed_stream(small: str, tmp_path: Path) -> None:
    """A file that is opened gets no number of a standard stream: what is printed, also in C++, would be in it."""
    command = f"{sys.executable} -m archcost export {small} --to pt2 -o x.pt2 <&- >&- 2>&-"
    assert 0 == subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=60, check=False).returncode
    assert b"PK" == (tmp_path / "x.pt2").read_bytes()[:2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said() -> None:
    """Where standard output cannot be written, one message says so."""
    command = f"{sys.executable} -m archcost profile resnet-50 --no-latency --no-witness --json > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert (2, 1) == (done.returncode, done.stderr.count(b"\n"))
    assert b"No space left on device" in done.stderr


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """archcost schema model prints a JSON Schema that names all families."""
    schema = json.loads(run(capsys, "schema", "model")[1])
    assert {"bottleneck", "nin", "rir", "fractal", "hornn", "module"} == set(schema["discriminator"]["mapping"])


def test_an_example_round_trips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A shipped network that is printed and saved is the same network."""
    path = tmp_path / "mine.yaml"
    path.write_text(run(capsys, "example", "resnet-56")[1], "utf-8")
    digests = [
        json.loads(run(capsys, "profile", m, *COUNT, "--json")[1])["model"]["digest"] for m in (str(path), "resnet-56")
    ]
    assert digests[0] == digests[1]


def test_targets_says_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    """The cpu is listed with its threads, the fake target is not."""
    value = json.loads(run(capsys, "targets", "--json")[1])
    assert [("cpu", True), ("cuda", False), ("mps", False)] == [
        (t["target"], t["here"]) for t in value["targets"] if t["target"] == "cpu" or not t["here"]
    ]
    assert "eager" in value["runtimes"]
    assert "cpu " in run(capsys, "targets")[1]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts_are_printed(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """Each shell gets a script that asks archcost itself."""
    assert "_ARCHCOST_COMPLETE" in run(capsys, "completion", shell)[1]


def test_no_colour_where_none_is_wanted() -> None:
    """Neither a pipe nor NO_COLOR gets terminal codes."""
    done = archcost("profile", "resnet-20", *COUNT, env={**os.environ, "NO_COLOR": "1"})
    assert b"\x1b" not in done.stdout


def test_the_page_holds_the_same_numbers_and_no_name_in_it_is_a_tag(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """--html writes one whole page: exact counts as text, nothing from elsewhere, hostile names as text."""
    path, page = tmp_path / "small.yaml", tmp_path / "page.html"
    path.write_text(SMALL + "name: '</title><script>alert(1)</script><img src=x onerror=y>'\n", "utf-8")
    code, out, _ = run(capsys, "profile", str(path), "--target", "fake", "--html", str(page))
    text = page.read_text("utf-8")
    macs = next(line for line in out.splitlines() if "MACs" in line).split()[1]
    assert (0, True) == (code, macs in text)
    tags = Tags()
    tags.feed(text)
    assert not tags.names & {"img", "link", "iframe", "object", "form"}
    assert not {name for name in tags.attributes if name == "src" or name.startswith("on")}
    assert "<script>alert" not in text
    assert ["page.html", "small.yaml"] == sorted(p.name for p in tmp_path.iterdir())


def test_progress_is_silent_about_what_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal, a quick stage is not mentioned."""
    with progress("something quick"):
        time.sleep(0.01)
    assert ("", "") == tuple(capsys.readouterr())
