"""The kernels that ONNX Runtime ran, as a session's own profile has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

_BEHIND: Final = "_kernel_time"  # a node's name in a profile
_RUN: Final = "model_run"  # an event behind those of a run's kernels


class Kernel(NamedTuple):
    """A kernel that ran: of which node or value by its name, and for how long, in whole microseconds, cut."""

    name: str
    op: str
    inputs: int
    time_s: float


def profiled(session: Any) -> list[list[Kernel]]:
    """Return the kernels of each run in order, from the profile that a session has written; it is removed."""
    path = Path(session.end_profiling())
    runs: list[list[Kernel]] = [[]]
    for event in json.loads(path.read_text("utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith(_BEHIND):
            runs[-1].append(_kernel(event))
        elif event.get("name") == _RUN:
            runs.append([])
    path.unlink()
    return runs[:-1]


def _kernel(event: dict[str, Any]) -> Kernel:
    told = event["args"]
    name = event["name"].removesuffix(_BEHIND)
    return Kernel(name, told["op_name"], len(told.get("input_type_shape", ())), event["dur"] * 1e-6)
