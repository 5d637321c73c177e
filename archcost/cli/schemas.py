"""The JSON Schemas of model.yaml, study.yaml and budget.yaml, made from their specs."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated, Final, TypeAlias

from pydantic import Field, JsonValue, TypeAdapter

from archcost.models.code import Foreign
from archcost.models.families.bottleneck import Bottleneck
from archcost.models.families.fractal import Fractal
from archcost.models.families.hornn import HORNN
from archcost.models.families.nin import NiN
from archcost.models.families.rir import RiR
from archcost.profiling.budget import Limits
from archcost.search.rules import Rule
from archcost.study.spec import Study

NAMES = ("model", "study", "budget")

Searched: TypeAlias = Bottleneck | NiN | RiR | Fractal | HORNN
Shipped: TypeAlias = Searched | Foreign

_RULE: Final = "Rule"
_GIVEN: Final = frozenset({"input", "classes"})  # by a study's data


def made(name: str) -> str:
    """Return a schema as the specs define it now."""
    match name:
        case "model":
            schema = TypeAdapter(Annotated[Shipped, Field(discriminator="family")]).json_schema()
        case "study":
            schema = _study()
        case "budget":
            schema = Limits.model_json_schema()
        case _:
            raise KeyError(name)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"archcost {name}.yaml"}
    return json.dumps(head | schema | head, indent=1) + "\n"


def _study() -> dict[str, JsonValue]:
    """Return the schema of a study: its templates are the families' keys, with a rule allowed for every value."""
    study = Study.model_json_schema()
    networks = TypeAdapter(Annotated[Searched, Field(discriminator="family")]).json_schema()
    rules = TypeAdapter(Rule).json_schema()
    families = {name: _opened(each) for name, each in networks["$defs"].items()}
    for reference in networks["discriminator"]["mapping"].values():
        family = families[reference.rsplit("/", 1)[1]]
        required = family["required"]
        assert isinstance(required, list)
        family["required"] = [key for key in required if key not in _GIVEN]
    own = study["$defs"] | rules["$defs"] | {_RULE: {"anyOf": rules["anyOf"]}}
    assert not own.keys() & families.keys()
    study["$defs"] = own | families
    study["properties"]["models"]["items"] = {"oneOf": networks["oneOf"]}
    return study


def _opened(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema of a mapping in which a rule may stand for every value but the family's name."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    opened = {key: value if key == "family" else _or_rule(value) for key, value in properties.items()}
    return {**schema, "properties": opened}


def _or_rule(value: JsonValue) -> JsonValue:
    """Return a value's schema, or that of a rule; so for what stands in lists too. What editors show stays outside."""
    assert isinstance(value, dict)
    shown = {key: each for key, each in value.items() if key in ("title", "description", "default")}
    bare = {key: each for key, each in value.items() if key not in shown}
    return {**shown, "anyOf": [_inside(bare), {"$ref": f"#/$defs/{_RULE}"}]}


def _inside(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    found = dict(value)
    if "items" in found:
        found["items"] = _or_rule(found["items"])
    for key in {"prefixItems", "anyOf", "oneOf"} & found.keys():
        ways = found[key]
        assert isinstance(ways, list)
        inner = [way for way in ways if isinstance(way, dict)]
        found[key] = [_or_rule(way) if key == "prefixItems" else _inside(way) for way in inner]
    return found


def committed(name: str) -> str:
    """Return the schema file that ships."""
    return (files("archcost.config") / "schemas" / f"{name}.json").read_text(encoding="utf-8")
