"""The documents say what is true: derived parts are as they would be derived, examples run, links lead somewhere."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner
from PIL import Image

import archcost
from archcost import cli
from archcost.cli.schemas import NAMES, committed
from archcost.counting.rules.own import drop
from archcost.models.families import FAMILIES
from archcost.search.rules import RULES
from archcost.study.spec import Study, load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
FOLDERS = ("", "docs/", "reports/", "studies/*/", "archcost/models/published/")
DOCUMENTS = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
MAKE = runpy.run_path(str(ROOT / "docs" / "make.py"))


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def blocks(page: str, language: str = "") -> list[str]:
    """Return the fenced blocks of a page that are in a language."""
    return [body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S) if kind == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each line of the documents that calls archcost, with its words behind `archcost`."""
    for document in DOCUMENTS:
        for body in blocks(document.read_text("utf-8")):
            for line in re.findall(r"^\$? ?(archcost (?:(?!&&).)*)", body, re.M):
                yield f"{document.name}: {line}", shlex.split(line.split(" > ")[0], comments=True)[1:]


def anchors(page: str) -> set[str]:
    """Return the names by which GitHub links to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", head)).lower().replace(" ", "-") for head in heads}


def inner(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group, under the words that are typed."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from inner(command, f"{path} {name}")


@pytest.mark.parametrize("page", MAKE["pages"](), ids=lambda page: page.name)
def test_what_is_derived_is_up_to_date(page: Path) -> None:
    """Schemas, references, commands and the tree are what they would be made now; `make fix` writes them anew."""
    assert page.read_text("utf-8") == MAKE["pages"]()[page]


def test_a_page_keeps_what_is_written_by_hand() -> None:
    """Only what is between the markers is made; a page without them is an error."""
    page = "before\n<!-- keys -->\nold\n<!-- end -->\nafter\n"
    assert MAKE["with_parts"](page, {"keys": ["new\n"]}) == page.replace("old", "new")
    with pytest.raises(ValueError, match="no <!-- rules -->"):
        MAKE["with_parts"](page, {"rules": ["new\n"]})


def test_the_tree_has_every_file(tmp_path: Path) -> None:
    """A line for each module and each folder with an __init__, files first; a long line is cut."""
    (tmp_path / "house" / "room").mkdir(parents=True)
    (tmp_path / "house" / "notes").mkdir()
    for name, line in (("__init__", "A house."), ("zinc", "x" * 70 + ": " + "y" * 60), ("room/__init__", "A room.")):
        (tmp_path / "house" / f"{name}.py").write_text(f'"""{line}\n\nMore.\n"""\n')
    tree = ["```", "house/     A house.", f"  zinc.py  {'x' * 70}", "  room/    A room.", "```"]
    assert tree == "".join(MAKE["tree"](tmp_path / "house")).splitlines()
    listed = text("ARCHITECTURE.md").count(".py  ")
    assert sum(file.name != "__init__.py" for file in (ROOT / "archcost").rglob("*.py")) == listed


def test_any_tree_of_commands_is_written() -> None:
    """Commands are under the headings of their group's help; a command that the help leaves out comes last."""

    class Sectioned(click.Group):
        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Tools"):
                formatter.write_dl([("saw", "Cut."), ("box", "Keep.")])

    box = click.Group("box", [click.Command("open", help="Look inside.")], help="Keep.")
    saw = click.Command("saw", params=[click.Option(["--teeth"], type=int, default=5, help="How many.")], help="Cut.")
    shed = Sectioned("shed", [box, saw, click.Command("rust", hidden=True)])
    page = "".join(MAKE["commands"](shed, "shed"))
    heads = [
        "## Tools",
        "### shed saw",
        "### shed box",
        "### shed box open",
        "## Not listed by the help",
        "### shed rust",
    ]
    assert heads == re.findall("^#.*$", page, re.M)
    assert "```\nshed saw [OPTIONS]\n```\n\nCut.\n" in page
    assert "| `--teeth INTEGER` | `5` | How many. |" in page


def test_the_tables_name_every_key_command_and_option() -> None:
    """docs/studies.md has every key of a study, docs/commands.md every command with every option."""
    studies, page = text("docs/studies.md"), text("docs/commands.md")
    keys = [key for model in (Study, *RULES.values()) for key in model.model_json_schema()["properties"]]
    assert [key for key in keys if f"`{key}`" not in studies] == []
    for path, command in inner(cli.cli, "archcost"):
        section = page.partition(f"\n### {path}\n")[2].partition("\n### ")[0]
        options = [option for each in command.params if isinstance(each, click.Option) for option in each.opts]
        assert [option for option in options if option not in section] == [], path


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_ships(name: str) -> None:
    """The committed schema is what `archcost schema` prints."""
    assert committed(name) == CliRunner().invoke(cli.cli, ["schema", name]).output


def test_the_schema_names_every_family() -> None:
    """No family of the table is left out of the schema."""
    assert all(f'"const": "{name}"' in committed("model") for name in FAMILIES)


def test_the_readme_is_short() -> None:
    """A visitor reads it at one sitting: 130 lines, 1,100 words."""
    assert (len(README.splitlines()) <= 130, len(README.split()) <= 1100) == (True, True)


def test_pictures_are_small() -> None:
    """The README shows pictures of pages: WebP, of less than 100 KB."""
    pictures = [ROOT / link for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert len(pictures) >= 2
    for picture in pictures:
        assert picture.stat().st_size < 100_000, picture
        with Image.open(picture) as opened:
            assert opened.format == "WEBP", picture


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Relative links name files that are there, and headings that are in them."""
    for link in LINK.findall(document.read_text("utf-8")):
        path, _, anchor = unquote(link).partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def test_lines_of_commands_can_be_typed() -> None:
    """Every `archcost` line in a block of the documents names a command and options that are there."""
    known = dict(inner(cli.cli, "archcost"))
    for line, words in commands():
        path, rest = "archcost", words
        while rest and f"{path} {rest[0]}" in known:
            path, rest = f"{path} {rest[0]}", rest[1:]
        assert path in known or rest[:1] == ["--version"], line
        options = {name for each in known[path].params for name in each.opts} if path in known else {*rest}
        typed = {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)}
        assert typed <= {*options, "--help"}, line


def test_the_networks_of_the_readme_are_read(tmp_path: Path) -> None:
    """Its model.yaml and study.yaml are valid, and its network has the columns it speaks of."""
    model, study = blocks(README, "yaml")
    (tmp_path / "model.yaml").write_text(model)
    (tmp_path / "study.yaml").write_text(study)
    assert len(archcost.load(tmp_path / "model.yaml").cost.by_column()) >= 3
    assert len(load_study(tmp_path / "study.yaml", ()).templates) == 2


TINY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 6]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 1}
search: {trials: 2, sampler: random}
confirm: {members: 0}
"""


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_examples_in_python_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are executed as they are written, on a shipped network, with one thread and little time to measure."""
    profile = archcost.profile

    def briefly(*given: object, **options: object) -> object:
        return profile(*given, **{**options, "threads": 1, "time_s": 0.1})  # type: ignore[arg-type]

    (tmp_path / "mine.yaml").write_text(CliRunner().invoke(cli.cli, ["example", "resnet-20"]).output)
    (tmp_path / "study.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archcost, "profile", briefly, raising=False)
    made: dict[str, object] = {}
    for body in blocks(text(page), "python"):
        exec(compile(body, page, "exec"), made)  # noqa: S102  # our own document
    assert type(made["net"]).__name__ == "Net"


def test_the_rule_in_the_documents_counts() -> None:
    """The fused scan of docs/modules.md runs as it is written, and has the MACs that stand beside it."""
    body = next(block for block in blocks(text("docs/modules.md"), "python") if "register_rule" in block)
    made: dict[str, object] = {}
    try:
        exec(compile(body, "docs/modules.md", "exec"), made)  # noqa: S102  # our own document
        found = made["p"]
        assert isinstance(found, archcost.Profile)
        assert (16 * (8 * 8 + 8 + 8 * 4), (), None) == (found.macs, found.uncounted, found.agree)
    finally:
        drop("mylib::scan")


def test_the_example_of_variants_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is, with little time to measure: 20 rows in a file and in what it prints, and a page with the plot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["variants.py", "5ms"])
    made = runpy.run_path(str(ROOT / "docs/examples/variants.py"))
    assert 20 == len(made["frame"]) == len((tmp_path / "variants.csv").read_text("utf-8").splitlines()) - 1
    assert 21 == len(capsys.readouterr().out.splitlines())
    assert (90_192, True) == (made["frame"]["macs"][0], bool((made["frame"]["median_s"] > 0).all()))
    assert "latency, in times of the first" in (tmp_path / "variants.html").read_text("utf-8")


def test_every_key_of_a_profile_is_explained() -> None:
    """docs/numbers.md names each key of what `profile --json` prints, docs/latency.md each of a latency."""
    line = ["profile", "resnet-20", "--json", "--time", "100ms", "--threads", "1", "--no-witness"]
    found = json.loads(CliRunner().invoke(cli.cli, line).stdout)
    numbers, latency = text("docs/numbers.md"), text("docs/latency.md")
    rows = [found, found["model"], found["layers"][0], found["training"]]
    assert [key for row in rows for key in row if f"`{key}`" not in numbers] == []
    asked = {"target", "runtime", "device", "batch", "dtype", "threads"}
    assert [key for key in found["latencies"][0] if key not in asked and f"`{key}`" not in latency] == []


@pytest.mark.parametrize("study", ["study.yaml", "trained.yaml"])
def test_the_example_of_code_of_ones_own_runs(study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are those of docs/own.md, each with its name in the first line; the studies find a front."""
    page = text("docs/own.md")
    for body in (*blocks(page, "python"), *blocks(page, "yaml")):
        (tmp_path / body.split()[1].rstrip(":")).write_text(body)
    monkeypatch.chdir(tmp_path)
    fake = ("--set", "objectives.1={latency: min, threads: 1, target: fake}") if study == "study.yaml" else ()
    ended = CliRunner().invoke(cli.cli, ["study", "run", study, "--allow-code", "--workers", "1", *fake])
    assert 0 == ended.exit_code, ended.output
    assert "confirmed" in ended.output
