"""The JSON Schemas of model.yaml and budget.yaml, made from their specs; what `archcost schema` prints is committed."""

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
from archcost.foreign import Foreign
from archcost.limits import Limits

NAMES = ("model", "budget")

Shipped: TypeAlias = Bottleneck | NiN | RiR | Fractal | HORNN | Foreign


def made(name: str) -> str:
    """Return a schema as the specs define it now."""
    if name not in NAMES:
        raise KeyError(name)
    models = TypeAdapter(Annotated[Shipped, Field(discriminator="family")])
    schema = Limits.model_json_schema() if name == "budget" else models.json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"archcost {name}.yaml"}
    return json.dumps(head | schema | head, indent=1) + "\n"


def committed(name: str) -> str:
    """Return the schema file that ships."""
    return (files("archcost") / "schemas" / f"{name}.json").read_text(encoding="utf-8")
