"""A disk that is full in the middle of a study."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ground import Ground, ground, soon, trained
from kills import whole
from places import Place
from tally import Tally

_SIZE: Final = "200m"
_TRIALS: Final = 8
_MADE: Final = (("report", "study.db", "-o", "page.html"), ("study", "export", "study.db", "-o", "all.csv"),
                ("export", "study.db", "--trial", "0", "--to", "yaml", "-o", "net.yaml"))  # fmt: skip
"""Commands that write a file in place of an older one."""


@contextmanager
def _small() -> Iterator[Path | None]:
    """Yield a small disk, None if it cannot be made here."""
    with tempfile.TemporaryDirectory(prefix="faults-disk-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", name]
        if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
            yield None
            return
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=False)  # noqa: S603, S607


def disk(place: Place, times: int, tally: Tally) -> None:
    """Fill a disk while a worker is under way, each time after another trial; then there is space again."""
    with _small() as small:
        if small is None:
            tally.skip("no small disk can be mounted (needs root)")
            return
        for turn in range(times):
            with ground(place.new(), trained(_TRIALS), small) as here:
                _one(here, 1 + turn % 3, tally)
            tally.times += 1


def _fill(folder: Path) -> Path:
    """Leave no space on a disk."""
    file = folder / "fill"
    with file.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1 << 9, 1):
            while True:
                try:
                    out.write(b"x" * size)
                except OSError:
                    break
    return file


def _one(here: Ground, after: int, tally: Tally) -> None:
    worker = here.worker()
    tally.check("trials ended", soon(lambda: len(here.acknowledged()) >= after, 120), worker.said[-300:])
    filled, seen = _fill(here.folder), here.acknowledged()
    code = worker.ended(120)
    words = "Traceback" not in worker.said and "space" in worker.said
    tally.check("ends with 2 and says why", code == 2 and words, f"{code} {worker.said[-500:]}")
    filled.unlink()
    _outputs(here, tally)
    again = here.worker()
    tally.check("goes on when there is space", again.ended(200) == 0, again.said[-500:])
    whole(here, [seen], tally, _TRIALS)


def _outputs(here: Ground, tally: Tally) -> None:
    """Write over older files on a full disk: they stay as they were."""
    for words in _MADE:
        file = here.folder / words[-1]
        file.write_text("an older one", "utf-8")
    filled = _fill(here.folder)
    try:
        for words in _MADE:
            ended = here.start(*words)
            code, file = ended.ended(60), here.folder / words[-1]
            intact = file.read_text("utf-8") == "an older one"
            tally.check("an older file stays as it was", code and intact, f"{words}: {code} {ended.said[-300:]}")
            tally.check("no traceback", "Traceback" not in ended.said, f"{words}: {ended.said[-300:]}")
    finally:
        filled.unlink()
