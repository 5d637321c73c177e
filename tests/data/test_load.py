"""Every kind of data set as it is read: content, splits, moments, fingerprint, and what is read when."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import datafiles
import numpy as np
import pytest
import torch
from datafiles import read
from hypothesis import given
from hypothesis import strategies as st

from archcost.data.splits import Split, first, held_out, moments
from archcost.errors import InputError

pytestmark = pytest.mark.usefixtures("place")


def bag(split: Split) -> Counter[tuple[bytes, int]]:
    """Return the examples of a split without their order."""
    pairs = zip(split.inputs.numpy(), split.targets.tolist(), strict=True)
    return Counter((example.tobytes(), target) for example, target in pairs)


def test_digits(place: Path) -> None:
    """The package's digits are 1,797 in three parts with every class in each, of values 0 to 255."""
    found = read(place, "digits")
    parts = (found.train, found.validation, found.read_test())
    assert [1295, 143, 359] == [len(part) for part in parts]
    assert [set(range(10))] * 3 == [set(part.targets.tolist()) for part in parts]
    assert ([1, 8, 8], 10, "image", "in the package") == (found.input, found.classes, found.kind, found.source)
    assert (0, 255) == (found.train.inputs.min(), found.train.inputs.max())


def test_the_digits_are_those_that_were_published(place: Path) -> None:
    """Results are kept under this fingerprint: neither content nor split may change unnoticed."""
    assert "f523afb1" == read(place, "digits").fingerprint[:8]


@pytest.mark.parametrize("zipped", [True, False])
def test_idx(place: Path, zipped: bool) -> None:
    """MNIST's files hold what was written, gzipped or not; a tenth of each class is held out."""
    images, answers, test_images, test_answers = datafiles.write_idx(place / "mnist", zipped=zipped)
    found = read(place, "mnist")
    assert [30, 10] == [len(found.train), len(found.validation)]  # of 4 of a class at least one is held out
    written = Split(torch.from_numpy(images[:, None]), torch.from_numpy(answers.astype(np.int64)))
    assert bag(written) == bag(found.train) + bag(found.validation)
    test = found.read_test()
    assert np.array_equal(test_images[:, None], test.inputs.numpy())
    assert test_answers.tolist() == test.targets.tolist()


def test_cifar_archive(place: Path) -> None:
    """The five batches are training, the sixth is for testing; channels come one after the other."""
    members = datafiles.cifar10()
    (place / "cifar10").mkdir()
    (place / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(datafiles.archive(members))
    found = read(place, "cifar10")
    assert ([3, 32, 32], 10, 90, 10) == (found.input, found.classes, len(found.train), len(found.validation))
    record = np.frombuffer(members["cifar-10-batches-bin/test_batch.bin"][:3073], np.uint8)
    assert np.array_equal(record[1:].reshape(3, 32, 32), found.read_test().inputs[0].numpy())


def test_cifar100_archive(place: Path) -> None:
    """Of the two label bytes of cifar100 the second, the fine one, counts."""
    rows = np.concatenate([np.full((200, 1), 7, np.uint8), datafiles.labels(200, 100)[:, None],
                           datafiles.pixels(200, 3072)], 1)  # fmt: skip
    members = {"cifar-100-binary/train.bin": rows.tobytes(), "cifar-100-binary/test.bin": rows[:100].tobytes()}
    (place / "cifar100").mkdir()
    (place / "cifar100" / "cifar-100-binary.tar.gz").write_bytes(datafiles.archive(members))
    found = read(place, "cifar100")
    assert (100, list(range(100))) == (found.classes, found.read_test().targets.tolist())


@pytest.mark.parametrize(("name", "column", "classes"), [("cifar10", "label", 10), ("cifar100", "fine_label", 100)])
def test_parquet(place: Path, name: str, column: str, classes: int) -> None:
    """Hugging Face's layout gives the images that were encoded; the source says how they were."""
    pytest.importorskip("pyarrow", reason="the extra data is not installed")
    images = datafiles.pixels(200, 32, 32, 3)
    answers = datafiles.labels(200, classes).tolist()
    for file in datafiles.PARQUET:
        datafiles.write_parquet(place / name / file, [datafiles.encoded(each) for each in images], answers, column)
    found = read(place, name)
    assert np.array_equal(images.transpose(0, 3, 1, 2), found.read_test().inputs.numpy())
    assert (answers, classes) == (found.read_test().targets.tolist(), found.classes)
    assert found.source.endswith(".parquet (PNG)")


def test_image_folder(place: Path) -> None:
    """Classes are the folders in the order of their names; without valid/ a tenth of each is held out."""
    datafiles.write_images(place / "mine", classes=3)
    found = read(place, "images", path="mine")
    assert ([1, 6, 4], 3, 27, 3) == (found.input, found.classes, len(found.train), len(found.validation))
    test = found.read_test()
    assert [10 * label for label in test.targets.tolist()] == test.inputs[:, 0, 0, 0].tolist()


def test_image_folder_with_validation(place: Path) -> None:
    """A folder valid/ is the validation split, and all of train/ is trained on."""
    datafiles.write_images(place / "mine", parts=("train", "valid", "test"))
    found = read(place, "images", path="mine")
    assert (20, 20) == (len(found.train), len(found.validation))


def test_grey_among_colours(place: Path) -> None:
    """One coloured image makes all of three channels; a grey one then has the same values in each."""
    datafiles.write_images(place / "mine")
    colour = datafiles.pixels(1, 6, 4, 3)[0]
    (place / "mine" / "train" / "class 1" / "0.png").write_bytes(datafiles.encoded(colour))
    found = read(place, "images", path="mine")
    assert [3, 6, 4] == found.input
    test = found.read_test().inputs
    assert torch.equal(test[:, 0], test[:, 2])


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM", "GIF", "JPEG", "WEBP"])
def test_every_format_of_images(place: Path, form: str) -> None:
    """Each format that is listed is read; those without loss give the values back."""
    datafiles.write_images(place / "mine")
    image = np.full((6, 4, 3), 128, np.uint8)
    ending = {"JPEG": "jpg"}.get(form, form.lower())
    options = {"lossless": True} if form == "WEBP" else {}
    path = place / "mine" / "test" / "class 0" / f"new.{ending}"
    path.write_bytes(datafiles.encoded(image, form, **options))
    for old in path.parent.glob("*[0-9].png"):
        old.unlink()
    (place / "mine" / "train" / "class 0" / "0.png").write_bytes(datafiles.encoded(image))
    found = read(place, "images", path="mine").read_test()
    assert torch.equal(torch.full((3, 6, 4), 128, dtype=torch.uint8), found.inputs[0])


def test_other_files_are_no_images(place: Path) -> None:
    """What systems leave in folders is not read: hidden folders, files with other endings."""
    datafiles.write_images(place / "mine")
    (place / "mine" / "train" / ".cache").mkdir()
    (place / "mine" / "train" / "class 0" / "Thumbs.db").write_bytes(b"x")
    assert 2 == read(place, "images", path="mine").classes


def test_rows(place: Path) -> None:
    """As rows an image is H steps; a step has all channels of its first pixel, then of the next."""
    pytest.importorskip("pyarrow", reason="the extra data is not installed")
    images = datafiles.pixels(20, 32, 32, 3)
    for file in datafiles.PARQUET:
        answers = datafiles.labels(20, 10).tolist()
        datafiles.write_parquet(place / "cifar10" / file, [datafiles.encoded(each) for each in images], answers)
    found = read(place, "cifar10", as_="rows")
    assert ({"steps": 32, "features": 96}, "sequence") == (found.input, found.kind)
    assert np.allclose(images.reshape(20, 32, 96) / 255, found.read_test().inputs.numpy())
    assert 96 == len(found.mean) == len(found.std)


def test_sequences(place: Path) -> None:
    """A .npz gives its arrays as float32; without x_valid a tenth of each class is held out."""
    held = datafiles.arrays(40)
    np.savez_compressed(place / "s.npz", **held)
    found = read(place, "sequences", path="s.npz")
    assert ({"steps": 5, "features": 3}, 4, 36, 4) == (
        found.input, found.classes, len(found.train), len(found.validation))  # fmt: skip
    assert np.array_equal(held["x_test"].astype(np.float32), found.read_test().inputs.numpy())


@pytest.mark.parametrize("kind", ["f2", "f8", ">f4", "i4", "u1", "fortran"])
def test_every_type_of_numbers(place: Path, kind: str) -> None:
    """Arrays of any numbers and either order are read as what they mean."""
    held = datafiles.arrays(parts=("train", "valid", "test"))
    x = held["x_test"].round()
    held["x_test"] = np.asfortranarray(x) if kind == "fortran" else (np.abs(x) if kind == "u1" else x).astype(kind)
    np.savez(place / "s.npz", **held)
    found = read(place, "sequences", path="s.npz")
    assert (20, 20) == (len(found.train), len(found.validation))
    assert np.array_equal(held["x_test"].astype(np.float32), found.read_test().inputs.numpy())


def test_penn_treebank(place: Path) -> None:
    """Words are numbered by the training part, a line ends in <eos>, what is unknown is the text's own <unk>."""
    (place / "ptb").mkdir()
    for part, text in {"train": " a b <unk>\n c a \n", "valid": " c d \n", "test": " a a \n"}.items():
        (place / "ptb" / f"ptb.{part}.txt").write_text(text)
    found = read(place, "ptb", steps=7)
    eos, a, b, unknown, c = range(5)
    assert ({"steps": 7, "vocab": 5}, 5, "text") == (found.input, found.classes, found.kind)
    assert [a, b, unknown, eos, c, a, eos] == found.train.targets.tolist()
    assert [eos, a, b, unknown, eos, c, a] == found.train.inputs.tolist()
    assert [c, unknown, eos] == found.validation.targets.tolist()
    assert [a, a, eos] == found.read_test().targets.tolist()


def test_words_seen_once(place: Path) -> None:
    """If a text marks no unknown words, those it has once stand for them, so that something is learned of them."""
    (place / "t.train.txt").write_text("a b a c\n")
    (place / "t.valid.txt").write_text("a b d\n")
    (place / "t.test.txt").write_text("d\n")
    found = read(place, "text", path="t.train.txt")
    eos, a, unknown = range(3)
    assert 3 == found.classes
    assert [a, unknown, a, unknown, eos] == found.train.targets.tolist()
    assert [a, unknown, unknown, eos] == found.validation.targets.tolist()


def test_characters_of_one_file(place: Path) -> None:
    """One file is cut into eight tenths for training, one for validation, one for testing; the end of a line stands
    before each.
    """
    (place / "t.txt").write_text("\ufeffab\n" * 10, encoding="utf-8")  # ten byte order marks, the first is none
    found = read(place, "text", path="t.txt", level="characters")
    assert [33, 3, 3] == [len(found.train), len(found.validation), len(found.read_test())]
    assert found.train.inputs[0] == found.train.targets[2]  # a line's end
    assert 5 == found.classes  # line end, a, b, the mark, and what is unknown


@given(st.lists(st.text("ab \n<unk>\u3000\x0c", max_size=40), min_size=3, max_size=3), st.booleans())
def test_every_token_is_a_target(texts: list[str], characters: bool) -> None:
    """Every token of every part is a target once, and the input of the token behind it."""
    with TemporaryDirectory() as name:
        for part, text in zip(("train", "valid", "test"), texts, strict=True):
            Path(name, f"t.{part}.txt").write_text(text, newline="\n")
        try:
            found = read(Path(name), "text", path="t.train.txt", level="characters" if characters else "words")
            parts = [found.train, found.validation, found.read_test()]
        except InputError:
            assert not all(texts) or (characters and len(set(texts[0])) == len(texts[0]))
            return
    lines = [text.split("\n")[: -1 if text.endswith("\n") else None] for text in texts]
    counts = [sum(len(line.split()) + 1 for line in each) for each in lines]
    assert ([len(text) for text in texts] if characters else counts) == [len(part) for part in parts]
    for each in parts:
        assert each.targets[:-1].tolist() == each.inputs[1:].tolist()
        assert 0 <= int(each.targets.min()) <= int(each.targets.max()) < found.classes


def test_the_test_split_does_not_make_the_vocabulary(place: Path) -> None:
    """Neither numbers nor fingerprint depend on what is tested on, which is not even opened."""
    for part, text in {"train": "a b a b\n", "valid": "a\n", "test": "a\n"}.items():
        (place / f"t.{part}.txt").write_text(text)
    before = read(place, "text", path="t.train.txt")
    (place / "t.test.txt").write_bytes(b"\xff")
    after = read(place, "text", path="t.train.txt", steps=2)
    assert (before.classes, before.fingerprint) == (after.classes, after.fingerprint)
    with pytest.raises(InputError, match="UTF-8"):
        after.read_test()


@pytest.mark.parametrize("name", ["mnist", "images", "sequences", "cifar10"])
def test_the_test_split_is_read_when_asked_for(place: Path, name: str) -> None:
    """A broken test split is no matter until it is read."""
    datafiles.write_idx(place / "mnist")
    (place / "mnist" / f"{datafiles.IDX[2]}.gz").write_bytes(b"broken")
    datafiles.write_images(place / "images")
    (place / "images" / "test" / "class 0" / "0.png").write_bytes(b"broken")
    np.savez(place / "sequences", **{**datafiles.arrays(), "x_test": np.array("broken")})
    (place / "cifar10").mkdir()
    members = {**datafiles.cifar10(), "cifar-10-batches-bin/test_batch.bin": b"broken"}
    (place / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(datafiles.archive(members))
    path = {"images": {"path": "images"}, "sequences": {"path": "sequences.npz"}}.get(name, {})
    found = read(place, name, **path)
    with pytest.raises(InputError, match="broken"):
        found.read_test()


def test_a_second_load_costs_nothing(place: Path) -> None:
    """The same data set is not read again, nor is its test split, until a file changes."""
    np.savez(place / "s.npz", **datafiles.arrays())
    found = read(place, "sequences", path="s.npz")
    assert found is read(place, "sequences", path="s.npz")
    assert found.read_test() is found.read_test()
    np.savez(place / "s.npz", **{**datafiles.arrays(), "x_train": np.zeros((20, 5, 3))})
    os.utime(place / "s.npz", ns=(1, 1))  # also if the clock is coarse
    assert 0 == read(place, "sequences", path="s.npz").train.inputs.abs().max()


def test_a_new_image_is_seen(place: Path) -> None:
    """A folder that has one more image is read again."""
    datafiles.write_images(place / "mine")
    before = read(place, "images", path="mine")
    (place / "mine" / "train" / "class 0" / "new.png").write_bytes(datafiles.encoded(datafiles.pixels(1, 6, 4)[0]))
    after = read(place, "images", path="mine")
    assert len(before.train) + 1 == len(after.train)
    assert before.fingerprint != after.fingerprint


def test_examples(place: Path) -> None:
    """Fewer examples are drawn with a fixed seed, fewer among more; validation stays, moments are theirs."""
    every, more, few = (read(place, "digits", **k) for k in ({}, {"examples": 300}, {"examples": 100}))
    assert [1295, 300, 100] == [len(each.train) for each in (every, more, few)]
    assert bag(few.train) < bag(more.train) < bag(every.train)
    assert torch.equal(every.validation.inputs, few.validation.inputs)
    assert moments(few.train.inputs) == (few.mean, few.std)
    assert 3 == len({every.fingerprint, more.fingerprint, few.fingerprint})


def test_examples_of_a_text(place: Path) -> None:
    """A shorter text has the vocabulary of the whole one, so that networks stay comparable."""
    (place / "t.txt").write_text("a b c d e f g h a b c d e f g h\n" * 10)
    every, few = (read(place, "text", path="t.txt", **k) for k in ({}, {"examples": 3}))
    assert (3, every.classes) == (len(few.train), few.classes)


@pytest.mark.parametrize(("name", "path"), [("digits", None), ("text", "t.txt"), ("sequences", "s.npz")])
def test_more_examples_than_there_are(place: Path, name: str, path: str | None) -> None:
    """More examples than there are cannot be had, and are not quietly fewer."""
    (place / "t.txt").write_text("a b a b\n" * 10)
    np.savez(place / "s.npz", **datafiles.arrays())
    with pytest.raises(InputError, match="allowed: at most") as error:
        read(place, name, examples=10**6, **({"path": path} if path else {}))
    assert ("data", "examples") == error.value.mistakes[0].path


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60))
def test_held_out_is_a_stratified_part(targets: list[int]) -> None:
    """What is left and what is held out are the whole; of each class the share is within one of a tenth."""
    split = Split(torch.arange(len(targets))[:, None], torch.tensor(targets))
    times = Counter(targets)
    if max(times.values()) == 1:
        with pytest.raises(InputError, match="two training examples"):
            held_out(split)
        return
    left, out = held_out(split)
    assert bag(split) == bag(left) + bag(out)
    kept = Counter(out.targets.tolist())
    assert all(abs(kept[c] - n / 10) < 1 and kept[c] < n for c, n in times.items())
    assert (bag(left), bag(out)) == tuple(map(bag, held_out(split)))


@given(st.integers(1, 30), st.integers(1, 30))
def test_fewer_are_among_more(one: int, other: int) -> None:
    """The first n of a split are among its first m, for n at most m."""
    split = Split(torch.arange(30)[:, None], torch.arange(30))
    low, high = sorted((one, other))
    assert set(first(split, low).targets.tolist()) <= set(first(split, high).targets.tolist())


def test_moments_of_images() -> None:
    """Mean and deviation of every channel are numpy's of the values over 255."""
    images = torch.from_numpy(datafiles.pixels(5000, 3, 4, 5))
    images[:, 2] = 51
    mean, std = moments(images)
    values = images.numpy() / 255
    assert np.allclose(values.mean((0, 2, 3)), mean, rtol=1e-12)
    assert np.allclose([*values.std((0, 2, 3))[:2], 1.0], std, rtol=1e-12)  # of what is constant: 1


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_moments_of_sequences(scale: float, offset: float) -> None:
    """Features of any scale, and far from zero, keep their deviation; constant ones are given 1."""
    chance = np.random.default_rng(0)
    x = ((chance.normal(size=(200, 7, 3)) + offset) * scale).astype(np.float32)
    x[:, :, 2] = 0.1
    mean, std = moments(torch.from_numpy(x))
    assert np.allclose(x.astype(np.float64).mean((0, 1)), mean, rtol=1e-9)
    assert np.allclose([*x.astype(np.float64).std((0, 1))[:2], 1.0], std, rtol=1e-6)


def test_fingerprints_differ(place: Path) -> None:
    """The form, a value and a label each change the fingerprint; reading again does not."""
    held = datafiles.arrays()
    prints = []
    for name, change in (("a", {}), ("b", {}), ("c", {"x_train": held["x_train"] + 1}),
                         ("d", {"y_train": held["y_train"][::-1]})):  # fmt: skip
        np.savez(place / f"{name}.npz", **{**held, **change})
        prints.append(read(place, "sequences", path=f"{name}.npz").fingerprint)
    assert prints[0] == prints[1]
    assert 3 == len(set(prints))
    assert read(place, "digits").fingerprint != read(place, "digits", as_="rows").fingerprint
