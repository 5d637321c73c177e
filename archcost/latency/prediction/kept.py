"""Calibrations in the cache folder, refused on another device or version."""

from __future__ import annotations

import platform
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from archcost.errors import InputError
from archcost.files import cache, safe_name
from archcost.latency.kept import Unusable, read, write
from archcost.latency.prediction.predictor import Calibration, Key
from archcost.latency.prediction.whole import CACHED
from archcost.latency.runtimes import Runtime
from archcost.latency.samples import Conditions, Plan
from archcost.latency.targets import Facts
from archcost.units import counted_words
from archcost.version import __version__

_LARGEST_BYTES: Final = 16 * 2**20
_CALIBRATION: Final = TypeAdapter(Calibration)


def key(facts: Facts, runtime: Runtime, plan: Plan, conditions: Conditions | None) -> Key:
    """Return what a calibration made now would be of; conditions: of this process, None if another one measures."""
    versions = (("archcost", __version__), ("python", platform.python_version()), *runtime.versions())
    affinity, quota = (conditions.affinity, conditions.quota_cores) if conditions else (None, None)
    return Key(
        *(facts.device.fingerprint, facts.target, runtime.name, plan.batch, plan.dtype, plan.threads),
        *(affinity, quota, tuple(dict(versions).items())),
    )


def place(of: Key, folder: Path | None = None) -> Path:
    """Return the file of a way to run, in a folder that is by default the cache's `predictors`."""
    return named(of.target, of.runtime, Plan(of.batch, of.dtype, of.threads), folder)


def named(target: str, runtime: str, plan: Plan, folder: Path | None = None) -> Path:
    """Return the same for a target that need not be looked at."""
    way = f"{target}-{runtime}-{plan.batch}-{plan.dtype}-{plan.threads}"
    digest = sha256(way.encode()).hexdigest()[:8]  # two ways may give one name
    return (cache() / "predictors" if folder is None else folder) / f"{safe_name(way)}-{digest}.json"


def known(of: Key, folder: Path | None = None) -> Calibration | Unusable | None:
    """Return the calibration of a way to run, why what is there cannot be used, or None if there is none."""
    path = place(of, folder)
    found = read(path, _CALIBRATION, _LARGEST_BYTES)
    if not isinstance(found, Calibration):
        return found
    if found.key.way != of.way:
        return Unusable(path, f"it is of {found.key.way}")
    if changed := found.key.differs(of):
        return Unusable(path, changed)
    if wrong := _malformed(found):
        return Unusable(path, f"damaged, {wrong}")
    return found


def _malformed(found: Calibration) -> str:
    """Return what of its sizes cannot be, '' if they agree."""
    for name, kind in found.kinds.items():
        widths = {len(features) for features in kind.features}
        if len(kind.features) != len(kind.logs) or widths != {len(kind.weights)}:
            return f"operators of kind {name} do not agree in size"
    if len(found.whole.weights_s) not in (0, len(CACHED)):
        return "numbers of weights do not agree in size"
    left = found.whole.left
    if left is not None:
        widths = {len(point) for point in left.points} | {len(left.centre), len(left.spread), len(left.weights)}
        if len(left.points) != len(left.values) or len(widths) != 1:
            return "networks do not agree in size"
    return ""


def at_hand(of: Key, folder: Path | None = None) -> Calibration:
    """Return the calibration of a way to run; raises InputError with what to do if there is none that can be used."""
    found = known(of, folder)
    if isinstance(found, Calibration):
        return found
    if found is None:
        others = f"; calibrated are: {', '.join(ways)}" if (ways := _others(of, folder)) else ""
        raise InputError(f"nothing is calibrated for {of.way}; first: {command(of)}{others}")
    raise InputError(f"the calibration for {of.way} is refused: {found.why}; again: {command(of)}")


def command(of: Key) -> str:
    """Return what calibrates a way to run."""
    how = f"archcost calibrate --target {of.target} --runtime {of.runtime} --threads {of.threads}"
    return how + (f" --batch {of.batch}" if of.batch != 1 else "")


def _others(of: Key, folder: Path | None) -> list[str]:
    """Return how many threads, and which batches, the same target and runtime are calibrated for."""
    files = sorted(place(of, folder).parent.glob("*.json"))
    keys = [found.key for path in files if isinstance(found := read(path, _CALIBRATION, _LARGEST_BYTES), Calibration)]
    alike = [key for key in keys if (key.target, key.runtime) == (of.target, of.runtime)]
    return [f"{counted_words(key.threads, 'thread')}, batch {key.batch}" for key in alike]


def keep(calibration: Calibration, folder: Path | None = None) -> Path:
    """Write a calibration, whole or not at all, and return its file; raises InputError if that cannot be done."""
    path = place(calibration.key, folder)
    write(path, _CALIBRATION.dump_json(calibration).decode())
    return path
