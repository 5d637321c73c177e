"""What the user's own code answers before a study runs: its files, its data, its arguments."""

# asked of child processes: none of that code runs in the study's own

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archcost import scratch
from archcost.config.validation import located, reading_order
from archcost.data import shared
from archcost.data.load import load
from archcost.data.spec import DataCode
from archcost.data.splits import Dataset
from archcost.errors import InputError, Mistake, quoted
from archcost.errors import Path as Key
from archcost.study.code import arguments, consent
from archcost.study.records.reasons import of_trial
from archcost.study.spec import StudySpec
from archcost.study.workers import inquiries, processes
from archcost.study.workers.messages import Described, Failed, Imported, Parameter
from archcost.study.workers.tasks import Code, Describe, Import, Job, Make, ReadData


def imported(spec: StudySpec, code: Code) -> Code:
    """Return a study's code with the digests of its files.

    Raises InputError, at its key, if one cannot be imported; for all arguments that are not taken, or missing.
    """
    found, takes = code, dict[tuple[Key, str], Described]()
    for key, name in dict.fromkeys(consent.named(spec)):
        if key[-1] == "evaluate":  # it is given no arguments of the study's
            found, _ = _asked(Import((name,), found), found, spec, key)
            continue
        by_position = len(arguments.BY_POSITION) if key[0] == "fit" else 0
        asked = Describe(name, found, callables=False, given=by_position)
        found, described = _asked(asked, found, spec, key)
        if described is not None:
            takes[key, name] = described
    if mistakes := sorted(arguments.mistakes(spec, takes), key=reading_order):
        raise InputError(*mistakes)
    return found


def with_data(spec: StudySpec, code: Code | None) -> tuple[Dataset, Code | None]:
    """Return a study's data, by name or from code, and its code with the files it consists of.

    Raises InputError, at its key, for what is wrong with them.
    """
    named = spec.study.data
    if code is not None:
        code = imported(spec, code)
    if isinstance(named, DataCode):
        assert code is not None  # with consent alone
        return data(spec, named, code)
    try:
        return load(named, folder=Path(spec.source.file).parent), code
    except InputError as error:
        raise InputError(*(located(spec.source, mistake) for mistake in error.mistakes)) from None


def data(spec: StudySpec, named: DataCode, code: Code) -> tuple[Dataset, Code]:
    """Return the data that code gives; raises InputError with what it raised, or what is wrong in what it gave."""
    with scratch.folder() as folder:
        job = ReadData(named.code, dict(named.args), str(folder), code)
        found, _ = _asked(job, code, spec, ("data", "code"))
        test = folder / inquiries.TEST
        dataset = shared.read(folder / inquiries.DATA, test if test.is_file() else None)
        if test.is_file():
            held = dataset.read_test()  # mapped: it is there when the folder is gone
            dataset = replace(dataset, read_test=lambda: held)
        return dataset, found


def parameters(name: str, folder: Path, patience_s: float) -> tuple[tuple[Parameter, ...], Code]:
    """Return the parameters of a factory that was typed; raises InputError with what its code raises."""
    code = Code(str(folder.resolve()))
    found: tuple[Parameter, ...] = ()
    for event in processes.told(Describe(name, code), patience_s):
        match event:
            case Imported():
                code = replace(code, files=event.files)
            case Described():
                found = event.parameters
            case Failed():
                raise InputError(event.reason.text)
            case _:
                pass
    return found, code


def try_factory(job: Make, patience_s: float) -> None:
    """Make the module of a factory that was typed, in a child; raises InputError with what its code raises."""
    for event in processes.told(job, patience_s):
        if isinstance(event, Failed):
            name, why = quoted(str(job.spec["factory"])), of_trial(event.reason).text
            raise InputError(f"{name} was tried, {why}; allowed: other values, as --set NAME=VALUE gives them")


def offered(spec: StudySpec, code: Code) -> dict[str, object]:
    """Return what a study's data give a factory: classes and input; nothing if data that have a name are not here."""
    try:
        dataset, _ = with_data(spec, code if isinstance(spec.study.data, DataCode) else None)
    except InputError:
        if isinstance(spec.study.data, DataCode):
            raise
        return {}
    return {"classes": dataset.classes, "input": dataset.input}


def _asked(job: Job, code: Code, spec: StudySpec, key: Key) -> tuple[Code, Described | None]:
    """Do a job in a child; return its code with the files it imported, and what it described.

    Raises InputError at a key if it fails.
    """
    described = None
    for event in processes.told(job, spec.study.search.patience):
        if isinstance(event, Imported):
            code = replace(code, files={**code.files, **event.files})
        if isinstance(event, Failed):
            raise InputError(located(spec.source, Mistake(event.reason.text, key), at_key=True))
        if isinstance(event, Described):
            described = event
    return code, described
