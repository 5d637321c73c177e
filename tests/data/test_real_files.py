"""The published data sets as they are: counts, classes and fingerprints; skipped where they are not at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import datafiles
import numpy as np
import pytest
from datafiles import read

from archcost.cli import main
from archcost.data import cifar, known
from archcost.data.download import fetch

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look in ../shared/data."""
    monkeypatch.setenv("ARCHCOST_DATA", str(SHARED))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def need(name: str) -> None:
    """Skip where a data set is absent."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not here")


def test_fashion_mnist() -> None:
    """60,000 and 10,000 images, as many of each class, in the split that results are kept under."""
    need("fashion-mnist")
    found = read(SHARED, "fashion-mnist")
    test = found.read_test()
    assert (54_000, 6_000, 10_000) == (len(found.train), len(found.validation), len(test))
    assert [[5400] * 10, [600] * 10, [1000] * 10] == [
        each.targets.bincount().tolist() for each in (found.train, found.validation, test)
    ]
    # 0.2860 and 0.3530 are given everywhere for all 60,000
    assert [0.286, 0.353] == pytest.approx([*found.mean, *found.std], abs=2e-4)
    assert "5feabd04" == found.fingerprint[:8]


def test_cifar10_in_parquet() -> None:
    """The test part has 1,000 images of each class, of JPEG's values (to decode all 60,000 takes too long here)."""
    need("cifar10")
    pytest.importorskip("pyarrow", reason="the extra data is not installed")
    images, answers, encoding = cifar.read(
        SHARED / "cifar10" / datafiles.PARQUET[1], "img", "label", (3, 32, 32))  # fmt: skip
    assert ((10_000, 3, 32, 32), [1000] * 10, "JPEG") == (images.shape, np.bincount(answers).tolist(), encoding)
    # the test part's means, 0.4942, 0.4851 and 0.4504, are those of the images before JPEG
    assert [0.4942, 0.4851, 0.4504] == pytest.approx((images.mean((0, 2, 3)) / 255).tolist(), abs=1e-3)


def test_penn_treebank() -> None:
    """Mikolov's split has 929,589, 73,760 and 82,430 tokens of 10,000 kinds; `<unk>` is one of them."""
    need("ptb")
    found = read(SHARED, "ptb")
    assert [929_589, 73_760, 82_430] == [len(each) for each in (found.train, found.validation, found.read_test())]
    assert ({"steps": 35, "vocab": 10_000}, 10_000) == (found.input, found.classes)


@pytest.mark.parametrize("file", ["tinyshakespeare.txt", "wap.train.txt"])
def test_characters(file: str) -> None:
    """Every character of a text is a target once."""
    need("text")
    found = read(SHARED, "text", path=f"text/{file}", level="characters")
    paths = [SHARED / "text" / file] if "train" not in file else sorted((SHARED / "text").glob("wap.*.txt"))
    counts = sum(len(path.read_text(encoding="utf-8-sig")) for path in paths)
    assert counts == sum(len(each) for each in (found.train, found.validation, found.read_test()))


def test_the_hashes_are_those_of_the_files() -> None:
    """What a download of fashion-mnist is checked against are the hashes of the published files."""
    need("fashion-mnist")
    for file in known.known("fashion-mnist").files:
        content = (SHARED / "fashion-mnist" / file.name).read_bytes()
        assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_what_is_there_is_not_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`archcost datasets fetch` of files that are whole asks no server."""
    need("fashion-mnist")
    folder = tmp_path / "archcost" / "fashion-mnist"
    folder.mkdir(parents=True)
    for path in (SHARED / "fashion-mnist").iterdir():
        (folder / path.name).symlink_to(path)
    assert folder == fetch("fashion-mnist")
    with pytest.raises(SystemExit) as end:
        main(["datasets", "fetch", "fashion-mnist"])
    assert (0, f"{folder}\n") == (end.value.code, capsys.readouterr().out)
