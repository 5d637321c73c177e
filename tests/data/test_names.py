"""What classes and tokens are called: as the data sets' authors, folders and texts have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from archcost.data import load, names
from archcost.data.spec import DataSpec

WORDS = "the cat saw the dog and the dog saw a cat\nno dog was there\n" * 40


def test_names_of_classes_are_the_data_sets(tmp_path: Path) -> None:
    """Fashion-MNIST and CIFAR by their authors, folders by their names, others by their numbers, a text none."""
    for name, count, first in (("fashion-mnist", 10, "T-shirt/top"), ("cifar10", 10, "airplane"),
                               ("cifar100", 100, "apple"), ("mnist", 10, "0")):  # fmt: skip
        found = names.class_names(DataSpec(name=name), tmp_path, count)
        assert (count, first) == (len(found), found[0])
    for each in ("b", "a", ".git"):
        (tmp_path / "train" / each).mkdir(parents=True)
    assert ("a", "b") == names.class_names(DataSpec(name="images", path="."), tmp_path, 2)
    assert () == names.class_names(DataSpec(name="ptb"), tmp_path, 9)
    assert None is names.vocabulary(DataSpec(name="digits"), tmp_path)


@pytest.mark.parametrize("level", ["words", "characters"])
@pytest.mark.parametrize("text", [WORDS, WORDS.replace("no dog", "<unk> dog"), f"{WORDS}once\n" * 3])
def test_a_vocabulary_reads_a_text_as_the_data_do(tmp_path: Path, level: str, text: str) -> None:
    """Every token of the training part has the number that its text has in the vocabulary."""
    (tmp_path / "x.txt").write_text(f"rare {text}", "utf-8")
    spec = DataSpec(name="text", path="x.txt", level=level)  # type: ignore[arg-type]  # one of two
    dataset, found = load.load(spec, folder=tmp_path), names.vocabulary(spec, tmp_path)
    assert found is not None
    assert (dataset.classes, len(found.tokens)) == (len(found.tokens), len(set(found.tokens)))
    said = f"rare {text}"
    words = [word for line in said.splitlines() for word in (*line.split(), "<eos>")]
    numbers = {token: number for number, token in enumerate(found.tokens)}
    expected = [numbers.get(token, found.unknown) for token in (words if level == "words" else said)]
    assert expected[: len(dataset.train)] == dataset.train.targets.tolist()
    assert found.before == dataset.train.inputs[0]
