"""Where data sets are looked for, and what to do where they are not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.errors import InputError, Mistake, quoted

_VARIABLE: Final = "ARCHCOST_DATA"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a data set that can be downloaded, with what its content must hash to."""

    name: str
    url: str
    md5: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A data set that is known by name: what it is, the files or folders it may be in, and how to get it.

    folder: below the places that are looked in; files: that `archcost datasets fetch` downloads, none where it cannot.
    """

    name: str
    words: str
    folder: str
    licence: str
    files: tuple[File, ...] = ()
    get: str = ""


def _mnist(base: str, *md5: str) -> tuple[File, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        File(f"{part}-ubyte.gz", f"{base}/{part}-ubyte.gz", each) for part, each in zip(parts, md5, strict=True)
    )


_CIFAR: Final = "https://www.cs.toronto.edu/~kriz"
LISTINGS: Final = (
    Listing("digits", "1,797 grey 8x8 digits, 10 classes (UCI optdigits, test part)", "", "CC BY 4.0"),
    Listing("fashion-mnist", "70,000 grey 28x28 articles of clothing, 10 classes", "fashion-mnist", "MIT", _mnist(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310")),
    Listing("mnist", "70,000 grey 28x28 digits, 10 classes", "mnist", "CC BY-SA 3.0", _mnist(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c")),
    Listing("cifar10", "60,000 colour 32x32 images, 10 classes", "cifar10", "none stated", (
        File("cifar-10-binary.tar.gz", f"{_CIFAR}/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),)),
    Listing("cifar100", "60,000 colour 32x32 images, 100 classes", "cifar100", "none stated", (
        File("cifar-100-binary.tar.gz", f"{_CIFAR}/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),)),
    Listing("ptb", "Penn Treebank, Mikolov's split, 10,000 words", "ptb", "LDC: not to be passed on",
            get="put ptb.train.txt, ptb.valid.txt and ptb.test.txt, which the LDC licenses, there"),
)  # fmt: skip
"""Data sets that are found by their names."""


def folders() -> tuple[Path, ...]:
    """Return the folders that data sets are looked for in: $ARCHCOST_DATA, then the cache."""
    given = os.environ.get(_VARIABLE, "")
    return (*((Path(given).expanduser(),) if given else ()), cache())


def cache() -> Path:
    """Return the folder that downloads go to: $XDG_CACHE_HOME/archcost, or ~/.cache/archcost."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "archcost"


def listing(name: str) -> Listing:
    """Return what is known of a data set; `name` is one of LISTINGS."""
    return next(each for each in LISTINGS if each.name == name)


def found(name: str, choices: Sequence[Sequence[str]]) -> tuple[tuple[Path, ...], int]:
    """Return the paths of the first choice of files that are all there, and its place among the choices.

    Raises InputError where none is, saying where they were looked for and how to get them.
    """
    about = listing(name)
    places = [folder / about.folder for folder in folders()]
    for place in places:
        for position, files in enumerate(choices):
            paths = tuple(place / file for file in files)
            if all(path.is_file() for path in paths):
                return paths, position
    looked = " or ".join(quoted(str(place)) for place in places)
    wanted = " or ".join(", ".join(files[:4]) for files in choices)
    how = f"archcost datasets fetch {name}" if about.files else about.get
    message = f"data set {quoted(name)} is not in {looked} (wanted: {wanted}); allowed: {how}, or set {_VARIABLE}"
    raise InputError(Mistake(message, ("data", "name")))


def broken(path: Path, why: str) -> InputError:
    """Return the error for a file that is not what it should be."""
    return InputError(Mistake(f"{quoted(str(path))} is broken: {why}; allowed: a fresh copy", ("data",)))
