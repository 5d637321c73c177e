"""Peaks in the cache folder, kept under the device, threads and versions they are of."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, ConfigDict, TypeAdapter, with_config

from archcost.files import cache
from archcost.latency.kept import Unusable, read, write
from archcost.latency.roofline.roof import Peaks
from archcost.latency.runtimes import installed
from archcost.latency.samples import Conditions
from archcost.latency.targets import Facts
from archcost.version import __version__

_LARGEST_BYTES: Final = 64 * 2**10
_STRICT: Final = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Key:
    """What peaks are of: another key is another device, or may reach something else.

    fingerprint: of the device; affinity, quota_cores: what of it this process may use, as `Conditions` has them;
    versions: of what runs the kernels.
    """

    fingerprint: str
    target: str
    threads: int
    affinity: tuple[int, ...] | None
    quota_cores: float | None
    versions: tuple[tuple[str, str], ...]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Kept:
    """Peaks as they are kept; measured: when, UTC."""

    key: Key
    peaks: Peaks
    measured: AwareDatetime
    schema: Literal[1] = 1

    def age_s(self, now: datetime) -> float:
        """Return the seconds since they were measured, 0 if the clock was set back since."""
        return max(0.0, (now - self.measured).total_seconds())


_KEPT: Final = TypeAdapter(Kept)


def key(facts: Facts, threads: int, conditions: Conditions) -> Key:
    """Return what peaks measured now on so many threads of a target are of."""
    versions = (("archcost", __version__), *installed("torch", "onnxruntime"), ("python", platform.python_version()))
    fingerprint = facts.device.fingerprint
    return Key(fingerprint, facts.target, threads, conditions.affinity, conditions.quota_cores, versions)


def place(of: Key, folder: Path | None = None) -> Path:
    """Return the file that peaks are kept in, in a folder that is by default the cache's `roofline`."""
    digest = sha256(json.dumps(asdict(of)).encode()).hexdigest()[:16]
    return (cache() / "roofline" if folder is None else folder) / f"{digest}.json"


def known(of: Key, folder: Path | None = None) -> Kept | Unusable | None:
    """Return the peaks that are kept, why what is there cannot be used, or None if nothing is there."""
    path = place(of, folder)
    found = read(path, _KEPT, _LARGEST_BYTES)
    if not isinstance(found, Kept):
        return found
    if found.key != of or found.peaks.threads != of.threads:
        return Unusable(path, "of another device, number of threads or version")
    return found


def keep(kept: Kept, folder: Path | None = None) -> Path:
    """Write peaks to their file, whole or not at all, and return it; raises InputError if that cannot be done."""
    path = place(kept.key, folder)
    write(path, _KEPT.dump_json(kept, indent=1).decode())
    return path
