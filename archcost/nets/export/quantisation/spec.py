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
    calibration: what `examples` inputs were. float_layers: those whose weights the file has in float32, by their names;
    between neighbours of 8 bits ONNX Runtime quantises such weights itself (its pass WeightBiasQuantization).
    Raises InputError for more examples than 512, or none.
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
