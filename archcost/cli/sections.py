"""Help that lists the commands of a group in sections, each with its whole first sentence."""

from __future__ import annotations

from typing import Any

import click

_LONGEST = 1000  # characters of a sentence: none is cut short


class Sectioned(click.Group):
    """A group whose help lists its commands section by section, in the order in which they were added."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._sections: dict[str, tuple[click.Command, ...]] = {}

    def section(self, title: str, *commands: click.Command) -> None:
        """Add commands to the group, under a title in its help."""
        self._sections[title] = commands
        for each in commands:
            self.add_command(each)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        """Write the sections, their texts in one column."""
        width = max(len(each.name or "") for commands in self._sections.values() for each in commands)
        for title, commands in self._sections.items():
            with formatter.section(title):
                rows = [(f"{each.name or '':<{width}}", each.get_short_help_str(_LONGEST)) for each in commands]
                formatter.write_dl(rows)
