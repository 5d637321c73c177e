"""Writes what is derived from the specs and committed: the JSON Schemas and the references of all keys.

Run by `make fix`; tests compare the committed files with what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

from archcost.cli.schemas import NAMES, made
from archcost.models.code import FAMILY, Foreign
from archcost.models.families import FAMILIES
from archcost.search.rules import RULES
from archcost.study.spec import Study

ROOT = Path(__file__).parents[1]
HEAD = """# model.yaml: every key

One network in a file, flat, told apart by `family`; `archcost example NAME` prints one to start from. Read as YAML 1.2
without tags, anchors, merge keys or duplicate keys; at most 1 MiB, 64 levels, 50,000 values, integers up to 2^53.
A network of more than 200,000 nodes is refused before it is built. `--set stem.channels=32` overrides a key on the
command line. For editors: `archcost schema model > model.schema.json`, and
`# yaml-language-server: $schema=model.schema.json` as the file's first line.

Made from the specs by `docs/make.py`: change a key's docstring, then run `make fix`.
"""

STUDIES = ROOT / "docs" / "studies.md"
PARTS = ("rules", "keys")  # of STUDIES: what stands between <!-- rules --> and <!-- end --> is made, the rest written


def studies(page: str) -> str:
    """Return the page on studies with its tables made anew, and the rest as it is."""
    for part, table in zip(PARTS, (_rules(), _keys()), strict=True):
        before, begin, rest = page.partition(f"<!-- {part} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        page = "".join([before, begin, *table, end, after])
    return page


def _rules() -> Iterator[str]:
    for name, rule in RULES.items():
        schema = rule.model_json_schema()
        yield f"\n`{name}`: {cleandoc(rule.__doc__ or '')}\n\n"
        yield from _table(schema, schema.get("$defs", {}))
    yield "\n"


def _keys() -> Iterator[str]:
    study = Study.model_json_schema()
    definitions = study["$defs"]
    yield "\n"
    yield from _table(study, definitions)
    for key, inner in _inner(study, definitions):
        yield f"\n### {key}\n\n{inner['description']}\n\n"
        yield from _table(inner, definitions)
        for below, deeper in _inner(inner, definitions):
            yield f"\n`{below}`: {deeper['description']}\n\n"
            yield from _table(deeper, definitions)
    yield "\n"


def reference() -> str:
    """Return the reference: a section per family, a row per key with type, default and meaning."""
    definitions = json.loads(made("model"))["$defs"]
    parts = [HEAD]
    for name, spec in (*FAMILIES.items(), (FAMILY, Foreign)):
        parts.append(f"\n## family: {name}\n\n{cleandoc(spec.__doc__ or '')}\n\n")
        parts += _table(definitions[spec.__name__], definitions)
        for key, inner in _inner(definitions[spec.__name__], definitions):
            parts.append(f"\n`{key}`: {inner['description']}\n\n")
            parts += _table(inner, definitions)
    return "".join(parts)


def _table(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | type | default | meaning |\n|---|---|---|---|\n"
    required = schema.get("required", [])
    for key, value in schema["properties"].items():
        default = "required" if key in required else _default(value.get("default"))
        meaning = value.get("description", "").replace("|", "\\|").replace("\n", " ")
        yield f"| `{key}` | {_type(value, definitions)} | {default} | {meaning} |\n"


def _default(value: object) -> str:
    return "-" if value is None else f"`{json.dumps(value)}`" if not isinstance(value, dict) else "`{}`"


def _inner(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings and lists of mappings a schema holds."""
    for key, value in schema["properties"].items():
        either = (value, *value.get("anyOf", []), *value.get("oneOf", []))
        for place in (inner for way in either for inner in (way, way.get("items", {}))):
            if "$ref" in place:
                yield key, definitions[place["$ref"].rsplit("/", 1)[1]]


def _type(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in words."""
    if "$ref" in value:
        keys = definitions[value["$ref"].rsplit("/", 1)[1]]["properties"]
        return "{" + ", ".join(keys) + "}"
    for union in ("anyOf", "oneOf"):
        if union in value:
            kinds = [_type(v, definitions) for v in value[union] if v.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in value or "enum" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    if value.get("type") == "object":
        return "mapping"
    if value.get("type") == "array":
        inner = value.get("items") or value.get("prefixItems", [{}])[0]
        return f"list of {_type(inner, definitions)}"
    return _scalar(value) if "type" in value else "any value"


def _scalar(value: Mapping[str, Any]) -> str:
    names = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
    bounds = [
        f"{sign} {value[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in value and abs(value[key]) != 2**53
    ]
    return " ".join([names[value["type"]], *([", ".join(bounds)] if bounds else [])])


if __name__ == "__main__":
    for schema in NAMES:
        (ROOT / "archcost" / "config" / "schemas" / f"{schema}.json").write_text(made(schema), encoding="utf-8")
    (ROOT / "docs" / "model.md").write_text(reference(), encoding="utf-8")
    STUDIES.write_text(studies(STUDIES.read_text("utf-8")), encoding="utf-8")
