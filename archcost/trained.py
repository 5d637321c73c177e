"""A network with the weights that a trial gave it, read back from the file that the study keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archcost.errors import InputError, Mistake
from archcost.fit import Mark, load_weights
from archcost.models.load import Model
from archcost.nets import Net, build


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of `whole`, of which `model` is all, or with `column` (1 = shallowest) that column; words: where from.

    mark: what the file says that it holds, None of one of archcost 0.1.0, which says nothing; kept: the trials whose
    weights there are.
    """

    model: Model
    whole: Model
    column: int
    weights: Path
    words: str
    mark: Mark | None = None
    kept: tuple[int, ...] = ()

    def net(self) -> Net:
        """Return the network with its weights, in evaluation mode; raises InputError where the file does not fit."""
        if not self.weights.is_file():
            there = ", ".join(map(str, self.kept)) or "none"
            message = f"no weights {self.words}: kept are those of trials on the front; allowed: {there}"
            raise InputError(Mistake(message))
        net = build(self.whole.graph, self.whole.recipe)
        load_weights(net, self.weights, self.mark)
        return (net.column(self.column) if self.column else net).eval()
