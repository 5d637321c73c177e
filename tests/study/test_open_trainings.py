"""Trainings that have not ended: where they are kept, what is known of them, and which files are removed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archcost.errors import InputError
from archcost.study.records import open_trainings
from archcost.study.records.reasons import INTERRUPTED
from archcost.study.records.trials import Begun, Ended, Trial
from archcost.training import checkpoints
from archcost.training.header import Checkpoint, Header, encoded, header, intact


def written(place: Checkpoint, epochs: int = 3, seconds: float = 1.5) -> Checkpoint:
    """Write a small checkpoint to a place and return that."""
    checkpoints.write(place, epochs, seconds, {"weights": [torch.zeros(3)]})
    return place


def test_what_is_trained_has_one_place(tmp_path: Path) -> None:
    """Whoever trains it; another network, column or seed has another."""
    every = [
        open_trainings.place(tmp_path, "mine", *which) for which in (("a",), ("b",), ("a", 1), ("a", 0, 1), ("a", 1, 1))
    ]
    assert 5 == len({each.path for each in every}) == len({each.training for each in every})
    assert every[0] == open_trainings.place(tmp_path, "mine", "a", 0, 0)


def test_only_the_studys_own_are_found_and_removed(tmp_path: Path) -> None:
    """Another study's, a damaged one, a link and somebody's file stay as they are."""
    mine, other = (
        written(open_trainings.place(tmp_path, "mine", "a")),
        written(open_trainings.place(tmp_path, "other", "b")),
    )
    damaged = written(open_trainings.place(tmp_path, "mine", "c"))
    Path(damaged.path).write_bytes(Path(damaged.path).read_bytes()[:300])
    (tmp_path / "own.checkpoint").write_text("mine", "utf-8")
    (tmp_path / "linked.checkpoint").symlink_to(mine.path)
    said = Header("mine", mine.training, 3, 1.5)
    assert ((Path(mine.path), said),) == open_trainings.found(tmp_path, "mine")
    before = {each.name for each in tmp_path.iterdir()}
    for each in (Checkpoint(other.path, "mine", "b"), damaged, Checkpoint(mine.path, "other", mine.training)):
        open_trainings.remove(each)
    assert before == {each.name for each in tmp_path.iterdir()}
    open_trainings.clear(tmp_path, "mine")
    assert before - {Path(mine.path).name} == {each.name for each in tmp_path.iterdir()}
    assert () == open_trainings.found(tmp_path / "gone", "mine")


def test_what_is_removed_twice_is_gone(tmp_path: Path) -> None:
    """Nothing is raised for a file, or a folder, that is not there."""
    place = written(open_trainings.place(tmp_path, "mine", "a"))
    for _ in range(2):
        open_trainings.remove(place)
        assert not Path(place.path).exists()
    open_trainings.remove(open_trainings.place(tmp_path / "gone", "mine", "a"))


def test_what_was_half_written_is_removed(tmp_path: Path) -> None:
    """By the names that a killed process leaves; all other files stay."""
    name = Path(open_trainings.place(tmp_path, "mine", "a").path).name
    left = {f".{name}.abcd_123.part", ".12.pt.abcd_123.part"}
    others = {".own.pt.abcd_123.part", "x.part", f".{name}.part", f"{name}.abcd_123.part", "12.pt"}
    for each in left | others:
        (tmp_path / each).write_text("x", "utf-8")
    open_trainings.tidy(tmp_path)
    assert others == {each.name for each in tmp_path.iterdir()}


def trial(number: int, seconds: float, rungs: dict[int, tuple[float, ...]], identity: str = "a") -> Trial:
    """Return an interrupted trial."""
    begun, ended = Begun("random", "", "", "", identity), Ended(reason=INTERRUPTED, counts=False, seconds=seconds)
    training = open_trainings.place(Path(), "mine", identity).training
    return Trial(number, "failed", {}, (), begun, rungs, ended, training=training)


def test_rungs_that_were_passed_are_known() -> None:
    """Of all interrupted trials of the network, and of no other."""
    every = (trial(0, 1.0, {1: (0.5,)}), trial(1, 1.0, {3: (0.4,)}), trial(2, 1.0, {9: (0.1,)}, "b"))
    assert {1: ((0.5,),), 3: ((0.4,),)} == open_trainings.passed(every, "a")


def test_seconds_of_a_trial_that_was_killed_are_those_kept(tmp_path: Path) -> None:
    """What earlier ones took is theirs; without a checkpoint nobody knows."""
    now = trial(2, 0.0, {})
    assert 0.0 == open_trainings.spent_s(tmp_path, "mine", now, ())
    written(open_trainings.place(tmp_path, "mine", "a"), seconds=7.0)
    assert 7.0 == open_trainings.spent_s(tmp_path, "mine", now, ())
    assert 4.0 == open_trainings.spent_s(
        tmp_path, "mine", now, (trial(0, 2.0, {}), trial(1, 1.0, {}), trial(3, 9.0, {}, "b"))
    )
    assert 0.0 == open_trainings.spent_s(tmp_path, "other", now, ())


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"{",
        b'{"study": "mine"}',
        b'{"study": 1, "training": "", "epochs": 1, "seconds": 1.0}',
        b'{"study": "", "training": "", "epochs": -1, "seconds": 1.0}',
        b'{"study": "", "training": "", "epochs": true, "seconds": 1.0}',
        b'{"study": "", "training": "", "epochs": 1, "seconds": NaN}',
        b'{"study": "", "training": "", "epochs": 1, "seconds": -1.0}',
        b'{"study": "", "training": "", "epochs": 1, "seconds": 1.0, "more": 1}',
        b" " * (1 << 17),
    ],
)
def test_a_strange_header_is_none(tmp_path: Path, said: bytes) -> None:
    """It is read as data, and whatever else is in it is no checkpoint's."""
    path = tmp_path / "x.checkpoint"
    with path.open("wb") as file:  # by the name of a file, torch would name what is in it
        torch.save({"archcost": torch.frombuffer(bytearray(said), dtype=torch.uint8)}, file)
    assert None is header(path)
    assert intact(path)
    with path.open("wb") as file:
        good = Header("mine", "t", 1, 1.0)
        torch.save({"archcost": torch.frombuffer(bytearray(encoded(good)), dtype=torch.uint8)}, file)
    assert good == header(path)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": print}, "the state['a'] is of type 'builtin_function_or_method'; allowed: tensors, numbers"),
        ({"a": [0, {"b": (1, {2})}]}, "the state['a'][1]['b'][1] is of type 'set'"),
        ({"a": {1.5: 2}}, "the state['a'] has a key '1.5'; allowed: texts and integers"),
    ],
)
def test_a_state_holds_tensors_and_plain_values(tmp_path: Path, state: dict[str, object], words: str) -> None:
    """What could not be read again without running something is refused when it is written, with where it is."""
    place = open_trainings.place(tmp_path, "mine", "a")
    with pytest.raises(InputError) as error:
        checkpoints.write(place, 1, 1.0, state)
    assert words in str(error.value)
    assert [] == list(tmp_path.iterdir())


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    """Tensors, numbers, texts, None, lists, tuples and mappings; of another study or training it does not."""
    place = open_trainings.place(tmp_path, "mine", "a")
    state = {"w": torch.arange(3), "deep": {1: [1.5, None, (True, "x")]}}
    checkpoints.write(place, 4, 2.5, state)
    said, held = checkpoints.read(place, torch.device("cpu"))
    assert (Header("mine", place.training, 4, 2.5), state["deep"]) == (said, held["deep"])
    assert torch.equal(torch.arange(3), held["w"])
    for other in (Checkpoint(place.path, "x", place.training), Checkpoint(place.path, "mine", "x")):
        with pytest.raises(InputError, match="another network, fit or data set, or another study's"):
            checkpoints.read(other, torch.device("cpu"))
