"""The data sets known by name: what each is, where it is looked for, how to get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.data.remote import copies
from archcost.data.remote.copies import origin
from archcost.data.remote.systems import is_url
from archcost.errors import InputError, Mistake, one_line, quoted, visible
from archcost.files import cache, home
from archcost.urls import shown as url_shown

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
_PATH: Final = ("data", "path")
_MOST_BYTES: Final = 2**34  # of a file of a data set that has a name
_NAME: Final = ("data", "name")
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


def folders(environment: Mapping[str, str] = os.environ) -> tuple[Path | str, ...]:
    """Return what holds a folder of each data set: $ARCHCOST_DATA, a folder or a URL, then the cache."""
    given = environment.get(VARIABLE, "")
    first = given.rstrip("/") if is_url(given) else home(given, _FOLDERS)
    return (*((first,) if given else ()), cache(environment))


def below(folder: Path | str, name: str) -> Path | str:
    """Return the folder of a data set in one of `folders`."""
    return f"{folder}/{name}" if isinstance(folder, str) else folder / name


def present(name: str) -> tuple[Path | str, tuple[str, ...]] | None:
    """Return where a data set is, and the names of its files: the first place and form that has them all.

    Raises InputError for a URL that is not reached.
    """
    for place in (below(folder, name) for folder in folders()):
        there = copies.names(place, _NAME) if isinstance(place, str) and known(name).choices else frozenset()
        for choice in known(name).choices:
            if all(file in there if isinstance(place, str) else _is_file(place / file) for file in choice):
                return place, choice
    return None


def found(name: str) -> tuple[Path, ...]:
    """Return the files of a data set, those at a URL as copies.

    Raises InputError, which says what to do, if they are not all there.
    """
    if there := present(name):
        place, names = there
        return tuple(
            copies.file(f"{place}/{file}", _MOST_BYTES, _NAME) if isinstance(place, str) else place / file
            for file in names
        )
    about = known(name)
    looked = " or ".join(shown(below(folder, name)) for folder in folders())
    wanted = ", or ".join(" and ".join(choice[:4]) for choice in about.choices)
    message = f"data set {quoted(name)} is not in {looked} (wanted: {wanted}); allowed: {_how(about)}"
    raise InputError(Mistake(f"{message}, or set {VARIABLE} to the folder that holds '{name}'", _NAME))


def listed() -> tuple[Listing, ...]:
    """Return every data set with where it is, or what to do to have it."""
    return tuple(_listing(each) for each in KNOWN)


def _listing(about: Known) -> Listing:
    if about.name in PLACED:
        return Listing(about.name, about.words, about.licence, None, "", (), f"path: {PLACED[about.name]}")
    if not about.choices:
        return Listing(about.name, about.words, about.licence, True, "in the package", (), "")
    places = tuple(url_shown(str(below(folder, about.name))) for folder in folders())
    there = present(about.name)
    if there is None:
        return Listing(about.name, about.words, about.licence, False, "", places, _how(about))
    return Listing(about.name, about.words, about.licence, True, url_shown(str(there[0])), places, "")


def _how(about: Known) -> str:
    return f"archcost datasets fetch {about.name}" if about.files else about.get


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into has nothing that can be read
        return False


def shown(path: Path | str) -> str:
    """Return a path or URL as messages show it: visible, in quotes, its end kept if it is long; of a copy its URL."""
    text = url_shown((origin(path) if isinstance(path, Path) else "") or str(path))
    return f"'{visible(text if len(text) <= _LONG else f'...{text[-_LONG:]}')}'"


def yours(given: str, folder: Path, most_bytes: int) -> Path:
    """Return a file that a user gave, from the study's folder on, or the copy of one at a URL.

    Raises InputError if it is no file, or too large.
    """
    return copies.file(given, most_bytes, _PATH) if is_url(given) else regular(folder / given, most_bytes)


def regular(path: Path, most_bytes: int) -> Path:
    """Return a path that a user gave; raises InputError if it is no file (a pipe never ends), or too large."""
    try:
        is_file, size = path.is_file(), path.stat().st_size
    except OSError as error:
        raise unread(path, error) from None
    if not is_file:
        raise InputError(Mistake(f"{shown(path)} is not a file; allowed: a file", _PATH))
    if size > most_bytes:
        raise InputError(Mistake(f"{shown(path)} has {size} bytes; allowed: {most_bytes}", _PATH))
    return path


def unread(path: Path, error: OSError, allowed: str = "a file, its path from the study's folder") -> InputError:
    """Return the error for a path that a user gave and the disk refuses."""
    message = f"cannot read {shown(path)}: {error.strerror or error}; allowed: {allowed}"
    return InputError(Mistake(message, _PATH))


def broken(path: Path, why: object) -> InputError:
    """Return the error for a file that is not what it should be; `why`: an exception or words."""
    words = one_line(why, 200) or type(why).__name__
    fresh = "a fresh copy"
    if path.parent.name in NAMES and known(path.parent.name).files:
        fresh = f"a fresh copy (remove it, then: archcost datasets fetch {path.parent.name})"
    return InputError(Mistake(f"{shown(path)} is broken: {words}; allowed: {fresh}", ("data",)))
