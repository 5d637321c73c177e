"""What the card of a network of a study says: use, results, times and data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from archcost.data.known import known
from archcost.data.splits import Dataset
from archcost.models.load import Reference
from archcost.nets.export.bundle import Meta
from archcost.nets.export.card import Card, Result
from archcost.study.records.stored import Stored
from archcost.study.release.material import Material
from archcost.study.release.scores import Check
from archcost.study.release.weights import Source
from archcost.units import counted_words, duration, grouped, percent, scaled
from archcost.version import __version__

_Z = 1.959963984540054  # of 95%


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share that was seen in `count` examples.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def licence(dataset: Dataset) -> str:
    """Return the licence of a data set, in a word or two."""
    return "yours" if dataset.own is not None else known(dataset.name).licence


def card(stored: Stored, source: Source, held: Material, found: tuple[Check, ...], meta: Meta) -> Card:
    """Return the card of a network; found: what its file reaches; meta: what meta.json holds."""
    part = source.network.part
    made = (
        f"A network that {source.model.spec.factory} makes"
        if isinstance(source.model, Reference)
        else f"A network of the family {source.model.family}"
    )
    what = (
        f"{made}, with {scaled(part.params)} parameters and {scaled(part.macs)} multiply-accumulates an example, found "
        f"and trained by archcost {__version__}: network {source.network.name} of the study {stored.name}. The weights "
        f"are those {source.trained.words}."
    )
    if source.network.way.quantised:
        what += (
            f" It runs in 8 bits ({source.network.way.words}), quantised after training; the ranges of its values are "
            "those of training examples, at most 512."
        )
    return Card(
        title=f"{stored.name}: {source.network.name}",
        what=what,
        whom=tuple(_whom(held)),
        results=tuple(_result(check) for check in found if check.whose == "the file"),
        result_notes=tuple(_notes(source, found, meta)),
        speed=tuple(_speed(source)),
        speed_notes=("Measured in the study, without the preprocessing of the file.", *_kept(source), *_doubts(source)),
        usage=tuple(_usage(held, source)),
        data=tuple(_data(held, stored, source)),
    )


def _about(dataset: Dataset) -> str:
    """Return a data set in words."""
    if dataset.own is not None:
        return f"{dataset.name} (data that code gives)"
    return f"{dataset.name} ({known(dataset.name).words})"


def _whom(held: Material) -> Iterator[str]:
    if held.layout == "tokens":
        yield f"For texts like {_about(held.dataset)}: it says how likely each next token is."
    else:
        kind = {"sequence": "sequences", "tensor": "examples"}.get(held.layout, "images")
        classes = f"{grouped(held.dataset.classes)} classes"
        yield f"For {kind} like those of {_about(held.dataset)}, which it sorts into {classes}."
        yield "What is of none of its classes is sorted into one of them all the same."
    yield "It was tried on no other data."
    yield "Scores, and shares made of them, are not the chance of being right: they were not calibrated."


def _result(check: Check) -> Result:
    value, count = check.values[0], check.given.count
    known = check.metric == "error" and value is not None and count
    between = " to ".join(map(percent, wilson(value, count))) if known and value is not None and count else "-"
    return Result(check.split, check.metric, check.words[0], between, "-" if count is None else grouped(count))


def _notes(source: Source, found: tuple[Check, ...], meta: Meta) -> Iterator[str]:
    device, runtime = meta["device"], meta["runtime"]
    assert isinstance(device, Mapping)
    assert isinstance(runtime, Mapping)
    yield f"Of model.onnx, run by ONNX Runtime {runtime['version']} on {device['name']} over the whole split."
    if source.metric == "error":
        yield "The interval is Wilson's, of the examples alone: another training differs too."
    if found and found[0].windows:
        yield (
            f"The file reads windows of {grouped(found[0].windows)} tokens, each with nothing before it: the state does"
            " not carry over. A program that carries the state reaches what is in the next lines."
        )
    for check in found:
        if check.whose == "these weights":
            yield f"{check.split}, state carried on, in torch: {check.metric} {check.words[0]}."
        if not check.agrees:
            yield f"{check.split}: {check.words[0]} is not the {check.words[1]} it should be."
    yield from _seeds(source, found)


def _seeds(source: Source, found: tuple[Check, ...]) -> Iterator[str]:
    again = source.network.confirmed
    if source.seed is None or again is None:
        tried = again is not None and again.seeds
        what = "These are not the weights that were confirmed" if tried else "The network was not confirmed"
        yield f"{what}: the search chose it by the validation split, which is optimistic. The test split was not read."
        return
    if not again.tests:
        yield "The search chose by the validation split, which is optimistic; there is no test split."
        return
    each = ", ".join(replace(found[0], given=score).words[0] for score in again.tests)
    yield f"Trained alone with {counted_words(len(again.tests), 'seed')}, test {source.metric}: {each}."
    yield "The search chose by the validation split, which is optimistic; the test split was read by confirming alone."


def _speed(source: Source) -> Iterator[tuple[str, str, str, str]]:
    for each in source.network.latencies():
        between = "-" if each.interval_s is None else " to ".join(map(duration, each.interval_s))
        yield str(each.way), duration(each.median_s), between, each.device


def _kept(source: Source) -> Iterator[str]:
    for words in source.network.float_words:
        yield f"In float32, in the file and as it was measured: {words}."


def _doubts(source: Source) -> Iterator[str]:
    for each in source.network.latencies():
        if each.why:
            yield f"Against trusting {each.way}: {each.why}."


def _usage(held: Material, source: Source) -> Iterator[str]:
    shape = ", ".join(["N", *map(str, held.inputs.shape)])
    match held.layout:
        case "image" | "rows":
            yield f"model.onnx takes bytes, uint8 ({shape}): channels, height, width. They are normalised inside."
            yield "python predict.py image.png ... prints classes; images of another size are scaled."
        case "tokens":
            yield f"model.onnx takes numbers of tokens, int64 ({shape}); vocabulary.json has the tokens in their order."
            yield 'python predict.py "some text" prints its perplexity, and which tokens may be next.'
        case "sequence":
            yield f"model.onnx takes values as they are in the data, float32 ({shape}). They are normalised inside."
            yield "python predict.py examples.npy prints classes."
        case "tensor":
            yield f"model.onnx takes {held.inputs.dtype} ({shape}), as the network does: nothing is normalised."
            yield "python predict.py examples.npy prints classes."
    yield "It gives scores, of which the largest is the answer; their softmax sums to 1."
    if source.network.way.quantised:
        return  # no torch module runs in 8 bits
    yield (
        "archcost.load_trained(folder) gives the torch module, which takes what is normalised already; of a network "
        "that code made it needs allow_code=True, and that code, which is not in this folder."
    )


def _data(held: Material, stored: Stored, source: Source) -> Iterator[str]:
    dataset = held.dataset
    yield f"{_about(dataset)}."
    licences = {"yours": "that of your own data", "none stated": "none is stated"}
    yield f"Licence of the data: {licences.get(licence(dataset), licence(dataset))}."
    if not dataset.loose:
        counts = (grouped(len(split)) for split in (dataset.train, dataset.validation))
        yield "Trained on {}, chosen by {} of validation.".format(*counts)
        if source.extent.examples:
            yield f"The search trained on {grouped(stored.examples)} of these {stored.unit}, and these weights on all."
        yield f"SHA-256 of training and validation split: {dataset.fingerprint}."
