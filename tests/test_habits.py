"""What a contributor's tools do is what `make test` does: hooks, continuous integration and editors follow it."""

from __future__ import annotations

import os
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CHECKED = frozenset(".py .toml .yaml .yml .md .css .js".split())
SKIPPED = frozenset({".git", ".venv", ".venv-peers", ".venv-zoo", "fixtures", "build", "dist"})


def recipe(target: str, makefile: str) -> list[str]:
    """Return the commands of a target as a shell gets them: without make's own signs, and what is said if one fails."""
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found, f"no target {target}"
    lines = found[1].replace("\\\n", " ").replace("$(BIN)", ".venv/bin").splitlines()
    return [" ".join(line.strip("\t").removeprefix("@").partition("||")[0].split()) for line in lines]


def hooks(text: str) -> list[dict[str, Any]]:
    """Return the hooks of a configuration of pre-commit."""
    return [{**hook, "repo": each["repo"]} for each in yaml.safe_load(text)["repos"] for hook in each["hooks"]]


def editor() -> ConfigParser:
    """Return .editorconfig; the keys before its first pattern are in the section `top`."""
    found = ConfigParser()
    found.read_string("[top]\n" + (ROOT / ".editorconfig").read_text("utf-8"))
    return found


def texts() -> list[Path]:
    """Return the files that people edit."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in SKIPPED and not (name.startswith(".") and name.endswith("_cache"))
        ]
        found += [Path(folder, name) for name in names if Path(name).suffix in CHECKED or name == "Makefile"]
    return found


def test_hooks_run_what_make_test_runs() -> None:
    """Each hook is a line of the recipe as it stands there, in its order; of the tests, those of what is generated."""
    *checks, tests = recipe("test", MAKEFILE)
    alone = tests.replace(" -n auto --dist loadfile", "")  # one file of tests needs one process
    expected = [*checks, f"{alone} tests/test_docs.py"]
    assert expected == [hook["entry"] for hook in hooks((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))]
    assert expected[0].startswith(".venv/bin/ruff check ")


def test_hooks_come_from_here() -> None:
    """No hook is downloaded, and each looks at everything, as `make test` does."""
    for hook in hooks((ROOT / ".pre-commit-config.yaml").read_text("utf-8")):
        assert ("local", "system", False, True) == tuple(
            hook[key] for key in ("repo", "language", "pass_filenames", "always_run")
        )


def test_a_recipe_is_read_as_make_reads_it() -> None:
    """Lines that go on are one, and what is said where a command fails is no part of it."""
    made = 'a: b\n\t@$(BIN)/x --y . || { echo "no" >&2; exit 1; }\n\tz \\\n\t\tw\n\nab: c\n\t@other\n'
    assert [".venv/bin/x --y .", "z w"] == recipe("a", made)


def test_help_names_every_target() -> None:
    """`make help` has a line of at most 80 columns for each target."""
    said = re.findall(r'@echo "(.*)"', MAKEFILE.partition("\nhelp:\n")[2].partition("\n\n")[0])
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert {*phony.split()} - {"help"} == {line.split()[1] for line in said if line.startswith("make ")}
    assert [line for line in said if len(line) > 80] == []


def test_continuous_integration_runs_make_test() -> None:
    """It is one command, the one people type, with the oldest and the latest Python that the package names."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    assert ["make test"] == [step["run"] for step in job["steps"] if "run" in step]
    named = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in PROJECT["project"]["classifiers"]
    ]
    pythons = [found[1] for found in named if found]
    assert [pythons[0], pythons[-1]] == job["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == PROJECT["project"]["requires-python"]
    assert f"py{pythons[0].replace('.', '')}" == PROJECT["tool"]["ruff"]["target-version"]


def test_continuous_integration_asks_for_little() -> None:
    """It may only read the code, ends by itself, and gets torch without CUDA by a switch of the Makefile."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert ({"contents": "read"}, True) == (workflow["permissions"], workflow["concurrency"]["cancel-in-progress"])
    assert 0 < job["timeout-minutes"] <= 60
    assert {"PYTHON", "PIP_FLAGS"} == {*job["env"]} == {*re.findall(r"^(\w+) \?=", MAKEFILE, re.MULTILINE)}
    assert f'"{job["env"]["PIP_FLAGS"]}"' in MAKEFILE


def test_editors_indent_as_ruff_does() -> None:
    """The length of a line and its indents are ruff's, and a recipe is indented by tabs."""
    config, ruff = editor(), PROJECT["tool"]["ruff"]
    python = dict(config["*.py"])
    assert (ruff["line-length"], ruff.get("indent-width", 4)) == (
        int(python["max_line_length"]),
        int(python["indent_size"]),
    )
    kinds = {pattern: config[pattern]["indent_style"] for pattern in ("*.py", "*.toml", "*.{yaml,yml}", "Makefile")}
    assert {"*.py": "space", "*.toml": "space", "*.{yaml,yml}": "space", "Makefile": "tab"} == kinds
    assert ("true", "2") == (config["top"]["root"], config["*.{yaml,yml}"]["indent_size"])


@pytest.mark.parametrize(
    ("key", "value", "offence"),
    [
        ("end_of_line", "lf", rb"\r"),
        ("insert_final_newline", "true", rb"[^\n]\Z"),
        ("trim_trailing_whitespace", "true", rb"[ \t]\n"),
    ],
)
def test_files_are_as_editors_leave_them(key: str, value: str, offence: bytes) -> None:
    """An editor that follows .editorconfig changes no line that its user has not touched."""
    assert value == editor()["*"][key]
    assert [str(file.relative_to(ROOT)) for file in texts() if re.search(offence, file.read_bytes())] == []
