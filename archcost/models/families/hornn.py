"""Family hornn: higher order recurrent networks (1605.00064).

h_t = f(W_in x_t + pool_n(W_hn h_{t-n}) + b), n = 1 .. N.

Pooling: sum; elementwise maximum; FOFE, sum_n alpha^n W_hn h_{t-n}; gates, sum_n r_n * (W_hn h_{t-n}) with
r_n = sigmoid(W^g_1n x_t + W^g_2n h_{t-n} + b_n). States before the sequence are zero; N = 1 is a plain RNN.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from archcost.config.types import Count, Rate, Strict, wrong
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Bias, Dropout, Input, Join, Last, Linear, Lookup, Recall, Scale
from archcost.graph.recipe import Recipe
from archcost.models.families.parts import Network


class Tokens(Strict):
    """A sequence of integer tokens."""

    steps: Count
    """T, the length that is counted; the network runs on any length."""
    vocab: Count
    """V: tokens are 0 .. V-1."""


class Features(Strict):
    """A sequence of vectors."""

    steps: Count
    """T, the length that is counted; the network runs on any length."""
    features: Count
    """F, the values of each step."""


def _kind(value: object) -> str:
    return "<features>" if isinstance(value, Features | dict) and "features" in dict(value) else "<tokens>"


class HORNN(Network):
    """A recurrent network that is fed its last N states."""

    grows_with: ClassVar[str] = "order"

    family: Literal["hornn"]
    """This family."""
    input: Annotated[Annotated[Tokens, Tag("<tokens>")] | Annotated[Features, Tag("<features>")], Discriminator(_kind)]
    """{steps, vocab} or {steps, features}."""
    classes: Annotated[Count | None, Field(validate_default=True)] = None
    """Outputs of the readout. Default: the size of the vocabulary; required with features."""
    hidden: Count
    """H, the values of a state."""
    order: Count
    """N, how many earlier states are fed back."""
    pooling: Literal["none", "max", "fofe", "gated"] = "none"
    """How the terms of earlier states are combined; none: as their sum."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Forgetting factor of fofe."""
    embedding: Count | None = None
    """E, values of an embedded token. Default: the input matrix acts on the one-hot token."""
    activation: Literal["tanh", "sigmoid", "relu"] = "tanh"
    """f, the function that turns the sum into the new state."""
    readout: Literal["every", "last"] | None = None
    """Whether there are outputs at every step or at the last only. Default: every for tokens, last for features."""
    dropout: Rate = 0.0
    """Rate of dropout on the readout's input."""

    @field_validator("embedding")
    @classmethod
    def _of_tokens(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and isinstance(info.data.get("input"), Features):
            raise wrong("given with features; allowed: only with 'input: {steps, vocab}'")
        return value

    @field_validator("classes")
    @classmethod
    def _outputs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and isinstance(info.data.get("input"), Features):
            raise wrong("missing; a network on features needs it, the number of classes")
        return value

    def explicit(self) -> Self:
        """Return the same network with its outputs, and where they are read, written out."""
        return self.model_copy(update={"classes": self.outputs(), "readout": self.readout_at()})

    def size(self) -> int:
        """Return the number of nodes of the network, a recall counted once per state it hands over."""
        per_order = {"none": 1, "fofe": 1, "max": 2, "gated": 7}[self.pooling]
        fixed = {"none": 1, "fofe": 2, "max": 1 + (self.order > 1), "gated": 1}[self.pooling]
        around = 2 + (self.embedding is not None) + (self.dropout > 0) + (self.readout_at() == "last")
        return around + per_order * self.order + fixed + 3

    def readout_at(self) -> Literal["every", "last"]:
        """Return where the readout stands."""
        return self.readout or ("last" if isinstance(self.input, Features) else "every")

    def outputs(self) -> int:
        """Return K, the values the readout makes."""
        return self.classes or (self.input.vocab if isinstance(self.input, Tokens) else 0)

    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network and how it is trained."""
        b = Builder(self.input.steps)
        x = b.add("input", _source(self))
        if self.embedding is not None and isinstance(self.input, Tokens):
            with b.group("input"):
                x = b.add("embedding", Lookup(self.input.vocab, self.embedding), x)
        with b.group("input"):
            drive = _dense(b, "drive", x, self)
        with b.at("order"):
            h = _ADD[self.pooling](b, self, drive, x)
        b.close(h)
        with b.group("readout"):
            h = b.add("last", Last(), h) if self.readout_at() == "last" else h
            h = b.add("dropout", Dropout(self.dropout), h) if self.dropout else h
            b.add("linear", Linear(self.outputs()), h)
        return b.graph(), Recipe("hornn")


def _source(spec: HORNN) -> Input:
    if isinstance(spec.input, Tokens):
        return Input((), below=spec.input.vocab)
    return Input((spec.input.features,))


def _dense(b: Builder, name: str, x: int, spec: HORNN) -> int:
    """Add a matrix that acts on the input: a table row where the input is a one-hot token."""
    one_hot = isinstance(spec.input, Tokens) and spec.embedding is None
    rows = spec.input.vocab if isinstance(spec.input, Tokens) else 0
    return b.add(name, Lookup(rows, spec.hidden) if one_hot else Linear(spec.hidden, bias=False), x)


def _state(b: Builder, spec: HORNN, *terms: int) -> int:
    with b.group("recurrence"):
        return b.add("state", Act(spec.activation), b.add("sum", Join("sum"), *terms))


def _recall(b: Builder, spec: HORNN, name: str, *delays: int) -> int:
    return b.add(name, Recall(0, delays, (spec.hidden,)))


def _summed(b: Builder, spec: HORNN, drive: int, _: int) -> int:
    """Sum and FOFE: one matrix over the N states concatenated; FOFE's factors fold into it."""
    orders = range(1, spec.order + 1)
    with b.group("recurrence"):
        back = _recall(b, spec, "recall", *orders)
        if spec.pooling == "fofe":
            back = b.add("forget", Scale(tuple(spec.alpha**n for n in orders), folded=True), back)
        back = b.add("feedback", Linear(spec.hidden), back)
    return _state(b, spec, drive, back)


def _largest(b: Builder, spec: HORNN, drive: int, _: int) -> int:
    with b.group("recurrence"):
        # the same for every n, so the bias leaves the maximum; on the drive it is added once over all steps
        drive = b.add("bias", Bias(), drive)
        terms = []
        for n in range(1, spec.order + 1):
            back = _recall(b, spec, f"recall{n}", n)
            terms.append(b.add(f"feedback{n}", Linear(spec.hidden, bias=False), back))
        back = b.add("max", Join("max"), *terms) if len(terms) > 1 else terms[0]
    return _state(b, spec, drive, back)


def _gated(b: Builder, spec: HORNN, drive: int, x: int) -> int:
    with b.group("gates"):
        driven = [_dense(b, f"drive{n}", x, spec) for n in range(1, spec.order + 1)]
    with b.group("recurrence"):
        drive = b.add("bias", Bias(), drive)
    terms = [_gated_term(b, spec, n, gate) for n, gate in enumerate(driven, 1)]
    return _state(b, spec, drive, *terms)


def _gated_term(b: Builder, spec: HORNN, n: int, driven: int) -> int:
    with b.group("recurrence"):
        recall = _recall(b, spec, f"recall{n}", n)
        back = b.add(f"feedback{n}", Linear(spec.hidden, bias=False), recall)
    with b.group("gates"):
        fed = b.add(f"feedback{n}", Linear(spec.hidden), recall)
        gate = b.add(f"gate{n}", Act("sigmoid"), b.add(f"sum{n}", Join("sum"), driven, fed))
        return b.add(f"product{n}", Join("product"), gate, back)


_ADD = {"none": _summed, "fofe": _summed, "max": _largest, "gated": _gated}
