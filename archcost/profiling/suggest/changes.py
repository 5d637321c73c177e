"""What a network could save: single changes of its spec, each valid and counted exactly.

Counts say nothing of accuracy: which change a network can bear, only training tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from archcost.config import document
from archcost.config.document import Document
from archcost.config.writer import flow, to_yaml
from archcost.errors import InputError
from archcost.graph.weight_sizes import most_bytes
from archcost.models import load
from archcost.models.families.bottleneck import Bottleneck
from archcost.models.families.fractal import Fractal
from archcost.models.families.hornn import HORNN, Tokens
from archcost.models.families.nin import NiN
from archcost.models.families.rir import RiR
from archcost.models.load import Model

UNKNOWN: Final = "Counts say nothing of accuracy: train a changed network before you choose it."
LOW: Final = "Network in Network's low-dimensional embedding: 1x1s to few channels make what follows cheaper"
GROUPED: Final = "a grouped 3x3 sees the channels of its own group only (ResNeXt, 1611.05431)"
SHORTER: Final = "fewer blocks: residual blocks refine what is there, each a little"
PADDED: Final = "option A: zeros instead of a learned shortcut if the shape changes (1512.03385)"
SPARSE: Final = "Convolution in Convolution: an output sees a span of the channels, weights its own (1603.06759)"
NARROW: Final = "narrower streams: a unit of m channels a stream costs as much as one dense 2m to 2m convolution"
COLUMNS: Final = "FractalNet: any choice of columns is a network of its own, as drop-path trains them (1605.07648)"
BLOCKS: Final = "fewer fractal blocks: each holds 2^C - 1 convolutions"
ORDER: Final = "a lower order: every state that is fed back has a matrix of its own, two with gates"
UNGATED: Final = "gates have matrices of their own for the token and for every state; other poolings have none"
EMBEDDED: Final = "one small table and a matrix after it: fewer parameters, but a lookup has no MACs and a matrix has"
HIDDEN: Final = "a smaller state: the feedback's cost grows with its square"

_PLACES: Final = 32  # stages or layers that are changed one by one: of more, those with the most MACs
_NODES: Final = 500_000  # a node takes about 50 us to count: of giants, fewer places are changed


class Counts(NamedTuple):
    """What one network costs: exact, for one example; peak_bytes at the batch and dtype that were asked for."""

    params: int
    macs: int
    peak_bytes: int


class Change(NamedTuple):
    """One change of a spec: in words, why it saves, and the `key=value` texts that make it."""

    title: str
    why: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that saves parameters or MACs: the changed network's YAML, and its exact counts beside the old ones.

    The YAML has no `name`: the file it is saved as names it.
    """

    change: Change
    yaml: str
    digest: str
    before: Counts
    after: Counts

    @property
    def saved(self) -> Counts:
        """The differences, negative where the change costs more."""
        return Counts(*(a - b for a, b in zip(self.before, self.after, strict=True)))

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Changed over original: parameters, MACs, peak memory; no network of a family has none of one."""
        params, macs, peak = (b / a for a, b in zip(self.before, self.after, strict=True))
        return params, macs, peak


def suggestions(model: Model, *, batch: int = 1, dtype: str = "float32") -> tuple[Suggestion, ...]:
    """Return every single change that lowers parameters or MACs, those that save most MACs first, then parameters.

    Changes that make the same network are one. A network of a family that is not archcost's own gets none.
    """
    changes = tuple(_changes(model))
    if not changes:
        return ()
    base = document.load(to_yaml(model.spec), "model.yaml")
    before = counts(model, batch=batch, dtype=dtype)
    found: dict[str, Suggestion] = {}
    for change in changes:
        other = _changed(base, change)
        if other is None or other.digest in found:
            continue
        after = counts(other, batch=batch, dtype=dtype)
        if after.macs < before.macs or after.params < before.params:
            text = to_yaml(other.spec.model_copy(update={"name": None}))
            found[other.digest] = Suggestion(change, text, other.digest, before, after)
    return tuple(sorted(found.values(), key=lambda s: (-s.saved.macs, -s.saved.params)))


def changed(suggestion: Suggestion) -> Model:
    """Return the network that a change makes."""
    return load.expand(document.load(suggestion.yaml, "changed.yaml"))


def untried(model: Model) -> int:
    """Return how many of the network's stages or layers were not changed one by one, because there are too many."""
    return max(0, _places(model) - _most(model))


def counts(model: Model, *, batch: int = 1, dtype: str = "float32") -> Counts:
    """Return what a network costs as it is."""
    return Counts(model.cost.params, model.cost.macs, most_bytes(model.graph, batch, dtype))


def _changed(base: Document, change: Change) -> Model | None:
    """Return the changed network; None if there is none: its shapes do not fit, or a key does not allow it."""
    try:
        return load.expand(base, change.overrides)
    except InputError:
        return None


def _changes(model: Model) -> Iterator[Change]:
    match model.spec:
        case Bottleneck() as spec:
            yield from _of_bottleneck(spec, _largest(model, "stage"))
        case NiN() as spec:
            yield from _of_nin(spec, _largest(model, "layer"))
        case RiR() as spec:
            yield from _of_rir(spec, _largest(model, "stage"))
        case Fractal() as spec:
            yield from _of_fractal(spec)
        case HORNN() as spec:
            yield from _of_hornn(spec)
        case _:
            return


def _places(model: Model) -> int:
    match model.spec:
        case Bottleneck() | RiR() as spec:
            return len(spec.depths)
        case NiN() as spec:
            return len(spec.layers)
        case _:
            return 0


def _most(model: Model) -> int:
    return max(1, min(_PLACES, _NODES // len(model.graph.nodes)))


def _largest(model: Model, kind: str) -> list[int]:
    """Return the places with the most MACs, in the network's order; a node's group is named by kind and number."""
    totals = model.cost.by_group()
    order = sorted(range(_places(model)), key=lambda i: -totals[f"{kind}{i + 1}"].macs)
    return sorted(order[: _most(model)])


def _set(key: str, value: object) -> str:
    return f"{key}={flow(value)}"


def _half(value: int) -> int:
    return max(1, value // 2)


def _of_bottleneck(spec: Bottleneck, stages: list[int]) -> Iterator[Change]:
    if spec.block == "basic":
        yield Change("bottleneck blocks, not basic", LOW, ("block=bottleneck",))
    else:
        yield from _reductions(spec, stages)
        for groups in dict.fromkeys((2 * spec.groups, max(32, spec.groups))):
            if all(spec.inner(stage) % groups == 0 for stage in range(len(spec.depths))):
                yield Change(f"3x3 in groups: {groups}, not {spec.groups}", GROUPED, (_set("groups", groups),))
    yield from _fewer_blocks(spec.depths, stages)
    if spec.joint() in ("projection", "conv"):
        yield Change("shortcuts padded, no weights", PADDED, ("shortcut=pad",))


def _reductions(spec: Bottleneck, stages: list[int]) -> Iterator[Change]:
    whole, count = spec.reduction, len(spec.depths)
    each = whole if isinstance(whole, tuple) else (whole,) * count
    if isinstance(whole, tuple):
        yield Change("every stage's reduction doubled", LOW, (_set("reduction", [2 * r for r in whole]),))
    else:
        yield Change(f"reduction {flow(2 * whole)}, not {flow(whole)}", LOW, (_set("reduction", 2 * whole),))
    for i in stages:
        title = f"stage {i + 1}: reduction {flow(2 * each[i])}, not {flow(each[i])}"
        yield Change(title, LOW, (_set("reduction", [*each[:i], 2 * each[i], *each[i + 1 :]]),))


def _fewer_blocks(depths: tuple[int, ...], stages: list[int]) -> Iterator[Change]:
    for i in stages:
        if depths[i] > 1:
            fewer = [*depths[:i], depths[i] - 1, *depths[i + 1 :]]
            title = f"stage {i + 1}: blocks {depths[i] - 1}, not {depths[i]}"
            yield Change(title, SHORTER, (_set("depths", fewer),))


def _of_nin(spec: NiN, layers: list[int]) -> Iterator[Change]:
    handed = (spec.input[0], *(layer.widths[-1] for layer in spec.layers))
    for i in layers:
        layer, widths = spec.layers[i], spec.layers[i].widths
        if len(widths) > 1:
            inner = [*map(_half, widths[:-1]), widths[-1]]
            yield Change(f"layer {i + 1}: inner widths halved", LOW, (_set(f"layers.{i}.widths", inner),))
        if i + 1 < len(spec.layers):
            title, fewer = f"layer {i + 1}: hands on {_half(widths[-1])}, not {widths[-1]}", _half(widths[-1])
            yield Change(title, LOW, (_set(f"layers.{i}.widths", [*widths[:-1], fewer]),))
        yield from _sparser(spec, i, (handed[i], *widths[:-1]))
        yield from _seeing_less(f"layer {i + 1}: ", f"layers.{i}.", layer.span, layer.window)
    yield from _seeing_less("", "", spec.span, spec.window)


def _sparser(spec: NiN, i: int, seen: tuple[int, ...]) -> Iterator[Change]:
    """Yield layer i with one more of its 1x1 convolutions sparse; all sparse ones of a layer have one span."""
    layer = spec.layers[i]
    pattern = spec.pattern(layer)
    for place in range(1, len(pattern)):
        sparse = _set(f"layers.{i}.sparse", [*pattern[:place], 1, *pattern[place + 1 :]])
        if pattern[place]:
            continue
        if any(pattern):
            yield Change(f"layer {i + 1}: conv{place + 1} sparse too", SPARSE, (sparse,))
            continue
        for span in (seen[place] // 2, seen[place] // 4):
            title = f"layer {i + 1}: conv{place + 1} sparse, span {span}"
            yield Change(title, SPARSE, (sparse, _set(f"layers.{i}.span", span)))


def _seeing_less(where: str, key: str, span: int | None, window: int | None) -> Iterator[Change]:
    """Yield a smaller span and window, of one layer or of all that have none of their own."""
    if span is not None and span > 1:
        yield Change(f"{where}span {span // 2}, not {span}", SPARSE, (_set(f"{key}span", span // 2),))
    if window is not None and window > 1:
        yield Change(f"{where}window {window - 2}, not {window}", SPARSE, (_set(f"{key}window", window - 2),))


def _of_rir(spec: RiR, stages: list[int]) -> Iterator[Change]:
    widths = spec.widths
    yield Change("streams of half the width", NARROW, (_set("widths", [*map(_half, widths)]),))
    for i in stages:
        narrower = [*widths[:i], _half(widths[i]), *widths[i + 1 :]]
        title = f"stage {i + 1}: streams of {narrower[i]}, not {widths[i]}"
        yield Change(title, NARROW, (_set("widths", narrower),))
    yield from _fewer_blocks(spec.depths, stages)
    if spec.shortcut == "projection":
        yield Change("shortcuts padded, no weights", PADDED, ("shortcut=pad",))


def _of_fractal(spec: Fractal) -> Iterator[Change]:
    used = sorted(set(spec.use_columns or range(1, spec.columns + 1)))
    first, last = used[0], used[-1]
    if len(used) > 1:
        fewer = _set("columns", last - 1) if spec.use_columns is None else _set("use_columns", used[:-1])
        yield Change(f"without column {last}, the deepest", COLUMNS, (fewer,))
        yield Change(f"without column {first}, the shallowest", COLUMNS, (_set("use_columns", used[1:]),))
        yield Change(f"column {last} alone, the deepest", COLUMNS, (_set("use_columns", [last]),))
    blocks = len(spec.widths)
    if blocks > 1:
        rates = (_set("dropout", spec.dropout[:-1]),) if isinstance(spec.dropout, tuple) else ()
        yield Change(f"without block {blocks}, the last", BLOCKS, (_set("widths", spec.widths[:-1]), *rates))


def _of_hornn(spec: HORNN) -> Iterator[Change]:
    gated, hidden = spec.pooling == "gated", spec.hidden
    for order in dict.fromkeys((spec.order - 1, spec.order // 2)):
        if order:
            yield Change(f"order {order}, not {spec.order}", ORDER, (_set("order", order),))
    for pooling in ("fofe", "none") if gated else ():
        yield Change(f"pooling {pooling}, not gated", UNGATED, (f"pooling={pooling}",))
    if isinstance(spec.input, Tokens) and spec.embedding is None:
        for size in (hidden, _half(hidden)) if gated else (_half(hidden),):
            yield Change(f"embedding of {size}, not one-hot", EMBEDDED, (_set("embedding", size),))
    if spec.embedding is not None:
        size = _half(spec.embedding)
        yield Change(f"embedding of {size}, not {spec.embedding}", EMBEDDED, (_set("embedding", size),))
    yield Change(f"hidden {_half(hidden)}, not {hidden}", HIDDEN, (_set("hidden", _half(hidden)),))
