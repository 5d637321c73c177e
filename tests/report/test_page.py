"""Reports without a browser: from JSON to blocks, figures and pages, and the command that writes them."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import run
from stored_studies import Wanted, made
from torch import nn

import archcost
from archcost.errors import InputError
from archcost.graph import codec
from archcost.graph.drawing.svg import draw
from archcost.models.families.fractal import Fractal
from archcost.profiling.budget import Budget
from archcost.profiling.compare import compare
from archcost.report import profile
from archcost.report.blocks import (
    Axis,
    Bars,
    Cards,
    Chart,
    Document,
    Drawing,
    Icicle,
    Lines,
    Rule,
    Scatter,
    Section,
    Series,
    Table,
    Verdicts,
)
from archcost.report.figures import figure, text
from archcost.report.json_input import Compared, Profiled, read, typed
from archcost.report.page import charts, hashed, page
from archcost.report.study.document import study
from archcost.study.records.trials import remember, remembered

STUDY = """
models: [{family: fractal, columns: {int: [1, 2]}, widths: [8]}]
data: {name: digits}
objectives: [{error: min}, {latency: min}]
"""
FAKE = ("--target", "fake", "--threads", "1")
COUNT = ("--no-latency", "--no-witness")


def told(source: str, **options: Any) -> dict[str, Any]:
    """Return what `profile --json` prints."""
    found = archcost.profile(source, **{"target": "fake", "threads": 1, "witness": False, **options})
    whole: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    return whole


def reported(source: str, limits: Budget | None = None, **options: Any) -> Document:
    """Return the report of a network."""
    document = told(source, **options)
    found = typed(document)
    assert isinstance(found, Profiled)
    return profile.report(found, document, "archcost profile", limits)


def blocks(document: Document, kind: type) -> list[Any]:
    """Return the blocks of one kind."""
    return [block for section in document.sections for block in section.blocks if isinstance(block, kind)]


def table(document: Document, key: str) -> Table:
    """Return the table of that key."""
    found = next(one for one in blocks(document, Table) if one.key == key)
    assert isinstance(found, Table)
    return found


def drawn(document: Document, key: str) -> Any:
    """Return what a chart draws."""
    return next(chart.drawn for chart in charts(document) if chart.key == key)


@pytest.mark.parametrize("source", ["resnet-50", "fractalnet-20", "hornn-3-gated", "nin-cifar10"])
def test_boxes_and_tables_hold_the_exact_counts(source: str) -> None:
    """The outermost box has all MACs, a box those of its parts; groups and nodes add up to the totals."""
    report, whole = reported(source), told(source)
    icicle = drawn(report, "modules")
    assert isinstance(icicle, Icicle)
    assert whole["macs"] == icicle.leaves[0].value
    inside: dict[int, float] = {}
    for leaf in icicle.leaves:
        inside[leaf.parent] = inside.get(leaf.parent, 0) + leaf.value
    assert {place: icicle.leaves[place].value for place in inside if place >= 0} == {
        place: value for place, value in inside.items() if place >= 0
    }
    for key, (params, macs) in {"groups": (1, 3), "layers": (5, 6)}.items():
        rows = table(report, key).rows
        assert (whole["params"], whole["macs"]) == (
            sum(row.cells[params].value or 0 for row in rows),
            sum(row.cells[macs].value or 0 for row in rows),
        )


def test_every_row_has_a_cell_for_every_head_and_keys_are_unique() -> None:
    """Tables are whole, and no two charts, tables or sections of a report share a key."""
    for report in (reported("fractalnet-ultra-2", batch=(1, 2)), reported("hornn-3"), study(made())):
        tables = blocks(report, Table)
        assert all(len(row.cells) == len(one.heads) for one in tables for row in one.rows)
        for keys in ([t.key for t in tables], [c.key for c in charts(report)], [s.key for s in report.sections]):
            assert sorted(set(keys)) == sorted(keys)
        named = {one.key for one in tables}
        assert {chart.table for chart in charts(report) if chart.table} <= named


def test_columns_are_shares_of_the_whole() -> None:
    """The chart of columns has each column's exact share, and the whole network as 1."""
    bars = drawn(reported("fractalnet-20"), "columns")
    assert isinstance(bars, Bars)
    assert (67834880 / 845222912, 1.0) == (bars.bars[0].values[0], bars.bars[0].values[-1])


def test_columns_are_measured_by_turns_where_a_report_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`report` of a fractal network has the latency of each column alone; a profile's page has none."""
    file = tmp_path / "page.html"
    assert 0 == run(capsys, "report", "fractalnet-ultra-2", *FAKE, "-o", str(file))[0]
    assert "measured by turns with the whole" in file.read_text("utf-8")
    assert 5 == len(table(reported("fractalnet-ultra-2"), "columns").heads)


def test_order_and_length_are_counted_by_the_closed_form() -> None:
    """MACs per token are N*H^2 + H*V, and T times as many for T tokens."""
    report = reported("hornn-3")
    orders, steps = drawn(report, "orders"), drawn(report, "steps")
    assert isinstance(orders, Scatter)
    counted = orders.series[0]
    assert [n * 400**2 + 400 * 10000 for n in (1, 2, 3, 4, 5, 6)] == list(counted.y)
    assert [t * 4480000 for t in steps.series[0].x] == list(steps.series[0].y)


def test_a_budget_is_a_verdict_in_words() -> None:
    """What is kept is PASS, what is exceeded FAIL, what was not measured cannot be told."""
    report = reported("resnet-20", Budget(params=272474, macs=1000, latency_s=1.0), latency=False)
    verdicts = blocks(report, Verdicts)[0].verdicts
    assert ["PASS", "FAIL", "cannot tell"] == [one.word for one in verdicts]
    assert "40,813,184 of at most 1,000" in verdicts[1].text


def of(whole: dict[str, Any], **changes: Any) -> Document:
    """Return the report of a document of JSON with other values for some keys; those of its `model` may be named."""
    inside = {key: changes.pop(key) for key in [*changes] if key in whole["model"]}
    found = typed({**whole, **changes, "model": {**whole["model"], **inside}})
    assert isinstance(found, Profiled)
    return profile.report(found, whole, "")


@pytest.mark.parametrize("name", ["resnet-20", "fractalnet-ultra-2", "nin-cifar10", "rir-18-wide", "hornn-3-gated"])
def test_a_report_from_json_is_that_of_the_network(name: str) -> None:
    """The graph in the JSON is drawn as the network's own, with and without the YAML; so is the YAML of 0.1.0."""
    whole, model = told(name, latency=False), archcost.load(name)
    assert model.graph == codec.unpack(whole["model"]["graph"])
    new, old = of(whole), of(whole, graph=None)
    assert [draw(model.graph, model.name)] == [one.svg for one in blocks(new, Drawing)]
    assert (new.sections, new.csv, new.head) == (old.sections, old.csv, old.head)


def test_the_yaml_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that holds its graph is drawn without expanding anything, also if its YAML has gone."""
    whole = told("fractalnet-ultra-2", latency=False)
    monkeypatch.setattr(Fractal, "expand", lambda _: pytest.fail("expanded"))
    assert 1 == len(blocks(of(whole), Drawing)) == len(blocks(of(whole, yaml=None), Drawing))
    assert [] == blocks(of(whole, yaml=None, graph=None), Drawing)


def test_another_network_is_not_drawn() -> None:
    """Graph and YAML are of the network that was counted, or no page is made."""
    whole, other = (told(name, latency=False) for name in ("fractalnet-ultra-2", "resnet-20"))
    for changes in ({"graph": other["model"]["graph"]}, {"graph": None, "yaml": other["yaml"]}):
        with pytest.raises(InputError, match="is not the network that was counted"):
            of(whole, **changes)
    with pytest.raises(InputError, match=r"the YAML of .* is not the network that was counted"):
        of(told("hornn-3", latency=False), yaml=told("hornn-1", latency=False)["yaml"])


@pytest.mark.parametrize("graph", [7, [], {}, {"schema": 1, "steps": None, "operators": [], "nodes": [["x", 0]]}])
def test_a_graph_that_is_none_is_one_message(graph: Any) -> None:
    """What is not a packed graph is named as such, with its network."""
    with pytest.raises(InputError, match="the graph of 'ResNet-20"):
        of(told("resnet-20", latency=False), graph=graph)


def test_networks_beside_each_other_carry_their_graphs() -> None:
    """`compare --json` holds the graph of each network, and none of what code made."""
    models = [archcost.load(name) for name in ("resnet-20", "nin-cifar10")]
    each = [archcost.profile(model, latency=False, witness=False) for model in models]
    module = archcost.profile(nn.Linear(3, 2), torch.ones(1, 3), latency=False, witness=False)
    whole = json.loads(json.dumps(compare([*each, module]).to_dict()))
    assert [*(model.graph for model in models), None] == [
        row["graph"] and codec.unpack(row["graph"]) for row in whole["models"]
    ]
    found = typed(whole)
    assert isinstance(found, Compared)
    assert [*(model.graph for model in models), None] == [side.graph() for side in found.models]
    for graph in (whole["models"][1]["graph"], "hello"):
        whole["models"][0] |= {"graph": graph}
        with pytest.raises(InputError, match="graph"):
            typed(whole)


def test_the_page_of_a_run_is_that_of_its_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`report FILE.json` writes what `profile --html` wrote, but for the command; twice the same to the byte."""
    ran, page, saved = (tmp_path / name for name in ("run.html", "json.html", "p.json"))
    _, out, _ = run(capsys, "profile", "resnet-20", *FAKE, "--json", "--html", str(ran))
    saved.write_text(out, "utf-8")
    written = []
    for _ in range(2):
        assert 0 == run(capsys, "report", str(saved), "-o", str(page))[0]
        written.append(page.read_text("utf-8"))
    command = re.compile(r"<dt>Command</dt><dd>.*?</dd>")
    assert written[0] == written[1]
    assert command.sub("", ran.read_text("utf-8")) == command.sub("", written[0])


def test_networks_are_compared_and_judged(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two networks become one comparison with a verdict on each."""
    budget, file = tmp_path / "budget.yaml", tmp_path / "both.html"
    budget.write_text("params: 300k\n", "utf-8")
    given = ("resnet-20", "resnet-56", *FAKE, "--budget", str(budget))
    assert 0 == run(capsys, "report", *given, "-o", str(file))[0]
    page = file.read_text("utf-8")
    assert "PASS</strong>A, ResNet-20 CIFAR-10, projection: params: 272,474 of at most 300,000" in page
    assert "FAIL</strong>B, ResNet-56 CIFAR-10, projection: params: 855,770 of at most 300,000" in page


def test_a_study_is_reported_without_torch(tmp_path: Path) -> None:
    """A report is made from a storage alone: neither torch nor pandas is loaded."""
    import subprocess
    import sys

    made(tmp_path / "study.db", Wanted(trials=12))
    code = (
        "import sys; from archcost.cli import cli\n"
        "cli.main(['report', 'study.db', '-o', 'study.html'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
    assert 'id="table-front-table"' in (tmp_path / "study.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        (("none.db",), "no study is stored in 'none.db'"),
        (("sqlite:///none.db",), "no study is stored in"),
        (("empty.db",), "has no complete trial yet"),
        (("full.db", "resnet-20"), "'full.db' is a study, which is a report by itself"),
        (("none.json",), "'none.json' cannot be read"),
        (("later.json",), "'later.json' has schema 2, by archcost 9.9; allowed: schema 1"),
        (("broken.json",), "'broken.json' is not JSON"),
        (("nan.json",), "NaN is not a number"),
        (("deep.json",), "'deep.json' is not JSON"),
        (("list.json",), "is neither what 'archcost profile --json' nor 'compare --json' prints"),
        (("half.json",), "'half.json' is not as archcost"),
        (("none",), "'none' is neither a file nor a shipped network"),
    ],
)
def test_bad_sources_are_one_message_and_no_page(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: tuple[str, ...],
    why: str,
) -> None:
    """What cannot be reported exits 2 with one message, and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    for name in {"empty.db", "full.db"} & set(sources):
        made(Path(name), Wanted(trials=12 if name == "full.db" else 0, confirmed=0))
    texts = {
        "later.json": '{"archcost": "9.9", "schema": 2, "layers": []}',
        "broken.json": "[[[",
        "nan.json": '{"archcost": "0.1.0", "schema": 1, "layers": [], "macs": NaN}',
        "deep.json": "[" * 100_000,
        "list.json": "[]",
        "half.json": '{"archcost": "0.1.0", "schema": 1, "layers": [{}]}',
    }
    for name, content in texts.items():
        Path(name).write_text(content, "utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = run(capsys, "report", *sources, "-o", "page.html")
    assert (2, "") == (code, out)
    assert why in err
    assert 1 == err.count("archcost: ")
    assert [name for name in before if not name.endswith(("-wal", "-shm"))] == sorted(
        path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("p.json", "--threads", "2", "--no-latency"), "--threads and --no-latency: only for networks"),
        (("study.db", "--budget", "budget.yaml"), "--budget: only for networks and JSON files"),
    ],
)
def test_options_that_nothing_would_use_are_refused(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    why: str,
) -> None:
    """Nothing is measured for a file or a study, and a study has limits of its own."""
    monkeypatch.chdir(tmp_path)
    Path("budget.yaml").write_text("params: 1M\n", "utf-8")
    code, _, err = run(capsys, "report", *given, "-o", "page.html")
    assert (2, True) == (code, why in err)


def test_a_file_that_says_another_study_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a study whose file has changed, or of another file beside it, a note says what the page shows."""
    monkeypatch.chdir(tmp_path)
    stored = made(Path("study.db"), Wanted(trials=12))
    about = remembered(stored.study, "about")
    remember(stored.study, "about", {**about, "same": {**about.get("same", {}), "fit": {"epochs": 77}}})
    Path("study.yaml").write_text(STUDY, "utf-8")
    code, _, err = run(capsys, "report", "study.yaml", "-o", "page.html")
    assert (0, True) == (code, "the study that is stored is not the one in" in err)
    assert "'fit'" in err
    assert "note" not in run(capsys, "report", "study.db", "-o", "page.html")[2]


def test_what_was_not_counted_makes_a_lower_bound() -> None:
    """MACs of a module with an operator without a count are 'at least' so many, in the verdict and on the cards."""
    whole = {**told("resnet-20", latency=False), "uncounted": [{"op": "aten::fft", "calls": 2}]}
    found = typed(whole)
    assert isinstance(found, Profiled)
    report = profile.report(found, whole, "")
    cards = {card.label: card.value for one in blocks(report, Cards) for card in one.cards}
    assert ("at least 40.8 M", "at least 82.3 M") == (cards["MACs"], cards["FLOPs"])
    assert any("aten::fft (2 times)" in line for line in blocks(report, Lines)[0].lines)


def test_boxes_of_a_modules_parts_lie_in_each_other() -> None:
    """A part's name that begins with its group's is not put below it once more."""
    whole = told("resnet-20", latency=False)
    layers = [{**layer, "name": "enc.layers.0.linear", "group": "enc.layers.0"} for layer in whole["layers"]]
    report = of(whole, layers=layers, yaml=None)
    labels = [leaf.label for leaf in drawn(report, "modules").leaves]
    assert [whole["model"]["name"], "enc", "layers", "0", "linear"] == labels


def test_passwords_do_not_stand_in_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a URL that was typed, the command in the page has no password."""
    file = tmp_path / "page.html"
    assert 0 == run(capsys, "report", "resnet-20", *COUNT[:1], "--set", "name=x://u:secret@h/d", "-o", str(file))[0]
    page = file.read_text("utf-8")
    assert "x://u:***@h/d" in page.partition("<main")[0].partition("<dt>Command")[2]


@pytest.mark.parametrize(
    "typed",
    [
        ("report", "resnet-20", "--no-latency", "-o", "my page.html"),
        ("report", "resnet-20", "--no-latency", "--output=page.html"),
        ("report", "-opage.html", "resnet-20", "--no-latency"),
        ("profile", "resnet-20", "--no-latency", "--no-witness", "--html", "page.html"),
        ("compare", "resnet-20", "resnet-56", "--no-latency", "--html", "page.html"),
    ],
)
def test_the_command_in_a_page_is_what_was_typed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    """With the file that was written, so that the line makes the page again."""
    monkeypatch.chdir(tmp_path)
    assert 0 == run(capsys, *typed)[0]
    (written,) = tmp_path.glob("*.html")
    command = written.read_text("utf-8").partition("<dt>Command</dt><dd>")[2].partition("</dd>")[0]
    assert f"archcost {shlex.join(typed)}" == html.unescape(command)


def test_nothing_is_measured_for_a_page_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is told before anything runs."""
    code, out, err = run(capsys, "report", "no-such-network", "-o", "nowhere/page.html")
    assert (2, "") == (code, out)
    assert "cannot write 'nowhere/page.html'" in err


def test_the_policy_lets_the_pages_own_scripts_run() -> None:
    """At most three hashes, no 'unsafe-' for scripts, nothing from elsewhere; without charts plotly is not there."""
    whole = page(reported("resnet-20"))
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', whole)[0]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert ["'none'"] == rules["default-src"] == rules["base-uri"] == rules["form-action"]
    assert (["'unsafe-inline'"], ["data:", "blob:"]) == (rules["style-src"], rules["img-src"])
    assert 3 >= len(rules["script-src"])
    assert all(rule.startswith("'sha256-") for rule in rules["script-src"])
    script = re.findall(r"<script>(.*?)</script>", whole, re.S)
    assert [f"'{hashed(script[0])}'"] == rules["script-src"][:1]
    plain = page(Document("x", "profile", (), (Section("s", "s", ()),)))
    assert 100_000 > len(plain)


def test_texts_of_figures_are_escaped() -> None:
    """plotly reads labels as HTML: what a name holds is shown as it is."""
    assert "&lt;a href='x'&gt;&amp;amp;&lt;/a&gt;<br>\\u202e" == text("<a href='x'>&amp;</a>\n\u202e")
    series = Series("<b>", (1.0,), (2.0,), texts=("<i>",), keys=("<u>",))
    made_of = figure(Chart("k", "<b>", "<b>", Scatter(Axis("<b>"), Axis("<b>"), (series,), (Rule(1.0, "<b>"),))))
    assert not re.search(r"<(?!br>)", json.dumps({**made_of, "data": [{**made_of["data"][0], "customdata": []}]}))


def test_ticks_of_a_logarithmic_axis_are_written_as_all_numbers_are() -> None:
    """200 us and 1 ms, not 200 u beside 1m."""
    series = Series("a", (1.5e-4, 2e-3), (0.1, 0.2))
    chart = Chart("k", "t", "s", Scatter(Axis("latency", "seconds", log=True), Axis("error", "share"), (series,)))
    axis = figure(chart)["layout"]["xaxis"]
    assert {"200 us", "500 us", "1 ms", "2 ms"} <= set(axis["ticktext"])
    assert "log" == axis["type"]


def test_read_gives_what_was_printed(tmp_path: Path) -> None:
    """A file is typed and stands as it was."""
    file = tmp_path / "p.json"
    file.write_text(json.dumps(told("resnet-20")), "utf-8")
    found, whole = read(str(file))
    assert isinstance(found, Profiled)
    assert (272474, 272474) == (found.params, whole["params"])
