"""Data at a URL: they are read as those in a folder are, each file copied once and again if it has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datafiles
import fsspec
import numpy as np
import pytest
from commands import run

from archcost.data import names
from archcost.data.load import load
from archcost.data.remote import copies
from archcost.data.remote.copies import Most
from archcost.data.remote.systems import below, has_secret, is_url, near, opened
from archcost.data.spec import DataSpec
from archcost.errors import InputError

MOST = Most(100, 10**6)
ALL = below("")


@pytest.fixture
def there(place: Path) -> Path:
    """A folder that is named by its URL, file://."""
    found = place / "there"
    found.mkdir()
    return found


def every(_: tuple[str, ...]) -> bool:
    return True


def spec(**keys: Any) -> DataSpec:
    return DataSpec.model_validate(keys)


def read_at_both(folder: Path, name: str, path: str, **keys: Any) -> None:
    """Read data from a folder and from its URL: they are the same, and kept under one fingerprint."""
    here = load(spec(name=name, path=path, **keys), folder=folder)
    far = load(spec(name=name, path=f"file://{folder}/{path}", **keys), folder=folder / "nowhere")
    assert (here.fingerprint, here.input, here.classes) == (far.fingerprint, far.input, far.classes)
    assert here.read_test().targets.equal(far.read_test().targets)
    assert str(folder) not in far.source


def test_images_at_a_url(there: Path) -> None:
    """All three parts are copied, other files are not, and classes are called as their folders."""
    datafiles.write_images(there / "pictures")
    (there / "pictures" / "train" / "notes.txt").write_text("none of an image")
    read_at_both(there, "images", "pictures")
    url = f"file://{there}/pictures"
    found = load(spec(name="images", path=url), folder=there)
    assert not list(Path(found.source).rglob("notes.txt"))
    here = names.class_names(spec(name="images", path="pictures"), there, found.classes)
    assert here == names.class_names(spec(name="images", path=url), there, found.classes)


@pytest.mark.parametrize("name", ["book.txt", "book.train.txt"])
def test_a_text_at_a_url(there: Path, name: str) -> None:
    """NAME.train.txt has its two others beside it there too."""
    parts = ("book.train.txt", "book.valid.txt", "book.test.txt") if "train" in name else (name,)
    for each in parts:
        (there / each).write_text("a rose is a rose is a rose\n" * 20, "utf-8")
    read_at_both(there, "text", name, steps=4)


def test_sequences_at_a_url(there: Path) -> None:
    """A .npz is one file."""
    x, y = np.zeros((6, 3, 2), np.float32), np.array([0, 1] * 3)
    np.savez(there / "waves.npz", x_train=x, y_train=y, x_test=x, y_test=y, x_valid=x, y_valid=y)
    read_at_both(there, "sequences", "waves.npz")


def test_data_sets_with_a_name_are_found_at_a_url(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """$ARCHCOST_DATA may be a URL: it is listed without being copied, and copied when it is read."""
    datafiles.write_idx(there / "mnist")
    monkeypatch.setenv("ARCHCOST_DATA", f"file://{there}/")
    code, out, _ = run(capsys, "datasets", "--json")
    listed = {each["name"]: each for each in json.loads(out)["datasets"]}
    assert (0, True, f"file://{there}/mnist") == (code, listed["mnist"]["here"], listed["mnist"]["source"])
    assert not (there.parent / "cache" / "archcost" / "copies").exists()
    found = load(spec(name="mnist"), folder=there)
    monkeypatch.setenv("ARCHCOST_DATA", str(there))
    assert found.fingerprint == load(spec(name="mnist"), folder=there).fingerprint


def test_what_is_missing_at_a_url_is_named_by_it(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it was looked for, not where copies are."""
    monkeypatch.setenv("ARCHCOST_DATA", f"file://{there}")
    with pytest.raises(InputError, match=f"'mnist' is not in 'file://{there}/mnist' or "):
        load(spec(name="mnist"), folder=there)
    with pytest.raises(InputError, match=f"cannot read 'file://{there}/no.txt': there is no such file"):
        load(spec(name="text", path=f"file://{there}/no.txt"), folder=there)
    (there / "one" / "train" / "only").mkdir(parents=True)
    (there / "one" / "train" / "only" / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match=f"'file://{there}/one/train' has 1 folders of a class"):
        load(spec(name="images", path=f"file://{there}/one"), folder=there)


def test_a_copy_is_made_once(there: Path) -> None:
    """A file that is as it was is not copied again; one that changed is, as is a copy that was damaged."""
    (there / "a").write_text("first")
    url = f"file://{there}/a"
    copy = copies.file(url, 10)
    before = copy.stat()
    assert (copy, before) == (copies.file(url, 10), copy.stat())
    (there / "a").write_text("other")
    assert "other" == copies.file(url, 10).read_text()
    copy.write_text("cut")
    assert "other" == copies.file(url, 10).read_text()


def test_a_folder_follows_that_of_the_url(there: Path) -> None:
    """What is gone there is removed here, with its folder; what is not wanted stays as it is."""
    for name in ("x/a.py", "y/b.py", "notes"):
        (there / name).parent.mkdir(exist_ok=True)
        (there / name).write_text(name)
    url = f"file://{there}"
    note = copies.file(f"{url}/notes", 100)
    found = copies.folder(url, ALL, lambda parts: parts[-1].endswith(".py"), MOST)
    assert (found, ["notes", "x", "y"]) == (note.parent, sorted(each.name for each in found.iterdir()))
    (there / "y" / "b.py").unlink()
    copies.folder(url, ALL, lambda parts: parts[-1].endswith(".py"), MOST)
    assert ["notes", "x"] == sorted(each.name for each in found.iterdir())


def test_another_kind_of_file_system() -> None:
    """What fsspec opens is copied alike; a copy says of which URL it is."""
    with fsspec.open("memory://bucket/deep/a.txt", "w") as file:
        file.write("there")
    found = copies.file("memory://bucket/deep/a.txt", 10)
    assert ("there", "memory://bucket/deep/a.txt") == (found.read_text(), copies.origin(found))
    assert found == copies.folder("memory://bucket/deep/", ALL, every, MOST) / "a.txt"
    assert ("", True) == (copies.origin(Path("elsewhere")), copies.is_file("memory://bucket/deep/a.txt"))
    assert frozenset({"a.txt"}) == copies.names("memory://bucket/deep")


@pytest.mark.parametrize("name", ["../out", "a//b", "a/./b", "a/\x1b[2J", "a\\..\\b", "C:b", "n" * 300])
def test_a_name_stays_in_its_folder(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An object store keeps any name; one that leads out of the folder is refused before anything is read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    class Hostile:
        def invalidate_cache(self) -> None:
            """There is none."""

        def find(self, at: str, detail: bool) -> dict[str, dict[str, object]]:
            return {f"/far/{name}": {"name": f"/far/{name}", "size": 1, "type": "file"}}

    monkeypatch.setattr(copies, "opened", lambda _: (Hostile(), "/far"))
    with pytest.raises(InputError, match="names that stay in their folder"):
        copies.folder("memory://far", ALL, every, MOST)
    assert [] == [each for each in tmp_path.rglob("*") if each.is_file()]


def test_no_more_is_copied_than_is_allowed(there: Path) -> None:
    """Neither more files, nor more bytes; a folder is no file."""
    for name in "ab":
        (there / name).write_bytes(bytes(600))
    url = f"file://{there}"
    with pytest.raises(InputError, match=r"has 2 files of 1\.20 kB to copy; allowed: 1 of 5\.00 kB"):
        copies.folder(url, ALL, every, Most(1, 5000))
    with pytest.raises(InputError, match="a' has 1 file of 600 B to copy; allowed: 1 of 100 B"):
        copies.file(f"{url}/a", 100)
    with pytest.raises(InputError, match="is not a file; allowed: a file"):
        copies.file(url, 100)


SECRET = ["s3://me:pass@bucket/x", "s3://me@bucket/x", "https://host/x?token=abc"]


@pytest.mark.parametrize("url", SECRET)
def test_a_secret_is_kept_nowhere(url: str) -> None:
    """Not in a study, and not in the cache."""
    with pytest.raises(InputError, match="a user or password") as error:
        copies.file(url, 10)
    assert ("pass@" in str(error.value), "abc" in str(error.value)) == (False, False)
    with pytest.raises(ValueError, match="a user or password"):
        spec(name="text", path=url)
    assert (True, True) == (is_url(url), has_secret(url))


def test_a_place_that_no_package_opens(place: Path) -> None:
    """Neither is a traceback."""
    with pytest.raises(InputError, match="cannot read 'nosuch://x/y': ValueError: Protocol not known"):
        copies.file("nosuch://x/y", 10)


def test_code_is_looked_for_nearby(there: Path) -> None:
    """Not deeper than was asked for, and in folders alone that Python can import from."""
    for name in ("a.py", "b/c.py", "b/d/e.py", "b/d/f/g.py", "no-package/h.py", ".git/i.py"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text("")
    system, at = opened(f"file://{there}")
    listed = near(3, 100, "fewer")(system, at)
    assert ["a.py", "b/c.py", "b/d/e.py"] == sorted(name.removeprefix(f"{at}/") for name in listed)
    with pytest.raises(InputError, match="more than 3 files to look at; allowed: fewer"):
        near(3, 3, "fewer")(system, at)


def test_several_processes_copy_at_once(there: Path) -> None:
    """They wait for each other, and each finds the whole of every file."""
    for name in range(30):
        (there / f"{name}.py").write_text(f"{name}\n" * 1000)
    program = (
        "from archcost.data.remote import copies, systems\n"
        f"found = copies.folder('file://{there}', systems.below(''), lambda _: True, copies.Most(99, 10**9))\n"
        "print(sum(len(each.read_text().split()) for each in found.iterdir()))"
    )
    several = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert ["30000\n"] * 3 == [each.communicate()[0] for each in several]
