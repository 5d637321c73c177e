"""The data sets known by name: what each is, where it is looked for, how to get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.errors import InputError, Mistake, one_line, quoted, visible
from archcost.files import cache, home

VARIABLE: Final = "ARCHCOST_DATA"

PLACED: Final[Mapping[str, str]] = {
    "images": "a folder with train/CLASS/*.png",
    "text": "a text file",
    "sequences": "a .npz file",
}
"""Those that are the user's own, with what the `path` of each names."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be downloaded; `digest`: of its content, as `md5:...` or `sha256:...`."""

    name: str
    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class Known:
    """A data set that has a name.

    choices: the files that make it, in each of the forms that are read; files: those that can be downloaded;
    get: what to do if they cannot.
    """

    name: str
    words: str
    licence: str
    choices: tuple[tuple[str, ...], ...] = ()
    files: tuple[File, ...] = ()
    get: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A data set as `archcost datasets` lists it.

    here: whether it can be read now, None for the user's own; source: the folder it is in, where it is here;
    places: the folders that are looked in; get: what to do to have it.
    """

    name: str
    words: str
    licence: str
    here: bool | None
    source: str
    places: tuple[str, ...]
    get: str


_FOLDERS: Final = f"a folder in {VARIABLE} and in XDG_CACHE_HOME"
_LONG: Final = 160  # characters of a path in a message

_IDX: Final = tuple(
    f"{part}-ubyte" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
_IDX_CHOICES: Final = (tuple(f"{part}.gz" for part in _IDX), _IDX)
_PARQUET: Final = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")


def _idx_files(base: str, *digests: str) -> tuple[File, ...]:
    return tuple(File(f"{part}.gz", f"{base}/{part}.gz", each) for part, each in zip(_IDX, digests, strict=True))


def _cifar(archive: str, digest: str) -> tuple[File, ...]:
    return (File(archive, f"https://www.cs.toronto.edu/~kriz/{archive}", digest),)


# The MD5 sums are those that the authors publish; Fashion-MNIST's SHA-256 are of files whose MD5 are the authors'.
KNOWN: Final = (
    Known("digits", "1,797 grey 8x8 digits, 10 classes (in the package)", "CC BY 4.0"),
    Known(
        "fashion-mnist", "70,000 grey 28x28 pieces of clothing, 10 classes", "MIT", _IDX_CHOICES,
        _idx_files(
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    Known(
        "mnist", "70,000 grey 28x28 digits, 10 classes", "CC BY-SA 3.0", _IDX_CHOICES,
        _idx_files(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873", "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "md5:9fb629c4189551a2d022fa330f9573f3", "md5:ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    Known(
        "cifar10", "60,000 colour 32x32 photographs, 10 classes", "none stated",
        (("cifar-10-binary.tar.gz",), _PARQUET),
        _cifar("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    ),
    Known(
        "cifar100", "60,000 colour 32x32 photographs, 100 classes", "none stated",
        (("cifar-100-binary.tar.gz",), _PARQUET),
        _cifar("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),
    ),
    Known(
        "ptb", "Penn Treebank, Mikolov's split: 929,589 training words", "LDC: not to be passed on",
        (("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),),
        get="put ptb.train.txt, ptb.valid.txt and ptb.test.txt, which the LDC licenses, into that folder",
    ),
    Known("images", "your images: a folder with train/CLASS/*.png, test/ alike", "yours"),
    Known("text", "your text, by words or characters", "yours"),
    Known("sequences", "your sequences of vectors: x_train, y_train, ... in a .npz", "yours"),
)  # fmt: skip
"""Every data set, in the order of the list."""

NAMES: Final = tuple(each.name for each in KNOWN)


def known(name: str) -> Known:
    """Return what is known of a data set; `name` is one of NAMES."""
    return next(each for each in KNOWN if each.name == name)


def folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the folders that hold a folder of each data set: $ARCHCOST_DATA, then the cache."""
    given = environment.get(VARIABLE, "")
    return (*((home(given, _FOLDERS),) if given else ()), cache(environment))


def present(name: str) -> tuple[Path, ...]:
    """Return the files of a data set, of the first place and form that has them all; nothing if none has."""
    for place in (folder / name for folder in folders()):
        for choice in known(name).choices:
            paths = tuple(place / file for file in choice)
            if all(_is_file(path) for path in paths):
                return paths
    return ()


def found(name: str) -> tuple[Path, ...]:
    """Return the files of a data set; raises InputError, which says what to do, if they are not all there."""
    if paths := present(name):
        return paths
    about = known(name)
    looked = " or ".join(shown(folder / name) for folder in folders())
    wanted = ", or ".join(" and ".join(choice[:4]) for choice in about.choices)
    message = f"data set {quoted(name)} is not in {looked} (wanted: {wanted}); allowed: {_how(about)}"
    raise InputError(Mistake(f"{message}, or set {VARIABLE} to the folder that holds '{name}'", ("data", "name")))


def listed() -> tuple[Listing, ...]:
    """Return every data set with where it is, or what to do to have it."""
    return tuple(_listing(each) for each in KNOWN)


def _listing(about: Known) -> Listing:
    if about.name in PLACED:
        return Listing(about.name, about.words, about.licence, None, "", (), f"path: {PLACED[about.name]}")
    if not about.choices:
        return Listing(about.name, about.words, about.licence, True, "in the package", (), "")
    paths = present(about.name)
    places = tuple(str(folder / about.name) for folder in folders())
    source = str(paths[0].parent) if paths else ""
    return Listing(about.name, about.words, about.licence, bool(paths), source, places, "" if paths else _how(about))


def _how(about: Known) -> str:
    return f"archcost datasets fetch {about.name}" if about.files else about.get


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into has nothing that can be read
        return False


def shown(path: Path) -> str:
    """Return a path as messages show it: visible, in quotes, its end kept where it is long."""
    text = str(path)
    return f"'{visible(text if len(text) <= _LONG else f'...{text[-_LONG:]}')}'"


def regular(path: Path, most_bytes: int) -> Path:
    """Return a path that a user gave; raises InputError if it is no file (a pipe never ends), or too large."""
    try:
        is_file, size = path.is_file(), path.stat().st_size
    except OSError as error:
        raise unread(path, error) from None
    if not is_file:
        raise InputError(Mistake(f"{shown(path)} is not a file; allowed: a file", ("data", "path")))
    if size > most_bytes:
        raise InputError(Mistake(f"{shown(path)} has {size} bytes; allowed: {most_bytes}", ("data", "path")))
    return path


def unread(path: Path, error: OSError, allowed: str = "a file, its path from the study's folder") -> InputError:
    """Return the error for a path that a user gave and the disk refuses."""
    message = f"cannot read {shown(path)}: {error.strerror or error}; allowed: {allowed}"
    return InputError(Mistake(message, ("data", "path")))


def broken(path: Path, why: object) -> InputError:
    """Return the error for a file that is not what it should be; `why`: an exception or words."""
    words = one_line(why, 200) or type(why).__name__
    fresh = "a fresh copy"
    if path.parent.name in NAMES and known(path.parent.name).files:
        fresh = f"a fresh copy (remove it, then: archcost datasets fetch {path.parent.name})"
    return InputError(Mistake(f"{shown(path)} is broken: {words}; allowed: {fresh}", ("data",)))
