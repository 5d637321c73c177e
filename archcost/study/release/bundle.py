"""A network of a study as a bundle: what it takes, what is said of it, what it reaches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from archcost.config.writer import to_yaml
from archcost.data.known import known
from archcost.data.names import class_names, vocabulary
from archcost.data.spec import DataSpec
from archcost.graph.dtypes import BYTES
from archcost.latency.targets.device import this_device
from archcost.nets.export import bundle
from archcost.nets.export.bundle import Bundle, Meta, Vocabulary
from archcost.nets.export.card import text
from archcost.nets.export.preprocess import Inputs, Preprocess
from archcost.nets.export.sessions import Predict
from archcost.nets.net import Net
from archcost.nets.weights import alone
from archcost.study.records.stored import Stored
from archcost.study.release.card import card
from archcost.study.release.material import Material
from archcost.study.release.scores import Check, checks
from archcost.study.release.weights import Source
from archcost.training.score import Score


@dataclass(frozen=True, slots=True)
class Release:
    """A network of a study that is made a bundle; spec, folder: the study's data and where their paths begin."""

    stored: Stored
    source: Source
    net: Net
    material: Material
    spec: DataSpec
    folder: Path


def write(release: Release, folder: Path) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Write a bundle; return what there is to say of it, and what its file reaches beside what it should.

    Raises InputError and TargetError as `nets.export.bundle.write` does.
    """
    found: list[Check] = []

    def evaluate(predict: Predict) -> Meta:
        found.extend(checks(release.source, release.net, release.material, predict, raw=True))
        return {**results(found), "recorded": _recorded(release.source), "device": asdict(this_device())}

    def described(meta: Meta) -> str:
        return text(card(release.stored, release.source, release.material, tuple(found), meta))

    said = bundle.write(folder, contents(release), evaluate, described)
    return (*said, f"weights {release.source.trained.words}"), tuple(found)


def results(found: list[Check]) -> dict[str, object]:
    """Return what a file reaches on validation and test split, null where it was not tested, as JSON holds it."""
    rows: dict[str, object] = dict.fromkeys(("validation", "test"))
    for check in found:
        if check.whose == "the file":
            rows[check.split] = _row(check.given) | ({"windows": check.windows} if check.windows else {})
    return rows


def _row(score: Score) -> dict[str, object]:
    return {key: value for key, value in asdict(score).items() if value is not None}


def _recorded(source: Source) -> dict[str, object]:
    each = {"validation": source.validation, "test": source.test}
    return {split: None if score is None else _row(score) for split, score in each.items()}


def contents(release: Release) -> Bundle:
    """Return what the bundle of a network is made of."""
    held, model = release.material, release.source.trained.model
    words = vocabulary(release.spec, release.folder)
    return Bundle(
        network=release.net,
        inputs=_inputs(held),
        preprocess=_preprocess(held),
        classes=class_names(release.spec, release.folder, held.dataset.classes),
        vocabulary=Vocabulary(words.tokens, release.spec.level, words.unknown, words.before) if words else None,
        yaml=to_yaml(model.spec),
        weights=alone(release.net),
        facts=_facts(release),
    )


def _inputs(held: Material) -> Inputs:
    if held.layout == "tokens":
        assert isinstance(held.dataset.input, dict)  # of a text
        return Inputs("tokens", (int(str(held.dataset.input["steps"])),), "int64", held.dataset.classes)
    raw = held.raw.train.inputs
    return Inputs(held.layout, tuple(raw.shape[1:]), "uint8" if held.layout in ("image", "rows") else "float32")


def _preprocess(held: Material) -> Preprocess | None:
    if held.layout == "tokens":
        return None
    scale = 255.0 if held.layout in ("image", "rows") else 1.0
    return Preprocess(scale, held.dataset.mean, held.dataset.std)


def _facts(release: Release) -> dict[str, object]:
    stored, each, model = release.stored, release.source.network, release.source.trained.model
    cost = model.cost
    sizes = {
        "params": cost.params,
        "macs": cost.macs,
        "weights_bytes": cost.weights_bytes(BYTES["float32"]),
        "memory_bytes": each.part.memory_bytes,
    }
    latencies = [latency.to_dict() for latency in each.latencies()]
    data = release.material.dataset
    return {
        "name": model.name,
        "study": stored.name,
        "trial": each.name,
        "family": model.family,
        "digest": model.digest,
        "weights": release.source.trained.words,
        "seed": release.source.seed,
        "sizes": sizes,
        "data": {"name": data.name, "fingerprint": data.fingerprint, "licence": known(data.name).licence},
        "latency": latencies[0] if latencies else None,
        "latencies": latencies,
    }
