"""Which data sets there are, where they are looked for, and how a study names one."""

from __future__ import annotations

import json
from pathlib import Path

import datafiles
import pytest
from commands import run

from archcost.config import document
from archcost.config.validation import conform
from archcost.data import load
from archcost.data.known import NAMES, PLACED, folders, listed
from archcost.data.spec import IMAGES, SEQUENCES, TEXTS, DataSpec
from archcost.errors import InputError
from archcost.files import cache

pytestmark = pytest.mark.usefixtures("place")


def mistakes(text: str) -> list[str]:
    """Return what is wrong with the `data` part of a study."""
    with pytest.raises(InputError) as error:
        conform(document.load(text, "data.yaml"), DataSpec)
    return [str(mistake).split("\n")[0] for mistake in error.value.mistakes]


def test_a_spec() -> None:
    """A name is enough; the other keys have defaults."""
    spec = conform(document.load("name: cifar10", "data.yaml"), DataSpec)
    assert ("cifar10", "image", None, 35, "words", "image") == (
        spec.name, spec.read_as, spec.examples, spec.steps, spec.level, spec.kind)  # fmt: skip


KINDS = {
    "name: digits": "image",
    "{name: digits, as: rows}": "sequence",
    "{name: images, path: x}": "image",
    "{name: images, path: x, as: rows}": "sequence",
    "name: ptb": "text",
    "{name: text, path: x, level: characters, steps: 9}": "text",
    "{name: sequences, path: x}": "sequence",
}


@pytest.mark.parametrize("text", KINDS)
def test_kinds(text: str) -> None:
    """The kind of data follows from name and form."""
    assert KINDS[text] == conform(document.load(text, "data.yaml"), DataSpec).kind


WRONG = {
    "name: fashion": ["1:7: name: unknown data set 'fashion' (did you mean 'fashion-mnist'?); allowed: 'digits'"],
    "name: images": ["path: missing; allowed: the path of a folder with train/CLASS/*.png"],
    "{name: text, path: null}": ["path: missing; allowed: the path of a text file"],
    "{name: digits, path: x}": ["path: goes with images, text, sequences only: digits is found by its name"],
    "{name: text, path: ''}": ["path: given ''; allowed: text of at least 1 character"],
    '{name: text, path: "a\\0b"}': ["characters that no file's name has"],
    "{name: ptb, as: rows}": ["as: does not go with ptb; allowed with: digits, fashion-mnist"],
    "{name: digits, steps: 3, level: words}": ["steps: does not go with digits", "level: does not go with digits"],
    "{name: digits, examples: 0}": ["examples: given 0; allowed: at least 1"],
    "{name: digits, as: row}": ["as: given 'row' (did you mean 'rows'?)"],
    "{name: digits, read_as: rows}": ["unknown key 'read_as'"],
    "{name: digit, path: 3, steps: x}": ["name: unknown data set", "path: given 3; allowed: text", "steps: given 'x'"],
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_specs(text: str) -> None:
    """Every mistake is told at its place, all at once."""
    found = mistakes(text)
    assert len(WRONG[text]) == len(found)
    assert [True] * len(found) == [words in line for words, line in zip(WRONG[text], found, strict=True)]


def test_every_name_has_a_kind_and_a_reader() -> None:
    """The list of names, their kinds and what reads them agree."""
    assert sorted(NAMES) == sorted((*IMAGES, *TEXTS, *SEQUENCES)) == sorted(load._READERS)
    assert set(PLACED) < set(NAMES)


def test_places() -> None:
    """The variable comes first, then the cache; a relative cache is none, as its standard says."""
    home = Path("~").expanduser()
    assert home / ".cache" / "archcost" == cache({}) == cache({"XDG_CACHE_HOME": "here"})
    assert Path("/x/archcost") == cache({"XDG_CACHE_HOME": "/x"})
    assert (home / "d", Path("/x/archcost")) == folders({"ARCHCOST_DATA": "~/d", "XDG_CACHE_HOME": "/x"})
    with pytest.raises(InputError, match="nobody-of-this-name"):
        folders({"ARCHCOST_DATA": "~nobody-of-this-name/d"})


def test_the_first_place_is_taken(place: Path) -> None:
    """A data set in $ARCHCOST_DATA is taken before one in the cache."""
    datafiles.write_idx(place / "cache" / "archcost" / "mnist")
    assert str(place / "cache" / "archcost" / "mnist") == datafiles.read(place, "mnist").source
    datafiles.write_idx(place / "mnist")
    assert str(place / "mnist") == datafiles.read(place, "mnist").source


def test_listed(place: Path) -> None:
    """The list says of each whether it is here and, if it is not, how to get it."""
    datafiles.write_idx(place / "mnist")
    found = {each.name: each for each in listed()}
    assert list(NAMES) == list(found)
    assert (True, "in the package") == (found["digits"].here, found["digits"].source)
    assert (True, str(place / "mnist"), "") == (found["mnist"].here, found["mnist"].source, found["mnist"].get)
    assert (False, "archcost datasets fetch cifar10") == (found["cifar10"].here, found["cifar10"].get)
    assert (None, "path: a .npz file") == (found["sequences"].here, found["sequences"].get)


@pytest.mark.parametrize("folder", ["short", "a folder with a long name " * 6, "x" * 200, "\x1b[31m\u202e"])
def test_the_table_fits(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """`archcost datasets` names every data set in lines of at most 80 columns, whatever the paths are."""
    monkeypatch.setenv("ARCHCOST_DATA", str(place / folder))
    datafiles.write_idx(place / folder / "mnist")
    code, out, err = run(capsys, "datasets")
    assert (0, "") == (code, err)
    assert max(map(len, out.splitlines())) <= 80
    assert all(f"\n{name} " in out for name in NAMES)
    assert "\x1b" not in out


def test_the_list_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`archcost datasets --json` is one document with the same facts."""
    code, out, _ = run(capsys, "datasets", "--json")
    told = json.loads(out)
    assert (0, [str(place), str(place / "cache" / "archcost")]) == (code, told["folders"])
    assert list(NAMES) == [each["name"] for each in told["datasets"]]


@pytest.mark.parametrize("name", ["nope", "ptb", "digits", "text"])
def test_fetch_refuses(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """`archcost datasets fetch` of what cannot be downloaded ends with code 2 and one line."""
    code, out, err = run(capsys, "datasets", "fetch", name)
    assert (2, "", 1) == (code, out, err.count("\n"))


def test_the_list_is_light() -> None:
    """Listing loads neither torch nor pydantic."""
    import subprocess
    import sys

    code = (
        "import sys, runpy\nsys.argv[1:] = ['datasets']\n"
        "try: runpy.run_module('archcost', run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'pydantic', 'pooch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.splitlines()[-1]
