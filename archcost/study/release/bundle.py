"""A network of a study as a bundle: what it takes, what is said of it, what it reaches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import nn

from archcost.config.writer import to_yaml
from archcost.data.names import class_names, vocabulary
from archcost.data.spec import DataCode, DataSpec
from archcost.latency.targets.device import this_device
from archcost.models.load import Reference
from archcost.nets.export import bundle
from archcost.nets.export.bundle import Bundle, Meta, Vocabulary
from archcost.nets.export.card import text
from archcost.nets.export.sessions import Predict
from archcost.nets.weights import alone
from archcost.study.code import digests
from archcost.study.records import tables
from archcost.study.records.stored import Stored
from archcost.study.release import eight_bits
from archcost.study.release.card import card, licence
from archcost.study.release.material import Material
from archcost.study.release.scores import Check, checks
from archcost.study.release.weights import Source
from archcost.training.score import Score


@dataclass(frozen=True, slots=True)
class Release:
    """A network of a study that is made a bundle; spec, folder: the study's data and where their paths begin."""

    stored: Stored
    source: Source
    net: nn.Module
    material: Material
    spec: DataSpec | DataCode
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
    known = {key: value for key, value in asdict(score).items() if value is not None and key != "metrics"}
    return {**known, **score.metrics}


def _recorded(source: Source) -> dict[str, object]:
    each = {"validation": source.validation, "test": source.test}
    return {split: None if score is None else _row(score) for split, score in each.items()}


def contents(release: Release) -> Bundle:
    """Return what the bundle of a network is made of."""
    held, spec = release.material, release.spec
    is_quantised = release.source.network.way.quantised
    words = vocabulary(spec, release.folder) if isinstance(spec, DataSpec) else None
    return Bundle(
        network=release.net,
        inputs=held.inputs,
        preprocess=held.preprocess,
        classes=_classes(release),
        vocabulary=Vocabulary(words.tokens, words.level, words.unknown, words.before) if words else None,
        yaml=to_yaml(release.source.model.spec),
        weights=alone(release.net),
        facts=_facts(release),
        written=partial(eight_bits.bundled, release.stored, release.source, held) if is_quantised else None,
    )


def _classes(release: Release) -> tuple[str, ...]:
    dataset = release.material.dataset
    if isinstance(release.spec, DataSpec):
        return class_names(release.spec, release.folder, dataset.classes)
    names = dataset.own.names if dataset.own else ()
    return names or tuple(map(str, range(dataset.classes)))


def _facts(release: Release) -> dict[str, object]:
    stored, source, dataset = release.stored, release.source, release.material.dataset
    part = source.network.part
    way, is_quantised = source.network.way, source.network.way.quantised
    weights_bytes = sum(value.nbytes for value in alone(release.net).values())
    sizes = {
        "params": part.params,
        "macs": part.macs,
        "weights_bytes": part.weights_bytes if is_quantised else weights_bytes,
        "memory_bytes": part.memory_bytes,
    }
    latencies = [latency.to_dict() for latency in source.network.latencies()]
    is_code = isinstance(source.model, Reference)
    return {
        "name": source.model.name,
        "study": stored.name,
        "trial": source.network.name,
        "family": source.network.trial.begun.family if source.network.trial.begun else None,
        "digest": part.digest if isinstance(source.model, Reference) else source.model.digest,
        **({"way": {"name": way.name, "runtime": way.runtime, "dtype": way.dtype}} if stored.ways else {}),
        **({"float_layers": tables.reasons_of(source.network)} if is_quantised else {}),
        "weights": source.trained.words,
        "seed": source.seed,
        "sizes": sizes,
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "licence": licence(dataset),
            **({"examples": source.extent.examples} if source.extent.examples else {}),
        },
        "latency": latencies[0] if latencies else None,
        "latencies": latencies,
        # what code gets that makes the network again, and the digests of its files
        **({"offers": {"classes": dataset.classes, "input": dataset.input}} if is_code else {}),
        **({"code": digests.known(stored.study)} if is_code else {}),
    }
