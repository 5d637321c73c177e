"""The JSON Schema of model.yaml, made from the families' specs; the committed copy is what `archcost schema` prints."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from archcost.families.bottleneck import Bottleneck
from archcost.families.fractal import Fractal
from archcost.families.hornn import HORNN
from archcost.families.nin import NiN
from archcost.families.rir import RiR

NAMES = ("model",)

Shipped: TypeAlias = Bottleneck | NiN | RiR | Fractal | HORNN


def made(name: str) -> str:
    """Return a schema as the specs define it now."""
    if name not in NAMES:
        raise KeyError(name)
    schema = TypeAdapter(Annotated[Shipped, Field(discriminator="family")]).json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"archcost {name}.yaml"}
    return json.dumps(head | schema, indent=1) + "\n"


def committed(name: str) -> str:
    """Return the schema file that ships."""
    return (files("archcost") / "schemas" / f"{name}.json").read_text(encoding="utf-8")
