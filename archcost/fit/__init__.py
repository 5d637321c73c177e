"""Training of networks: begin a fitting, run its epochs, evaluate, recalibrate norms, and keep it in a file."""

from archcost.fit.checkpoints import Mark, load_weights, marked, restore, save, save_weights
from archcost.fit.diverged import Diverged
from archcost.fit.fitting import Epoch, Fitting, begin, epochs
from archcost.fit.memory import keep_freed
from archcost.fit.recalibrating import recalibrate
from archcost.fit.scoring import Score, evaluate

__all__ = [
    "Diverged",
    "Epoch",
    "Fitting",
    "Mark",
    "Score",
    "begin",
    "epochs",
    "evaluate",
    "keep_freed",
    "load_weights",
    "marked",
    "recalibrate",
    "restore",
    "save",
    "save_weights",
]
