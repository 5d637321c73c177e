"""A network that code makes, as text names it, and the inputs it is called with.

Text is `family: module` of a file, or a typed package.module:callable, with arguments or without.

Nothing here imports what is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, field_validator

from archcost.config.document import Document, Value, replace
from archcost.config.types import LARGEST, Code, Count, Each, Identifier, Strict, all_wrong, wrong
from archcost.config.validation import conform
from archcost.errors import InputError, Mistake, Place, did_you_mean, one_of, quoted, shorten, unknown, visible
from archcost.graph.dtypes import DTYPES, Dtype
from archcost.models import callables

FAMILY: Final = "module"
COMMAND_LINE: Final = "<command line>"  # the file of what is typed there
OPTION: Final = "--input"  # the file of inputs that are typed

INTEGERS: Final[Mapping[str, int]] = {"int64": LARGEST, "int32": 2**31}  # and the most that `below` may be

_DIGITS: Final = re.compile("[0-9]{1,16}")
_INPUTS: Final = "[name=]sizes[:dtype[:below]], as in 3,224,224 or input_ids=128:int64:30000"


Size: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]


class Argument(Strict):
    """One tensor that the module is called with, its values drawn from a seed."""

    shape: Annotated[tuple[Size, ...], Field(strict=False)]
    """Sizes without the batch, which comes first; [] if an example is one value."""
    dtype: Dtype = "float32"
    """Floating point is normally distributed, `int64` and `int32` are drawn as `below` says, `bool` evenly."""
    below: Count | None = None
    """Integers are drawn evenly from 0 .. below-1: the size of a vocabulary, for integers only. Default: 2."""
    name: Identifier | None = None
    """The parameter of `forward` that gets it. Default: by position, in the order of the list."""

    @field_validator("below")
    @classmethod
    def _of_integers(cls, value: int | None, info: ValidationInfo) -> int | None:
        dtype = info.data.get("dtype")
        if value is None or dtype is None:  # a dtype that is wrong is told itself
            return value
        if dtype not in INTEGERS:
            raise wrong(f"given {value} with {dtype}; allowed: only with {one_of(INTEGERS)}")
        if value > INTEGERS[dtype]:
            raise wrong(f"given {value}; allowed: at most {INTEGERS[dtype]} with {dtype}")
        return value

    @property
    def bound(self) -> int:
        """What integers are drawn below."""
        return self.below or 2


class Foreign(Strict):
    """A torch module that code makes: a function or class that is imported and called, or a module that exists.

    Code named in a file runs only with `--allow-code` (Python: `allow_code=True`): it can do whatever you can. What is
    typed on the command line, `archcost profile package.module:callable --input 3,224,224`, needs no such consent.
    """

    # for editors; that they are not both there is told when the file is read
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["input"]}, {"required": ["inputs"]}]})

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What tables and reports call the network. Default: the file's name without its extension."""
    family: Literal["module"]
    """This family."""
    factory: Code
    """package.module:callable, as Python finds it or in the current folder. It returns a torch.nn.Module."""
    args: dict[Identifier, JsonValue] = Field({})
    """Keyword arguments of the call: numbers, text, lists, mappings."""
    input: Each[Count] | None = None
    """[C, H, W] or any other sizes of the one float32 tensor the module takes, without the batch."""
    inputs: Annotated[Each[Argument] | None, Field(validate_default=True)] = None
    """Instead of `input`: a list of tensors, each with its shape, dtype, ..."""

    @field_validator("inputs")
    @classmethod
    def _one_of_two(cls, value: tuple[Argument, ...] | None, info: ValidationInfo) -> tuple[Argument, ...] | None:
        beside = info.data.get("input")
        if value is not None and beside is not None:
            raise wrong("given beside 'input'; allowed: one of the two")
        if value is None and beside is None and "input" in info.data:  # an input that is wrong is told itself
            raise wrong("missing; allowed: 'input: [C, H, W]', or 'inputs' for several tensors or other dtypes")
        return value

    @field_validator("inputs")
    @classmethod
    def _names_differ(cls, value: tuple[Argument, ...] | None) -> tuple[Argument, ...] | None:
        names = [argument.name for argument in value or ()]
        again = [i for i, name in enumerate(names) if name is not None and name in names[:i]]
        if again:
            raise all_wrong([(f"given {quoted(str(names[i]))} again; allowed: once", (i, "name")) for i in again])
        return value

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The tensors of a call."""
        return (Argument(shape=self.input),) if self.input is not None else self.inputs or ()


def read(document: Document) -> Foreign:
    """Return the code that a document names; raises InputError with every mistake, in the order of the text.

    A key that there is not may be meant as an argument of the call: then the message says how that is written.
    """
    try:
        return conform(document, Foreign)
    except InputError as error:
        raise InputError(*map(_as_argument, error.mistakes)) from None


def _as_argument(mistake: Mistake) -> Mistake:
    match mistake.path:
        case (str(key),) if key not in Foreign.model_fields:
            keys = sorted(Foreign.model_fields)
            guess = did_you_mean(key, keys) or f" (did you mean '{visible(shorten(f'args.{key}'))}'?)"
            message = f"unknown key {quoted(key)}{guess}; allowed: {one_of(keys)}, arguments of the call below 'args'"
            return Mistake(message, mistake.path, mistake.place)
        case _:
            return mistake


def parse_input(text: str) -> Argument:
    """Return what `--input` says: `3,224,224`, `128:int64:30000`, `input_ids=128:int64`; raises ValueError."""
    name, equals, rest = text.rpartition("=")
    sizes, *more = (part.strip() for part in rest.split(":"))
    if len(more) > 2 or not (sizes or more):
        raise ValueError(f"given {quoted(text)}; allowed: {_INPUTS}")
    for part in [*(sizes.split(",") if sizes else ()), *more[1:]]:
        if not _DIGITS.fullmatch(part.strip()):
            raise ValueError(f"given {quoted(part)} in {quoted(text)}; allowed: an integer; {_INPUTS}")
    if more and more[0] not in DTYPES:
        raise ValueError(unknown("dtype", more[0], DTYPES))
    tree = {"shape": [int(part) for part in sizes.split(",")] if sizes else []}
    options = dict(zip(("dtype", "below"), (*more[:1], *map(int, more[1:])), strict=False))
    try:
        return Argument.model_validate(tree | options | ({"name": name.strip()} if equals else {}))
    except ValidationError as error:
        raise ValueError("; ".join(details["msg"] for details in error.errors())) from None


def typed(text: str, inputs: Sequence[Argument] = ()) -> Document:
    """Return the document that a typed package.module:callable, or a call of it, and its inputs stand for.

    `--set` works on it. Raises InputError for a call whose arguments are no literals with names.
    """
    factory, args = callables.name_of(text), callables.arguments_of(text)
    tree: dict[str, Value] = {"name": _named(factory, args), "family": FAMILY, "factory": factory}
    document = Document(COMMAND_LINE, tree, {(): Place(COMMAND_LINE)}, {(): Place(COMMAND_LINE)})
    for key, value in (*tree.items(), *([("args", args)] if args else ())):
        document = replace(document, key, value, Place(COMMAND_LINE), instead_of="")
    return with_inputs(document, inputs) if inputs else document


def renamed(document: Document, before: Document) -> Document:
    """Return what was typed with a name that has its arguments as `--set` left them, unless that set the name too."""
    tree, first = document.tree, before.tree
    assert isinstance(tree, dict)  # `typed` made both
    assert isinstance(first, dict)
    args = tree.get("args")
    if not first.get("args") or tree["name"] != first["name"] or not isinstance(args, dict):
        return document
    return replace(document, "name", _named(str(first["factory"]), args), Place(COMMAND_LINE), instead_of="")


def _named(factory: str, args: Mapping[str, Value]) -> str:
    """Return the name of what is typed, so that two calls of one callable are told apart."""
    return shorten(callables.called(factory.rpartition(":")[2], args), 200)


def with_inputs(document: Document, inputs: Sequence[Argument]) -> Document:
    """Return the document of a module with these inputs, and no others; a mistake in them has the place `--input`."""
    listed: list[Value] = [argument.model_dump(mode="json", exclude_defaults=True) for argument in inputs]
    return replace(document, "inputs", listed, Place(OPTION), instead_of="input")
