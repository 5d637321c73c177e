"""The `fit` part of study.yaml: how networks are trained, and the families' defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from archcost.config.types import Arguments, Code, Count, Each, Rate, Strict, wrong
from archcost.errors import one_of
from archcost.graph.recipe import Init

Optimiser: TypeAlias = Literal["sgd", "adamw", "muon"]
Schedule: TypeAlias = Literal["one-cycle", "step", "cosine", "constant", "flat-linear"]
Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]
Change: TypeAlias = Literal["flip", "translate", "cutout"]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Natural: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]


class Augment(Strict):
    """How training images are changed; each image is changed anew in every mini-batch."""

    flip: bool = False
    """Mirror every other image, left to right."""
    translate: Natural = 0
    """Move each image by up to this many pixels in both directions; what moves in has the mean colour."""
    cutout: Natural = 0
    """The side of a square, at a random place, that is set to the mean colour."""


USUAL: Final = Augment(flip=True, translate=4, cutout=8)


def _kind(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | Augment) else "<list>"


_LATER: Final = ("code", "evaluate", "args")  # not in what studies of 0.3.0 keep
_BUILT_IN: Final = (
    "batch", "optimiser", "lr", "momentum", "weight_decay", "schedule", "warmup", "precision", "label_smoothing",
    "augment", "clip", "sampled", "carry",
)  # fmt: skip


class Fit(Strict):
    """How every network of a study is trained."""

    epochs: Count = 10
    """How often training goes through the training split."""
    batch: Count | None = None
    """Examples in a mini-batch. For a text: how many places of it are read side by side, 20 by default."""
    optimiser: Optimiser | None = None
    """sgd (with Nesterov's momentum), adamw, or muon: for kernels of convolutions, the usual one for the rest."""
    lr: Positive | None = None
    """The highest learning rate. With muon that of the kernels, .1 by default; the rest keeps its share of it."""
    momentum: Rate = 0.9
    """Momentum of sgd; adamw has .9 and .999, muon .6."""
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    """Weight decay of matrices and kernels. Norms and biases never decay."""
    schedule: Schedule | None = None
    """The learning rate over all epochs: one-cycle (up for a quarter, then down, both straight), cosine, constant, step
    (a tenth from 1/2 on, a hundredth from 3/4 on), flat-linear (flat for .3, then straight down)."""
    warmup: Natural | None = None
    """Mini-batches during which the learning rate rises. Default: a one-cycle rises for a quarter of all."""
    precision: Precision = "auto"
    """The data type of convolutions and matrix products. auto: bfloat16 if this device is faster with it."""
    seed: Natural = 0
    """Seed of the weights, the order of the examples and everything else that is random in training."""
    rungs: Annotated[Each[Count] | None, Field(validate_default=True)] = None
    """After these epochs a network is evaluated and may be given up. The last one is `epochs`."""
    label_smoothing: Rate = 0.0
    """The share of the target that is spread over all classes."""
    augment: (
        Annotated[
            Annotated[Each[Change], Tag("<list>")] | Annotated[Augment, Tag("<mapping>")],
            Discriminator(_kind),
        ]
        | None
    ) = None
    """Changes to training images: a list of flip, translate (by 4) and cutout (of 8), or a mapping with sizes."""
    clip: Positive | None = None
    """The longest gradient. For a recurrent network the parts before, on and after its cycle are clipped separately."""
    sampled: Count | None = None
    """For a text: train the readout on this many words in each window. Default: all. Half are the most frequent ones,
    half are drawn from the others; the words of the window come on top. Evaluation is always on all words."""
    carry: bool = True
    """Whether a window of a text begins in the state in which the one before ended. Gradients stop there anyway."""
    code: Code | None = None
    """package.module:callable of training of your own, in place of archcost's. It runs with `--allow-code` only."""
    evaluate: Code | None = None
    """package.module:callable of an evaluation of your own, which gives the metrics. With `--allow-code` only."""
    args: Arguments = Field(default_factory=dict)
    """Keyword arguments for `code`; `evaluate` finds them as `context.args`."""

    @field_validator("rungs")
    @classmethod
    def _rise(cls, value: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        epochs = info.data.get("epochs")  # missing where it is wrong itself
        if value is None or epochs is None:
            return value
        if any(low >= high for low, high in pairwise(value)):
            raise wrong(f"given {list(value)}; allowed: each more than the one before")
        if value[-1] != epochs:
            raise wrong(f"given {value[-1]} as the last; allowed: {epochs}, the number of epochs")
        return value

    @field_validator("code")
    @classmethod
    def _trains_alone(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        usual = cls.model_fields
        beside = [key for key in _BUILT_IN if key in info.data and info.data[key] != usual[key].default]
        if beside:
            raise wrong(f"given beside {one_of(beside)}, which training of your own does not read; allowed: in 'args'")
        return value

    @field_validator("args")
    @classmethod
    def _of_code(cls, value: dict[str, object], info: ValidationInfo) -> dict[str, object]:
        if value and info.data.get("code") is None and info.data.get("evaluate") is None:
            raise wrong("given without code; allowed: with 'code' or 'evaluate'")
        return value

    @property
    def fixed(self) -> dict[str, object]:
        """What decides on what training gives, as JSON holds it; keys of later versions only if they are given."""
        said = self.model_dump(mode="json", by_alias=True)
        return {key: value for key, value in said.items() if value or key not in _LATER}

    def stops(self) -> tuple[int, ...]:
        """Return the epochs after which a network is evaluated, in order; the last is the end."""
        return self.rungs or (self.epochs,)

    def changes(self) -> Augment:
        """Return how training images are changed."""
        if isinstance(self.augment, Augment):
            return self.augment
        return Augment.model_validate({name: getattr(USUAL, name) for name in self.augment or ()})

    def settled(self, init: Init | None, *, text: bool = False) -> Settings:
        """Return the settings for networks that begin as `init` says: the keys given, and the family's own choice.

        init: None for a module that code made.
        """
        usual = (MODULE_TEXT if text else MODULE) if init is None else TEXT if text else USUALLY[init]
        if self.optimiser == "muon":
            usual = replace(usual, lr=MUON_RATE, others=usual.optimiser, others_rate=usual.lr / MUON_RATE)
        given = {name: getattr(self, name) for name in Settings.__slots__ if name in Fit.model_fields}
        return replace(usual, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of a fit whose usual value depends on the network, all settled.

    `warmup`: mini-batches, None for the schedule's own; `clip`: None for gradients of any length. `others`: what steps
    all but the kernels beside Muon, at `others_rate` times the learning rate.
    """

    batch: int
    optimiser: Optimiser
    lr: float
    weight_decay: float
    schedule: Schedule
    warmup: int | None = None
    clip: float | None = None
    others: Optimiser | None = None
    others_rate: float = 1.0


MUON_RATE: Final = 0.1
# Of a module nothing is known: AdamW at a rate that most networks learn with, and short gradients.
MODULE: Final = Settings(128, "adamw", 3e-3, 1e-2, "one-cycle", clip=1.0)
MODULE_TEXT: Final = Settings(20, "adamw", 2e-3, 1e-2, "flat-linear", 100, 1.0)
# Residual and fractal networks: Zagoruyko 2016's decay and rate; FractalNet's own rate, .02 for 400 epochs, is too low
# for the few of a search. NiN has no norms: SGD leaves its plateau late. HORNN: the recipe that learned Penn Treebank.
USUALLY: Final[dict[Init, Settings]] = {
    "he": Settings(128, "sgd", 0.1, 5e-4, "one-cycle"),
    "nin": Settings(128, "adamw", 4e-3, 1e-4, "one-cycle", clip=1.0),
    "xavier": Settings(128, "sgd", 0.1, 5e-4, "one-cycle"),
    "hornn": Settings(128, "adamw", 5e-3, 0.0, "flat-linear", 100, 0.25),
}
TEXT: Final = Settings(20, "adamw", 4e-3, 0.0, "flat-linear", 100, 0.25)
