"""The network between a worker and the database is cut: for 10 s, and for longer than a lease lasts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ground import Ground, ground, paced, soon
from places import Place, listening
from stops import LATE, ends, under_way
from tally import Tally

_SPACE: Final = f"faults{os.getpid()}"
_NEAR, _FAR = f"fn{os.getpid() % 100000}", f"ff{os.getpid() % 100000}"
_HOST, _GUEST = "10.213.77.1", "10.213.77.2"
_SHORT_S, _LONG_S = 10.0, 300.0
_TRIALS: Final = 4


def _ip(*words: str) -> bool:
    return not subprocess.run(["ip", *words], capture_output=True, check=False).returncode  # noqa: S603, S607


@contextmanager
def _network() -> Iterator[bool]:
    """Be able to cut a network inside the context, if that is possible here."""
    made = os.getuid() == 0 and shutil.which("ip") is not None and _ip("netns", "add", _SPACE)
    try:
        yield made and all((
            _ip("link", "add", _NEAR, "type", "veth", "peer", "name", _FAR, "netns", _SPACE),
            _ip("addr", "add", f"{_HOST}/24", "dev", _NEAR),
            _ip("link", "set", _NEAR, "up"),
            _ip("-n", _SPACE, "addr", "add", f"{_GUEST}/24", "dev", _FAR),
            _ip("-n", _SPACE, "link", "set", "lo", "up"),
            _ip("-n", _SPACE, "link", "set", _FAR, "up"),
        ))  # fmt: skip
    finally:
        if made:
            _ip("link", "del", _NEAR)
            _ip("netns", "del", _SPACE)


def partitions(place: Place, times: int, tally: Tally) -> None:
    """Cut the network for 10 s as often as asked, then as often for 5 minutes."""
    del place
    with _network() as there, listening(f"127.0.0.1,{_HOST}" if there else "127.0.0.1") as server:
        if not there:
            tally.skip("no network namespaces (needs root and ip netns)")
            return
        for span_s in [each for each in (_SHORT_S, _LONG_S) for _ in range(times)]:
            study = paced(_TRIALS, 30)
            with ground(server.new(), study) as here:
                _one(here, span_s, tally)
            tally.times += 1


def _one(here: Ground, span_s: float, tally: Tally) -> None:
    assert here.storage
    near = here.storage
    other = here.worker()
    soon(here.trials, 90)
    here.storage = near.replace("127.0.0.1", _HOST)
    far = here.worker(prefix=("ip", "netns", "exec", _SPACE))
    here.storage = near
    began = soon(lambda: under_way(here, far), 120)
    if not tally.check("a trial began beyond the network", began, far.said[-400:]):
        return
    while (trial := under_way(here, far)) is None and far.process.poll() is None:
        time.sleep(0.2)
    assert trial is not None
    _ip("link", "set", _NEAR, "down")
    try:
        end = time.monotonic() + span_s
        taken = soon(lambda: here.trials()[trial.number].fate == "interrupted", min(span_s, 90.0), 1.0)
        time.sleep(max(0.0, end - time.monotonic()))
    finally:
        _ip("link", "set", _NEAR, "up")
    name = f"{span_s:g} s"
    late = soon(lambda: any(words in far.said for words in LATE), 5 if span_s < 60 else 150)
    if span_s < 60:
        tally.check(f"{name}: nothing is taken up", not taken and not late, far.said[-400:])
    else:
        tally.check(f"{name}: taken up by the other one", taken, other.said[-400:])
        tally.check(f"{name}: the late result is dropped, and logged", late, far.said[-800:])
    alive = far.process.poll() in (None, 0)
    tally.check(f"{name}: the one beyond goes on", alive, far.said[-800:])
    ends(here, [other, far], tally, _TRIALS)
