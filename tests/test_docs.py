"""What is committed as derived is what would be derived now; what the README names is there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from archcost import cli
from archcost.cli.schemas import NAMES, committed, made
from archcost.models.families import FAMILIES
from archcost.search.rules import RULES
from archcost.study.spec import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_up_to_date(name: str) -> None:
    """The committed JSON Schema is the specs'; `make fix` writes it anew."""
    assert made(name) == committed(name)


def test_the_reference_is_up_to_date() -> None:
    """docs/model.md is made from the specs; `make fix` writes it anew."""
    reference = runpy.run_path(str(ROOT / "docs" / "make.py"))["reference"]()
    assert reference == (ROOT / "docs" / "model.md").read_text("utf-8")


def test_the_tables_of_studies_are_up_to_date() -> None:
    """The tables of docs/studies.md are made from the specs; what is written around them stays."""
    page = (ROOT / "docs" / "studies.md").read_text("utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "make.py"))["studies"](page) == page
    assert all(
        f"`{key}`" in page for model in (Study, *RULES.values()) for key in model.model_json_schema()["properties"]
    )


def test_the_schema_names_every_family() -> None:
    """No family of the table is left out of the schema."""
    assert all(f'"const": "{name}"' in committed("model") for name in FAMILIES)


def test_the_readme_names_every_command_and_option() -> None:
    """Commands and the options of profile all stand in the README."""
    for name, command in cli.cli.commands.items():
        assert f"archcost {name}" in README
        for option in command.params if name == "profile" else ():
            for text in (o for o in option.opts if o.startswith("--")):
                assert text in README, text


def test_links_of_the_readme_lead_somewhere() -> None:
    """Relative links in the documents name files that are there."""
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text("utf-8")):
            assert (ROOT / link).exists(), (document, link)
