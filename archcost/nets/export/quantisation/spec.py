"""How a network is brought to 8 bits: weights, activations, ranges, layers left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from archcost.errors import InputError, Mistake
from archcost.units import counted_words

MOST_EXAMPLES = 512
"""Calibration inputs: ranges of activations hardly change with more."""

Calibrated: TypeAlias = Literal["random", "training"]
"""What the ranges of activations are taken from: drawn inputs, or examples that a network was trained on."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """A network's products in 8 bits, quantised after training, with ranges that are fixed by calibration.

    weights: symmetric, a scale for each output channel; int7 has the range of 7 bits, for processors that add products
    of 8 bits with saturation. activations: a scale and a zero point for each tensor, so that a ReLU costs nothing.
    calibration: what `examples` inputs were. float_layers: those that stay in float32, by their names. Raises
    InputError for more examples than 512, or none.
    """

    weights: Literal["int8", "int7"] = "int8"
    activations: Literal["uint8"] = "uint8"
    calibration: Calibrated = "random"
    examples: int = 8
    float_layers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.examples <= MOST_EXAMPLES:
            raise InputError(Mistake(f"given {self.examples}; allowed: 1 to {MOST_EXAMPLES} inputs", ("calibration",)))

    @property
    def words(self) -> str:
        """What a file or a latency has to say of it."""
        made = "drawn at random: " if self.calibration == "random" else "of the training split"
        claim = "no accuracy is claimed" if self.calibration == "random" else ""
        return f"ranges from {counted_words(self.examples, 'input')} {made}{claim}"


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of two files that ran by turns, and whether they differ: None if there were too few turns to tell."""

    first_s: float
    other_s: float
    differ: bool | None

    @property
    def slowdown(self) -> float:
        """How many times as long the other one takes."""
        return self.other_s / self.first_s

    @property
    def faster(self) -> bool:
        """Whether the other one takes less time, beyond doubt."""
        return self.differ is True and self.other_s < self.first_s


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """Seconds of one layer in a file of float32 and in one of 8 bits, by the runtime's own profile."""

    name: str
    float32_s: float
    int8_s: float


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """A layer that a file of 8 bits has in float32, and why: it is faster so, or more accurate.

    kind: why; before, after: with the layer in 8 bits and in float32, seconds of the whole file if it is 'slower' in 8
    bits, the score if it costs 'accuracy'. Layers that were tried together have the same numbers.
    """

    name: str
    kind: Literal["slower", "accuracy"]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a file of 8 bits besides what it computes.

    float_layers: those left in float32; losing: each layer that takes longer in 8 bits, whether it was left in float32
    or not; turns: the file of float32, and this one by turns with it, None if nothing was timed; layers: how many there
    are; float_bytes: how many bytes more than in 8 bits the weights of float_layers take; instructions: the processor's
    for 8 bits, None if they are not known; given: layers that were to be in float32 before anything was tried.
    """

    float_layers: tuple[FloatLayer, ...] = ()
    losing: tuple[LayerTimes, ...] = ()
    turns: Turns | None = None
    layers: int = 0
    float_bytes: int = 0
    instructions: tuple[str, ...] | None = None
    given: tuple[str, ...] = ()

    @property
    def in_float32(self) -> tuple[str, ...]:
        """The names of all layers in float32."""
        return (*self.given, *(each.name for each in self.float_layers))
