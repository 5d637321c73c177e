"""budget.yaml: the limits of a budget as text with units, read strictly."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from archcost.budget import UNITS, Budget
from archcost.config import document
from archcost.config.document import Document
from archcost.config.types import LARGEST, Strict, wrong
from archcost.config.validation import conform, shown
from archcost.units import parse_count, parse_latency, parse_size

_NUMBER: Final = r"[0-9]+(\.[0-9]+)? *"


def _reader(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: object) -> float:
        try:
            return parse(value if isinstance(value, str) else shown(value))  # a bare number is read as its text
        except ValueError as error:
            raise wrong(str(error)) from None

    return BeforeValidator(read)


def _either(units: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": f"^{_NUMBER}({units})?$"}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST}, text]})


# None is what a limit is that is left out; one that is written as null is refused: it would look like a limit
Count: TypeAlias = Annotated[int | None, _reader(parse_count), _either("[kMGT]")]
Size: TypeAlias = Annotated[int | None, _reader(parse_size), _either("B|[kMGT]B|[KMGT]iB")]
Time: TypeAlias = Annotated[
    float | None,
    _reader(parse_latency),
    WithJsonSchema({"type": "string", "pattern": f"^{_NUMBER}(us|ms|s)$"}),
]


def _without_null(schema: JsonDict) -> None:
    """State in a JSON Schema that at least one limit is there, and that none is null."""
    schema["minProperties"] = 1
    keys = schema["properties"]
    assert isinstance(keys, dict)
    for key in keys.values():
        assert isinstance(key, dict)
        del key["default"]


class Limits(Strict):
    """What a network may cost at most; at least one limit."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    params: Count = None
    """Trainable scalars: `1500000`, `1.5M` (k, M, G, T: 10^3 to 10^12)."""
    macs: Count = None
    """Multiply-accumulates of one example: `50M`."""
    memory: Size = None
    """Weights and the largest set of values alive at once, in bytes: `64 MB` (10^6), `64 MiB` (2^20)."""
    weights: Size = None
    """Parameters and buffers, in bytes: `10 MB`."""
    latency: Time = None
    """The median time of a call, with its unit: `5 ms` (us, ms, s)."""

    @model_validator(mode="after")
    def _some(self) -> Limits:
        if not self.model_fields_set:
            raise wrong(f"sets no limit; allowed: one or more of {', '.join(UNITS)}")
        return self

    def budget(self) -> Budget:
        """Return the limits in base units."""
        return Budget(self.params, self.macs, self.memory, self.weights, self.latency)


def load_budget(path: str | os.PathLike[str]) -> Budget:
    """Return the budget a file holds; raises InputError with every mistake found, each with file, line and column."""
    return read_budget(document.read_file(path))


def read_budget(source: Document) -> Budget:
    """Return the budget a document describes."""
    return conform(source, Limits).budget()
