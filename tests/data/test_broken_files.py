"""Broken and hostile data: every file that is not what it should be is an InputError that says what to do."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import datafiles
import numpy as np
import pytest
from datafiles import read

from archcost.errors import InputError

pytestmark = pytest.mark.usefixtures("place")


def told(place: Path, name: str, **keys: object) -> str:
    """Return the message of a data set that is refused, training and test split both asked for."""
    with pytest.raises(InputError) as error:
        read(place, name, **keys).read_test()
    message = str(error.value)
    assert "\x1b" not in message
    assert "allowed" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10", "cifar100", "ptb"])
def test_missing(place: Path, name: str) -> None:
    """What is not there is said with where it was looked for, what was wanted and how to get it."""
    message = told(place, name)
    assert f"'{place}/{name}'" in message
    assert ("archcost datasets fetch" if name != "ptb" else "LDC") in message
    assert "ARCHCOST_DATA" in message


def test_half_of_a_data_set_is_missing(place: Path) -> None:
    """A data set with one file too few is not there."""
    datafiles.write_idx(place / "mnist")
    (place / "mnist" / f"{datafiles.IDX[3]}.gz").unlink()
    assert "is not in" in told(place, "mnist")


IDX = datafiles.idx(datafiles.pixels(40, 28, 28))
BROKEN_IDX = {
    "empty": (b"", "no IDX file"),
    "not gzipped": (IDX, "ot a gzipped file"),
    "truncated": (gzip.compress(IDX)[:-500], "end-of-stream"),
    "checksum": (gzip.compress(IDX)[:-8] + bytes(8), "CRC"),
    "garbage inside": (gzip.compress(IDX)[:200] + b"\xff" * 300 + gzip.compress(IDX)[500:], "broken"),
    "garbage behind": (gzip.compress(IDX) + b"more", "broken"),
    "other type": (gzip.compress(b"\0\0\x0d\x03" + IDX[4:]), "no IDX file"),
    "other dimensions": (gzip.compress(b"\0\0\x08\x02" + IDX[4:]), "no IDX file"),
    "one byte too few": (gzip.compress(IDX[:-1]), "fewer values"),
    "one byte too many": (gzip.compress(IDX + b"x"), "more values"),
    "no images": (gzip.compress(datafiles.idx(datafiles.pixels(0, 28, 28))), "0 x 28 x 28"),
    "huge": (gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)), "allowed: 1 to 2"),
    "bomb": (gzip.compress(IDX[:16] + bytes(2**26), 9), "more values"),
    "other size": (gzip.compress(datafiles.idx(datafiles.pixels(40, 28, 27))), "28 x 27 instead"),
    "more images than labels": (gzip.compress(datafiles.idx(datafiles.pixels(41, 28, 28))), "40 labels of 41"),
}


@pytest.mark.parametrize("case", BROKEN_IDX)
@pytest.mark.parametrize("part", [0, 2])
def test_broken_idx(place: Path, case: str, part: int) -> None:
    """Each way an IDX file can be wrong is told in words, with what to do."""
    datafiles.write_idx(place / "mnist", test=40)
    content, words = BROKEN_IDX[case]
    (place / "mnist" / f"{datafiles.IDX[part]}.gz").write_bytes(content)
    message = told(place, "mnist")
    assert words in message
    assert "remove it, then: archcost datasets fetch mnist" in message or "labels of" in message


def test_wrong_labels(place: Path) -> None:
    """A label beyond the last class is refused."""
    datafiles.write_idx(place / "mnist", train=40)
    wrong = np.full(40, 10, np.uint8)
    (place / "mnist" / f"{datafiles.IDX[1]}.gz").write_bytes(gzip.compress(datafiles.idx(wrong)))
    assert "label 10 of 10 classes" in told(place, "mnist")


MEMBERS = datafiles.cifar10()
FIRST = "cifar-10-batches-bin/data_batch_1.bin"
BROKEN_ARCHIVES = {
    "empty": (b"", "broken"),
    "no archive": (gzip.compress(b"text" * 500), "broken"),
    "truncated": (datafiles.archive(MEMBERS)[:100_000], "broken"),
    "one file too few": (datafiles.archive({k: v for k, v in MEMBERS.items() if k != FIRST}), "there is no cifar-10"),
    "other folder": (datafiles.archive({k.replace("cifar", "../cifar"): v for k, v in MEMBERS.items()}), "there is no"),
    "torn record": (datafiles.archive({**MEMBERS, FIRST: b"x" * 3072}), "no records of 3073"),
    "no record": (datafiles.archive({**MEMBERS, FIRST: b""}), "no records of 3073"),
    "wrong label": (datafiles.archive({**MEMBERS, FIRST: b"\x0a" + bytes(3072)}), "labels that are not 0 to 9"),
    "bomb": (datafiles.archive({"big": bytes(2**26), **MEMBERS}), "big does not belong there"),
    "very many": (datafiles.archive({**{f"{i}": b"" for i in range(70)}, **MEMBERS}), "does not belong there"),
    "hostile name": (datafiles.archive({"\x1b[2J\u202e": bytes(2**26), **MEMBERS}), "does not belong there"),
}


@pytest.mark.parametrize("case", BROKEN_ARCHIVES)
def test_broken_archives(place: Path, case: str) -> None:
    """Each way an archive can be wrong is told in words; nothing is written beside it."""
    content, words = BROKEN_ARCHIVES[case]
    (place / "cifar10").mkdir()
    (place / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(content)
    assert words in told(place, "cifar10")
    assert ["cifar-10-binary.tar.gz"] == [path.name for path in (place / "cifar10").iterdir()]


def test_a_link_in_an_archive_is_no_file(place: Path) -> None:
    """A member that is a link to a file of the system is not followed."""
    import tarfile

    (place / "cifar10").mkdir()
    with tarfile.open(place / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name in MEMBERS:
            facts = tarfile.TarInfo(name)
            facts.type, facts.linkname = tarfile.SYMTYPE, "/etc/hostname"
            tar.addfile(facts)
    assert "no records" in told(place, "cifar10")


PNG = datafiles.encoded(datafiles.pixels(1, 32, 32, 3)[0])
BROKEN_PARQUET: dict[str, tuple[list[bytes | None], list[int | None], str, str]] = {
    "no rows": ([], [], "label", "0 rows"),
    "no image": ([None] * 20, [0] * 20, "label", "broken"),
    "no label": ([PNG] * 20, [None] * 20, "label", "broken"),
    "other column": ([PNG] * 20, [0] * 20, "fine_label", "broken"),
    "wrong label": ([PNG] * 20, [10] * 20, "label", "labels that are not 0 to 9"),
    "negative label": ([PNG] * 20, [-1] * 20, "label", "labels that are not 0 to 9"),
    "other size": ([datafiles.encoded(datafiles.pixels(1, 31, 32, 3)[0])] * 20, [0] * 20, "label", "32 x 31"),
    "no images": ([b"\x89PNG"] * 20, [0] * 20, "label", "cannot identify"),
    "truncated images": ([PNG[:200]] * 20, [0] * 20, "label", "broken"),
}


@pytest.mark.parametrize("case", BROKEN_PARQUET)
def test_broken_parquet(place: Path, case: str) -> None:
    """Each way a parquet file can be wrong is told in words."""
    pytest.importorskip("pyarrow", reason="the extra data is not installed")
    images, answers, column, words = BROKEN_PARQUET[case]
    for file in datafiles.PARQUET:
        datafiles.write_parquet(place / "cifar10" / file, images, answers, column)
    assert words in told(place, "cifar10")


def test_parquet_of_other_columns(place: Path) -> None:
    """A file whose images are no encoded bytes, and one that is no parquet file, are told in words."""
    pyarrow = pytest.importorskip("pyarrow", reason="the extra data is not installed")
    from pyarrow import parquet

    (place / "cifar10").mkdir()
    for file in datafiles.PARQUET:
        parquet.write_table(pyarrow.table({"img": [1, 2], "label": [0, 1]}), place / "cifar10" / file)
    assert "broken" in told(place, "cifar10")
    for file in datafiles.PARQUET:
        (place / "cifar10" / file).write_bytes(b"PAR1" * 100)
    assert "broken" in told(place, "cifar10")


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that says it is very large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(2**20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


GOOD = datafiles.encoded(datafiles.pixels(1, 6, 4)[0])
BROKEN_IMAGES = {
    "empty": (b"", "cannot identify"),
    "text": (b"hello", "cannot identify"),
    "truncated": (GOOD[:50], "broken"),
    "bomb": (bomb(60_000, 60_000), "broken"),
    "large": (bomb(5000, 5000), "5000 x 5000 pixels; allowed: 2^24"),
    "no side": (bomb(0, 5), "broken"),
    "other size": (datafiles.encoded(datafiles.pixels(1, 4, 6)[0]), "6 x 4"),
    "sixteen bits": (datafiles.encoded(np.zeros((6, 4), np.uint16)), "8 bits a channel"),
    "other format": (datafiles.encoded(np.zeros((6, 4), np.uint8), "TIFF"), "cannot identify"),
}


@pytest.mark.parametrize("case", BROKEN_IMAGES)
@pytest.mark.parametrize("part", ["train", "test"])
def test_broken_images(place: Path, case: str, part: str) -> None:
    """Each way an image can be wrong is told in words."""
    datafiles.write_images(place / "mine")
    content, words = BROKEN_IMAGES[case]
    (place / "mine" / part / "class 1" / "3.png").write_bytes(content)
    assert words in told(place, "images", path="mine")


def test_a_coloured_image_among_grey_ones(place: Path) -> None:
    """A coloured image in test/ is refused where all others are grey: its colours would be lost."""
    datafiles.write_images(place / "mine")
    colour = datafiles.encoded(datafiles.pixels(1, 6, 4, 3)[0])
    (place / "mine" / "test" / "class 1" / "3.png").write_bytes(colour)
    assert "4 x 6, RGB; allowed: 4 x 6, grey" in told(place, "images", path="mine")


def _unlink(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: root.rename(root.with_name("other")), "No such file"),
    "no test": (lambda root: (root / "test").rename(root / "tests"), "No such file"),
    "one class": (lambda root: (root / "train" / "class 1").rename(root / "aside"), "1 folders of a class"),
    "a class only in test": (lambda root: (root / "test" / "new").mkdir(), "that train/ does not have"),
    "a class without images": (lambda root: _unlink(root / "train" / "class 1"), "no image in"),
    "hostile class": (lambda root: (root / "test" / "\x1b[31m\u202e").mkdir(), "that train/ does not have"),
    "a file": (lambda root: [(root / "train").rename(root / "t"), (root / "train").write_text("")], "Not a directory"),
    "one image each": (
        lambda root: [path.unlink() for path in root.glob("train/*/[1-9].png")],
        "two training examples",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_wrong_folders(place: Path, case: str) -> None:
    """Each way a folder of images can be wrong is told in words."""
    datafiles.write_images(place / "mine")
    change, words = FOLDERS[case]
    change(place / "mine")
    assert words in told(place, "images", path="mine")


def test_pipes_are_not_waited_for(place: Path) -> None:
    """A pipe with an image's name is no image; a pipe in a text's place is refused."""
    datafiles.write_images(place / "mine")
    os.mkfifo(place / "mine" / "train" / "class 0" / "pipe.png")
    assert 18 == len(read(place, "images", path="mine").train)
    os.mkfifo(place / "pipe.txt")
    assert "is not a file" in told(place, "text", path="pipe.txt")


class Evil:
    """An object whose unpickling writes a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("unpickled",)


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a .zip with members."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def npz(**changed: object) -> bytes:
    """Return a .npz of good sequences with some arrays changed; None leaves one out."""
    held = io.BytesIO()
    arrays = {**datafiles.arrays(), **changed}
    np.savez(held, **{name: each for name, each in arrays.items() if each is not None})  # type: ignore[arg-type]
    return held.getvalue()


def npy(head: str, body: bytes = b"") -> bytes:
    """Return an array's file with a head of one's own."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + body


def with_head(head: str, body: bytes = b"") -> bytes:
    """Return a .npz whose x_train has a head of one's own."""
    with zipfile.ZipFile(io.BytesIO(npz())) as held:
        members = {name: held.read(name) for name in held.namelist()}
    return zipped({**members, "x_train.npy": npy(head, body)})


def encrypted(content: bytes) -> bytes:
    """Return a .zip whose members say that they are encrypted."""
    new = bytearray(content)
    start = 0
    while (start := new.find(b"PK\x01\x02", start + 1)) > 0:
        new[start + 8] |= 1
    return bytes(new)


X = datafiles.arrays()["x_train"]
BROKEN_NPZ = {
    "empty": (b"", "not a zip file"),
    "one array": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "not a zip file"),
    "truncated": (npz()[:-300], "broken"),
    "torn inside": (npz()[:300] + b"\xff" * 50 + npz()[350:], "Bad CRC"),
    "nothing in it": (zipped({}), "there is no array x_train, only nothing"),
    "no test": (npz(x_test=None), "there is no array x_test"),
    "half a validation": (npz(x_valid=X), "there is no array y_valid"),
    "pickled": (npz(x_train=np.array([Evil()], object)), "allowed: numbers"),
    "pickled labels": (npz(y_train=np.array([Evil()], object)), "allowed: integers"),
    "text": (npz(x_train=np.array("abc")), "allowed: numbers"),
    "complex": (npz(x_train=X * 1j), "allowed: numbers"),
    "flat": (npz(x_train=X[:, 0]), "allowed: (N, T, F) and (N,)"),
    "no examples": (npz(x_train=X[:0], y_train=np.zeros(0, int)), "allowed: (N, T, F)"),
    "fewer labels": (npz(y_train=np.zeros(3, int)), "allowed: (N, T, F) and (N,)"),
    "labels that are no integers": (npz(y_train=np.zeros(20)), "allowed: integers"),
    "negative label": (npz(y_train=np.full(20, -1)), "y_train from -1 to -1"),
    "huge label": (npz(y_train=np.full(20, 2**62)), "allowed: 0 to 1048575"),
    "unknown label": (npz(y_test=np.full(20, 4)), "y_test from 4 to 4; allowed: 0 to 3"),
    "not a number": (npz(x_train=X * np.nan), "a value that float32 cannot hold"),
    "too large a number": (npz(x_train=X * 1e300), "a value that float32 cannot hold"),
    "other steps": (npz(x_test=X[:, :4]), "allowed: (N, 5, 3), as x_train"),
    "huge shape": (with_head("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 9), }"), "2^31"),
    "negative shape": (with_head("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5, 3), }"), "broken"),
    "lying shape": (with_head("{'descr': '<f8', 'fortran_order': False, 'shape': (20, 5, 3), }", b"x"), "head says"),
    "bomb": (with_head("{'descr': '<f8', 'fortran_order': False, 'shape': (20, 5, 3), }", bytes(2**26)), "head says"),
    "code in the head": (with_head("__import__('os').mkdir('unpickled')"), "broken"),
    "deep head": (with_head("(" * 9000), "allowed: numbers"),
    "no head": (zipped({f"{name}.npy": b"" for name in datafiles.arrays()}), "not numpy's"),
    "unknown type": (with_head("{'descr': '<q9', 'fortran_order': False, 'shape': (1,), }"), "broken"),
    "fields": (npz(x_train=np.zeros((20, 5, 3), [("a", "f4")])), "allowed: numbers"),
    "encrypted": (encrypted(npz()), "encrypted"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_NPZ)
def test_broken_sequences(place: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Each way a .npz can be wrong is told in words; nothing in it runs."""
    monkeypatch.chdir(place)
    content, words = BROKEN_NPZ[case]
    (place / "s.npz").write_bytes(content)
    assert words in told(place, "sequences", path="s.npz")
    assert not (place / "unpickled").exists()


def test_broken_texts(place: Path) -> None:
    """A text that is not UTF-8, not there, a folder, too short, or has an empty part is told in words."""
    (place / "latin.txt").write_bytes("Käse\n".encode("latin-1") * 9)
    (place / "short.txt").write_text("a b\n")
    (place / "empty.txt").write_text("")
    (place / "once.txt").write_text("abcdefghijkl")
    for part in ("train", "valid", "test"):
        (place / f"t.{part}.txt").write_text("" if part == "valid" else "a b a b\n")
    (place / "alone.train.txt").write_text("a b\n")
    cases = {
        "latin.txt": "UTF-8", "short.txt": "3 tokens; allowed: 10", "empty.txt": "0 tokens", "none.txt": "No such file",
        ".": "is not a file", "t.train.txt": "a part of the text has no token", "alone.train.txt": "alone.valid.txt",
    }  # fmt: skip
    assert dict.fromkeys(cases, True) == {n: w in told(place, "text", path=n) for n, w in cases.items()}
    assert "different tokens" in told(place, "text", path="once.txt", level="characters")


def test_a_text_that_is_too_large(place: Path) -> None:
    """A file of more than 2^28 bytes is refused before it is read."""
    with (place / "t.txt").open("wb") as file:
        file.truncate(2**28 + 1)
    assert "allowed: 268435456" in told(place, "text", path="t.txt")


def test_names_from_files_are_shown_harmlessly(place: Path) -> None:
    """Control characters of a path are escapes in the message."""
    name = "\x1b[2J\u202etxt"
    assert "\\x1b[2J\\u202etxt" in told(place, "text", path=name)


def _written(place: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    datafiles.write_idx(place / "mnist", train=20, test=10)
    np.savez_compressed(place / "s.npz", **datafiles.arrays(8))
    files = {
        "mnist": (place / "mnist" / f"{datafiles.IDX[0]}.gz", {}),
        "sequences": (place / "s.npz", {"path": "s.npz"}),
    }
    image = datafiles.pixels(1, 6, 4, 3)[0]
    for form in ("PNG", "BMP", "PPM", "GIF", "JPEG", "WEBP"):
        datafiles.write_images(place / form, each=2)
        path = place / form / "train" / "class 1" / f"0.{form.lower()}"
        path.write_bytes(datafiles.encoded(image, form))
        files[f"images {form}"] = (path, {"path": form})
    return files


def _mutant(content: bytes, chance: random.Random) -> bytes:
    """Return content with some bytes changed, cut out or put in."""
    new = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(new) or 1)
        match chance.randrange(4):
            case 0:
                new[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del new[place : place + chance.randint(1, 30)]
            case 2:
                new[place:place] = chance.randbytes(chance.randint(1, 8))
            case _:
                new[place : place + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
    return bytes(new)


def test_mutants(place: Path) -> None:
    """A file with a few bytes changed is read or refused, and nothing else happens."""
    chance = random.Random(5)
    outcomes = set()
    for name, (path, keys) in _written(place).items():
        content = path.read_bytes()
        for number in range(80):
            path.write_bytes(_mutant(content, chance))
            os.utime(path, ns=(number, number))
            try:
                read(place, name.split()[0], **keys)
                outcomes.add((name, "read"))
            except InputError:
                outcomes.add((name, "refused"))
        path.write_bytes(content)
    assert {name for name, _ in outcomes} == {name for name, result in outcomes if result == "refused"}


def test_parquet_mutants(place: Path) -> None:
    """So is a parquet file."""
    pytest.importorskip("pyarrow", reason="the extra data is not installed")
    for file in datafiles.PARQUET:
        datafiles.write_parquet(place / "cifar10" / file, [PNG] * 20, [i % 10 for i in range(20)])
    path = place / "cifar10" / datafiles.PARQUET[0]
    content, chance, refused = path.read_bytes(), random.Random(6), 0
    for number in range(150):
        path.write_bytes(_mutant(content, chance))
        os.utime(path, ns=(number, number))
        try:
            read(place, "cifar10")
        except InputError:
            refused += 1
    assert refused > 50
