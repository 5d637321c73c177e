"""A bundle: a folder with a trained network as ONNX, and all that its use needs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

from safetensors.torch import save
from torch import Tensor, nn

from archcost.files import placed_folder
from archcost.nets.call import Call
from archcost.nets.export.onnx_pt2 import Program, write_onnx
from archcost.nets.export.preprocess import Inputs, Layout, Prepared, Preprocess
from archcost.nets.export.sessions import Predict, of_onnx, onnxruntime
from archcost.version import __version__

NETWORK: Final = "model.yaml"
WEIGHTS: Final = "weights.safetensors"
FACTS: Final = "meta.json"
_WORDS: Final = "vocabulary.json"
_FILES: Final = frozenset(
    {"model.onnx", "model.onnx.data", NETWORK, WEIGHTS, FACTS, _WORDS, "card.md", "predict.py", "__pycache__"}
)
_FORMAT: Final = 1
_BATCHES: Final = (2, 1, 3)  # the first is traced: 1 would be taken for a constant

Meta: TypeAlias = Mapping[str, object]
"""What meta.json holds."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a text by their number; unknown: the number of all others; before: what is before a text."""

    tokens: tuple[str, ...]
    level: str
    unknown: int
    before: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle is made of.

    network: in evaluation mode, it takes what `preprocess` makes of `inputs`, and gives scores (B, K) or (B, T, K);
    classes: names of the K, () of a text, which has a vocabulary; yaml: the network as YAML; weights: as safetensors;
    facts: what else the ONNX file and meta.json say of it, by name, as JSON holds it; written: writes the ONNX file in
    place of the network's own export, with its preprocessing and what it is to say of itself, and says what it holds.
    """

    network: nn.Module
    inputs: Inputs
    preprocess: Preprocess | None
    classes: Sequence[str]
    vocabulary: Vocabulary | None
    yaml: str
    weights: Mapping[str, Tensor]
    facts: Mapping[str, object]
    written: Callable[[Path, dict[str, str]], tuple[str, ...]] | None = None

    @property
    def about(self) -> dict[str, object]:
        """What the file takes and gives, and all that is said of it."""
        return {
            **self.facts,
            "input": self.inputs.to_dict(),
            "classes": list(self.classes),
            "preprocess": None if self.preprocess is None else self.preprocess.to_dict(),
        }


def write(
    folder: Path, bundle: Bundle, evaluate: Callable[[Predict], Meta], card: Callable[[Meta], str]
) -> tuple[str, ...]:
    """Write a bundle, whole or not at all, in place of an earlier one; return what there is to say of it.

    evaluate: gives what meta.json holds besides, from what runs the written ONNX file: its results; card: the text of
    card.md, from all that meta.json holds. Raises InputError if the extra is not installed, or something else is in
    the place; TargetError if the file computes something else than the network.
    """
    version = onnxruntime().__version__
    with placed_folder(folder, is_bundle) as part:
        said = _network(part / "model.onnx", bundle)
        results = evaluate(of_onnx(part / "model.onnx"))
        runtime = {"name": "onnxruntime", "version": version}
        head = {"archcost": __version__, "bundle": _FORMAT}
        words = {} if bundle.vocabulary is None else _words(bundle.vocabulary)
        meta: Meta = {**head, **bundle.about, **words, "runtime": runtime, **results}
        (part / WEIGHTS).write_bytes(save(dict(bundle.weights), _strings(bundle.about)))
        if bundle.vocabulary is not None:
            _write(part / _WORDS, _json(list(bundle.vocabulary.tokens)))
        _write(part / NETWORK, bundle.yaml)
        _write(part / "predict.py", script(bundle.inputs.layout))
        _write(part / "card.md", card(meta))
        _write(part / FACTS, _json(meta))
    return said


def _network(path: Path, bundle: Bundle) -> tuple[str, ...]:
    if bundle.written is not None:
        return bundle.written(path, _strings(bundle.about))
    module = Prepared(bundle.network, bundle.inputs.layout, bundle.preprocess).eval()
    calls = [Call(module, (bundle.inputs.example(batch, seed=batch),)) for batch in _BATCHES]
    share = write_onnx(Program(module, calls, True, _strings(bundle.about)), path)
    shape = ", ".join(["batch", *map(str, bundle.inputs.shape)])
    return f"input ({shape}), {bundle.inputs.dtype}; any batch", share


def _strings(about: Mapping[str, object]) -> dict[str, str]:
    """Return facts as a file's metadata holds them: texts as they are, all else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(_finite(value)) for key, value in about.items()}


def _words(vocabulary: Vocabulary) -> dict[str, object]:
    return {key: value for key, value in asdict(vocabulary).items() if key != "tokens"}


def _json(value: object) -> str:
    return json.dumps(_finite(value), indent=1, ensure_ascii=False) + "\n"


def _finite(value: object) -> object:
    """Return a value without numbers that JSON does not have: they are null."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def script(layout: Layout) -> str:
    """Return the text of predict.py for what is given to a network."""
    return (files("archcost.nets.export") / "scripts" / f"{_taken(layout)}.py.txt").read_text("utf-8")


def tried(folder: Path, layout: Layout) -> str:
    """Return a command that tries a bundle, for a shell."""
    example = {"image": "image.png", "text": "some text", "array": "examples.npy"}[_taken(layout)]
    return shlex.join(["python", str(folder / "predict.py"), example])


def _taken(layout: Layout) -> Literal["image", "text", "array"]:
    match layout:
        case "image" | "rows":
            return "image"
        case "tokens":
            return "text"
        case "sequence" | "tensor":
            return "array"
        case _:
            assert_never(layout)


def is_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle that archcost has written, and holds nothing besides."""
    try:
        held = json.loads((folder / FACTS).read_text("utf-8"))
        names = {each.name for each in folder.iterdir()}
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and "archcost" in held and "bundle" in held and names <= _FILES
