"""Weights of a checkpoint: whatever holds them they are the network's, and no file runs code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from specs import Tree, model
from torch import Tensor, nn

from archcost.errors import InputError
from archcost.models.load import Loaded
from archcost.nets.export import formats
from archcost.nets.export.checkpoint import load_into
from archcost.nets.net import build, example

State = dict[str, Tensor]
SMALL: Tree = {"family": "nin", "input": [3, 8, 8], "classes": 4, "layers": [{"kernel": 3, "widths": [6, 4]}]}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def legacy(state: object, file: Path) -> None:
    torch.save(state, file, _use_new_zipfile_serialization=False)


WRITTEN: dict[str, Callable[[State, Path], object]] = {
    "safetensors": save_file,
    "torch": torch.save,
    "torch of old": legacy,
    "a trainer's": lambda state, file: torch.save({"epoch": 3, "state_dict": state, "best": 0.5}, file),
    "nested": lambda state, file: torch.save({"weights": {"model": state}}, file),
    "DataParallel's": lambda state, file: torch.save({f"module.{name}": t for name, t in state.items()}, file),
    "compiled": lambda state, file: save_file({f"_orig_mod.{name}": t for name, t in state.items()}, file),
    "without counters": lambda state, file: torch.save(
        {name: t for name, t in state.items() if "num_batches" not in name}, file
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_kind_of_file_gives_its_weights(kind: str, tmp_path: Path) -> None:
    """Parameters and statistics are those of the file, to the bit; the words name it."""
    trained, fresh, file = network(), network(), tmp_path / "trained"
    trained(torch.randn(8, 3))
    WRITTEN[kind](trained.state_dict(), file)
    words = load_into(fresh, file)
    assert {n: t.tolist() for n, t in trained.named_parameters()} == {
        n: t.tolist() for n, t in fresh.named_parameters()
    }
    assert trained[1].running_mean.tolist() == fresh[1].running_mean.tolist()
    assert words.startswith("of trained, sha256 ")


def test_other_types_are_cast_and_said(tmp_path: Path) -> None:
    """float16 in the file is float32 in the network, which the words say."""
    trained, file = network(), tmp_path / "half"
    torch.save({name: t.half() if t.is_floating_point() else t for name, t in trained.state_dict().items()}, file)
    fresh = network()
    assert load_into(fresh, file).endswith(", float16 as float32")
    assert trained[0].weight.half().tolist() == fresh[0].weight.tolist()


def test_one_name_of_tied_weights_is_enough(tmp_path: Path) -> None:
    """safetensors keeps a tensor once: the other names of it are not missing."""
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    kept = {name: t.clone() for name, t in tied.state_dict().items() if name != "1.weight"}
    save_file(kept, tmp_path / "tied")
    fresh = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    fresh[1].weight = fresh[0].weight
    load_into(fresh, tmp_path / "tied")
    assert kept["0.weight"].tolist() == fresh[1].weight.tolist()


@pytest.mark.parametrize("save", [save_file, torch.save])
def test_all_that_does_not_fit_is_named(save: Callable[[State, Path], object], tmp_path: Path) -> None:
    """Missing, unexpected and misshapen names are three lines of one error, many of them cut."""
    state = network().state_dict()
    del state["0.bias"]
    state["0.weight"] = torch.ones(4, 5)
    state |= {f"extra.{number}": torch.ones(1) for number in range(8)}
    save(state, tmp_path / "other")
    with pytest.raises(InputError) as caught:
        load_into(network(), tmp_path / "other")
    lines = [each.message.partition("network, ")[2] for each in caught.value.mistakes]
    assert [
        "missing: 0.bias",
        "unexpected: extra.0, extra.1, extra.2, extra.3, extra.4 and 3 more",
        "of another shape: 0.weight (4, 5), here (4, 3)",
    ] == lines


class Command:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("ran",)


def pickled(value: object, file: Path) -> None:
    file.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (torch.save, r"is refused: its pickle names \w+.mkdir, which could run code; allowed: torch.save\(module"),
        (legacy, "is refused: it is damaged, or its pickle could run code; allowed: "),
        (pickled, "is refused: it is damaged, or its pickle could run code; allowed: "),
    ],
)
def test_a_pickle_that_would_run_code_is_refused(
    write: Callable[[object, Path], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, and nothing was run."""
    monkeypatch.chdir(tmp_path)
    write({"weight": torch.ones(1), "more": Command()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=message) as caught:
        load_into(network(), tmp_path / "evil.pt")
    assert (1, ["evil.pt"]) == (len(caught.value.mistakes), [each.name for each in tmp_path.iterdir()])


def test_a_whole_module_is_refused_by_its_class(tmp_path: Path) -> None:
    """What torch.save(module) writes names classes, which loading would import."""
    torch.save(network(), tmp_path / "module.pt")
    with pytest.raises(InputError, match=r"its pickle names .*torch.nn.modules.linear.Linear.* could run code"):
        load_into(network(), tmp_path / "module.pt")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02", b"{}", b"\x10\0\0\0\0\0\0\0{}", b"weights"])
def test_what_is_no_file_of_weights_is_said(content: bytes, tmp_path: Path) -> None:
    """Damaged, cut off, or something else."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read|is refused|holds no tensors"):
        load_into(network(), tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot read .*: No such file"):
        load_into(network(), tmp_path / "missing")


@pytest.mark.parametrize("value", [[torch.ones(1)], {"a": 1}, torch.ones(2), {}])
def test_tensors_without_names_are_refused(value: object, tmp_path: Path) -> None:
    """Weights have names."""
    torch.save(value, tmp_path / "file")
    with pytest.raises(InputError, match="holds no tensors by name; allowed: a state_dict"):
        load_into(network(), tmp_path / "file")


def test_an_exported_file_holds_a_checkpoints_weights(tmp_path: Path) -> None:
    """The file computes what the checkpoint's network computes, and says whose weights they are."""
    found = model(SMALL)
    trained = build(found.graph, found.recipe, seed=7).eval()
    save_file(trained.state_dict(), tmp_path / "best.safetensors")
    said = formats.export(Loaded(found, tmp_path / "best.safetensors"), "pt2", tmp_path / "net.pt2")
    assert any(line.startswith("weights of best.safetensors, sha256 ") for line in said)
    assert not any("not trained" in line for line in said)
    x = example(found.graph, 2, seed=9)
    torch.testing.assert_close(torch.export.load(tmp_path / "net.pt2").module()(x), trained(x))
