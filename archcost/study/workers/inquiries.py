"""What a study asks of the user's own code before it runs: its files, data and networks."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from torch import nn

from archcost.data import own as own_data
from archcost.data import shared
from archcost.errors import InputError, quoted
from archcost.models.code import Foreign
from archcost.nets import factory
from archcost.nets.factory import guarded, importing_from, named_object, signature
from archcost.study.records.reasons import Reason
from archcost.study.workers import isolation
from archcost.study.workers.messages import Described, Event, Imported, Parameter, Refused
from archcost.study.workers.network import count
from archcost.study.workers.own import called
from archcost.study.workers.tasks import Code, Describe, Import, Make, ReadData, Survey

Tell: TypeAlias = Callable[[Event], None]

DATA: Final = "data.pt"
"""The file of the data that trials read."""
TEST: Final = "test.pt"
"""The file of the test split, if there is one."""


def files(code: Code) -> Imported:
    """Return the files of a study's code that this process has imported; raises InputError if one has changed."""
    found = isolation.imported(Path(code.folder))
    isolation.refuse_changed(found, code.files)
    return Imported(found)


def imports(job: Import, tell: Tell) -> None:
    """Import what the code of a study names, and tell which files that are."""
    with importing_from(Path(job.code.folder)):
        for name in job.names:
            named_object(name)
    tell(files(job.code))


def survey(job: Survey, tell: Tell, reason_of: Callable[[Exception], Reason]) -> None:
    """Count one network after the other; of one that fails, tell why."""
    for place, network in enumerate(job.networks):
        try:
            tell(count(network, job.code, job.memory, 0, place))
        except Exception as error:  # the code's own: the next network may be made
            tell(Refused(place, reason_of(error)))


def data(name: str, args: Mapping[str, object], code: Code) -> object:
    """Return what the data code of a study gives; raises InputError with what it raises."""
    function = called(name, code)
    with importing_from(Path(code.folder)), guarded(f"{quoted(name)} failed"):
        return function(**args)


def read_data(job: ReadData, tell: Tell) -> None:
    """Have code give its data, and write them; the test split apart, where no trial reads it."""
    dataset = own_data.dataset(data(job.name, job.args, job.code), job.name, job.args)
    folder = Path(job.folder)
    shared.write(dataset, folder / DATA)
    if dataset.tested and not (dataset.own and dataset.own.loose):
        shared.write_test(dataset, folder / TEST)
    tell(files(job.code))


def describe(job: Describe, tell: Tell) -> None:
    """Tell the parameters of a factory, in the order in which it takes them."""
    with importing_from(Path(job.code.folder)):
        found = named_object(job.name)
    if not callable(found) and job.callables:
        raise InputError(f"{quoted(job.name)} takes no arguments; allowed: a function or class that makes a module")
    tell(files(job.code))
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    # a module that exists is called by nobody: its signature is that of its forward
    parameters = signature(found) if callable(found) and not isinstance(found, nn.Module) else {}
    every = not parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    others = list(parameters.values())[job.given :]
    tell(Described(tuple(_parameter(each) for each in others if each.kind in named), every))


def make(job: Make) -> None:
    """Make a module; raises InputError with what its code raises."""
    spec = Foreign.model_validate_json(json.dumps(job.spec))
    factory.made(spec, folder=Path(job.code.folder), offers=job.offers)


def _parameter(each: inspect.Parameter) -> Parameter:
    required = each.default is each.empty
    try:
        default = "" if required else json.dumps(each.default, allow_nan=False)
    except (TypeError, ValueError):  # an object: YAML cannot say it
        default = ""
    hint = each.annotation if isinstance(each.annotation, str) else getattr(each.annotation, "__name__", "")
    if not isinstance(each.annotation, str | type) and each.annotation is not each.empty:
        hint = str(each.annotation)  # Literal['relu', 'gelu'] and other forms
    return Parameter(each.name, default, "" if each.annotation is each.empty else hint, required)
