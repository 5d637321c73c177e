"""What people install: the wheel, built from the sdist, in a fresh environment, run from an empty directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("archcost", "studies", "pyproject.toml", "README.md", "LICENSE", ".gitignore")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command in `cwd`, away from our own import path, and return its standard output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout, so that building leaves nothing in it."""
    target = tmp_path_factory.mktemp("checkout")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    return target


@pytest.fixture(scope="module")
def wheel(copy: Path) -> Path:
    """Return the wheel that the sdist builds; hatchling comes from this environment, not from a network."""
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts' folder of a fresh environment: the wheel is its own, dependencies are looked up in ours.

    A .pth file puts our site-packages behind its own. The .pth files lying there are not followed, so an editable
    archcost of ours stays invisible; test_own_copy holds that.
    """
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=False)
    places = {scheme: sysconfig.get_path(scheme, "venv", {"base": str(home)}) for scheme in ("scripts", "purelib")}
    outer = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(places["purelib"]) / "outer.pth").write_text("\n".join(sorted(outer)), encoding="utf-8")
    python = Path(places["scripts"]) / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=home)
    return Path(places["scripts"])


def test_own_copy(scripts: Path, tmp_path: Path) -> None:
    """The fresh environment imports its own archcost and not the checkout's."""
    file = Path(run(scripts / "python", "-c", "import archcost; print(archcost.__file__)", cwd=tmp_path).strip())
    assert scripts.parent in file.parents
    assert (file.parent / "py.typed").is_file()


def test_help(scripts: Path, tmp_path: Path) -> None:
    """The command is there and names its subcommands."""
    assert "profile" in run(scripts / "archcost", "--help", cwd=tmp_path)


def test_every_published_network_ships(scripts: Path, tmp_path: Path) -> None:
    """`archcost example` lists the networks of archcost/models/published."""
    listed = run(scripts / "archcost", "example", cwd=tmp_path)
    published = {file.stem for file in (ROOT / "archcost" / "models" / "published").glob("*/*.yaml")}
    assert {name for name in published if name not in listed} == set()
    assert "fractalnet-20" in published


def test_profile_from_anywhere(scripts: Path, tmp_path: Path) -> None:
    """A shipped network is profiled by its name from an empty directory, with the published counts."""
    options = ("--no-latency", "--no-witness", "--json")
    told = json.loads(run(scripts / "archcost", "profile", "fractalnet-20", *options, cwd=tmp_path))
    assert (told["params"], told["macs"]) == (33_724_618, 845_222_912)


def test_templates_and_schemas_ship(wheel: Path, copy: Path) -> None:
    """Every file of the package that is not Python is in the wheel, whatever .gitignore says of its kind."""
    inside = run(sys.executable, "-m", "zipfile", "--list", wheel, cwd=copy)
    data = {file.relative_to(copy).as_posix() for file in (copy / "archcost").rglob("*.*") if file.suffix != ".py"}
    assert {name for name in data if name not in inside} == set()
    assert "archcost/config/schemas/model.json" in data
