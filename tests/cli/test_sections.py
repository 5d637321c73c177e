"""The help of groups: every command once, in its section, whole sentences in 80 columns; completion knows them too."""

from __future__ import annotations

import re

import click
import pytest
from click.shell_completion import ShellComplete
from commands import run

from archcost import cli
from archcost.cli.sections import Sectioned
from archcost.cli.study.group import study

GROUPS: dict[str, tuple[tuple[str, ...], Sectioned, dict[str, list[str]]]] = {
    "archcost": ((), cli.cli, {
        "A network": ["profile", "predict", "compare", "check", "suggest", "draw", "export"],
        "A study": ["study", "choose", "report"],
        "Files and this machine": ["example", "schema", "targets", "calibrate", "datasets", "completion"],
    }),
    "archcost study": (("study",), study,
                       {"Commands": ["new", "run", "worker", "enqueue", "import", "status", "front", "table"]}),
}  # fmt: skip
HIDDEN = {"archcost": {"measure"}, "archcost study": {"export"}}


def sections(text: str) -> dict[str, list[str]]:
    """Return the commands that a help names below each title."""
    found: dict[str, list[str]] = {}
    for line in text.partition("-h, --help")[2].splitlines()[1:]:
        if title := re.fullmatch(r"(\S.*):", line):
            found[title[1]] = []
        elif name := re.match(r"  (\S+)  ", line):
            found[[*found][-1]].append(name[1])
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_help_has_sections(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Every command that is not hidden is in one section, in the order of use, and no line is longer than 80."""
    typed, group, expected = GROUPS[name]
    code, out, _ = run(capsys, *typed, "--help")
    assert (0, expected) == (code, sections(out))
    named = [command for commands in expected.values() for command in commands]
    assert sorted(group.commands) == sorted([*named, *HIDDEN[name]])
    assert [line for line in out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", GROUPS)
def test_help_cuts_no_sentence(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The first sentence of each command is printed whole."""
    typed, group, expected = GROUPS[name]
    words = " ".join(run(capsys, *typed, "--help")[1].split())
    for command in (group.commands[each] for commands in expected.values() for each in commands):
        first = " ".join((command.help or "").partition("\n\n")[0].split())
        assert f" {command.name} {first}" in words
    assert "..." not in words.partition("-h, --help")[2]


@pytest.mark.parametrize("typed", [("measure",), ("study", "export")])
def test_hidden_commands_can_be_called(capsys: pytest.CaptureFixture[str], typed: tuple[str, ...]) -> None:
    """What the help leaves out is there for those who call it by name."""
    code, out, _ = run(capsys, *typed, "--help")
    assert (0, True) == (code, out.startswith(f"Usage: archcost {' '.join(typed)} "))


@pytest.mark.parametrize("name", GROUPS)
def test_every_command_is_completed(name: str) -> None:
    """A shell is offered what the help names."""
    typed, _, expected = GROUPS[name]
    offered = ShellComplete(cli.cli, {}, "archcost", "_ARCHCOST_COMPLETE").get_completions(list(typed), "")
    assert sorted(each.value for each in offered) == sorted(each for commands in expected.values() for each in commands)


def test_a_section_holds_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Titles and commands come in the order in which they were added, their texts in one column."""
    group = Sectioned(name="tool")
    group.section("Later words", click.Command("zeta", help="Last letter."), click.Command("a", help="First letter."))
    group.section("Others", click.Command("middle", help="Neither."))
    group.main(["--help"], standalone_mode=False)
    expected = "Later words:\n  zeta    Last letter.\n  a       First letter.\n\nOthers:\n  middle  Neither.\n"
    assert capsys.readouterr().out.endswith(expected)
