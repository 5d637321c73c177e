"""A network with the weights that a trial gave it, read back from the file that the study keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archcost.errors import InputError, Mistake
from archcost.fit import load_weights
from archcost.nets import Net, build
from archcost.read import Model


def kept(folder: Path) -> list[int]:
    """Return the trials whose weights a study's folder keeps."""
    return sorted(int(file.stem) for file in folder.glob("*.pt") if file.stem.isdigit())


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of `whole`, of which `model` is all, or with `column` (1 = shallowest) that column; words: where from."""

    model: Model
    whole: Model
    column: int
    weights: Path
    words: str

    def net(self) -> Net:
        """Return the network with its weights, in evaluation mode; raises InputError where the file does not fit."""
        if not self.weights.is_file():
            there = ", ".join(map(str, kept(self.weights.parent))) or "none"
            message = f"no weights {self.words}: kept are those of trials on the front; allowed: {there}"
            raise InputError(Mistake(message))
        net = build(self.whole.graph, self.whole.recipe)
        load_weights(net, self.weights)
        return (net.column(self.column) if self.column else net).eval()
