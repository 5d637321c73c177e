"""A network with the weights that a trial gave it, read back from the file that the study keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from archcost.errors import InputError, Mistake, quoted
from archcost.nets import Net, build
from archcost.read import Model


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
        net = build(self.whole.graph, self.whole.recipe)
        try:
            net.load_state_dict(torch.load(self.weights, weights_only=True))
        except FileNotFoundError:
            message = (
                f"no weights in {quoted(str(self.weights))}; kept are those of the front's trials"
            )
            raise InputError(Mistake(message)) from None
        except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(Mistake(f"the weights in {quoted(str(self.weights))} cannot be used: {first}")) from None
        return (net.column(self.column) if self.column else net).eval()
