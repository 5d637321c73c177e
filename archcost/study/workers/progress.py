"""How far a job has come: what it goes on from, and the checkpoint that it writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch

from archcost.data.shared import kept
from archcost.errors import InputError, TargetError
from archcost.study.workers.isolation import imported
from archcost.study.workers.messages import Event, Measured, Resumed, decode_event, encode
from archcost.study.workers.tasks import Train
from archcost.training import checkpoints
from archcost.training.header import Checkpoint, header

Tell: TypeAlias = Callable[[Event], None]

_APART_S: Final = 5.0
"""Training that may be lost: a checkpoint is written if the one before is older."""
_DEAR: Final = 50
"""Times what writing takes, which may be lost too: so writing takes 2% of the time at most."""


@dataclass(slots=True)
class Progress:
    """What is kept of a job as it goes on; made by `progress_of`.

    place: where, None if nothing is; same: what says whether it is the same job; state: what the training goes on from,
    None if it begins; epochs, before_s: that are done, and took so long; measured: what was measured, by this process
    or before; known: how much of it before; note: what there is to say, told once; own: what code of the user's own
    saved last; saved: whether that was in the epoch under way.
    """

    place: Checkpoint | None
    same: Callable[[], dict[str, Any]]
    state: Mapping[str, Any] | None = None
    epochs: int = 0
    before_s: float = 0.0
    measured: list[Measured] = field(default_factory=list)
    known: int = 0
    note: str = ""
    own: Mapping[str, Any] | None = None
    saved: bool = False
    since: float = field(default_factory=time.monotonic)
    written: float = field(default_factory=time.monotonic)
    cost_s: float = 0.0

    def noting(self, tell: Tell) -> Tell:
        """Return what tells events, and keeps what was measured."""

        def told(event: Event) -> None:
            if isinstance(event, Measured):
                self.measured.append(event)
            tell(event)

        return told

    def resume(self, give: Callable[[int, Mapping[str, Any]], None], tell: Tell) -> None:
        """Let a training that was just begun go on from what is kept, and tell of it; give: raises ValueError."""
        if self.state is not None:
            try:
                give(self.epochs, self.state)
            except ValueError as error:
                self.ignore(f"its checkpoint holds {error}")
        if self.note or self.before_s:
            tell(Resumed(self.epochs, self.before_s, self.note))
        self.state, self.note = None, ""  # a state is as large as the network and its optimiser

    def ignore(self, why: str) -> None:
        """Begin again."""
        self.state, self.epochs, self.before_s, self.own = None, 0, 0.0, None
        self.note = f"a training begins again: {why}"

    def save(self, state: Mapping[str, Any]) -> None:
        """Take what code of the user's own saves, as it is now; it is written when its epoch is over."""
        self.own, self.saved = checkpoints.copied(state), True

    def load(self) -> Mapping[str, Any] | None:
        """Return what code of the user's own saved last."""
        return self.own

    def keep(self, epochs: int, state: Callable[[], Mapping[str, Any]], tell: Tell) -> bool:
        """Write the checkpoint if what would be lost without it is worth it, or code has asked for it.

        Return whether it was written. Raises GoneError if that cannot be done.
        """
        now = time.monotonic()
        due = now - self.written >= max(_APART_S, _DEAR * self.cost_s)
        if self.place is None or not (self.saved or due):
            return False
        measured = [encode(each).decode() for each in self.measured]
        try:
            held = checkpoints.plain({"same": self.same(), "measured": measured, "training": dict(state())})
        except InputError as error:  # a module of the user's own keeps something else than tensors
            self.place = None
            tell(Resumed(epochs, self.before_s, f"this training is not kept: {error}"))
            return False
        with kept("the checkpoint of a training"):
            checkpoints.write(self.place, epochs, self.before_s + now - self.since, held)
        self.written, self.saved = time.monotonic(), False
        self.cost_s = self.written - now
        return True


def progress_of(job: Train, networks: int, digest: str) -> Progress:
    """Return how far a job has come in earlier processes; what cannot be used is left, with a note.

    networks: how many are measured in each way; digest: of a network that code has made. A file that another study, or
    nobody, is known to have written is neither used nor replaced.
    """
    made = Progress(job.keep, lambda: _same(job, digest))
    if made.place is None or not _there(path := Path(made.place.path)):
        return made
    said = header(path)
    try:
        first, state = checkpoints.read(made.place, torch.device("cpu"))
        made.state, made.measured = _checked(state, job, digest, networks)
        made.epochs, made.before_s, made.known = first.epochs, first.seconds, len(made.measured)
        made.own = made.state.get("own")
    except InputError as error:
        made.ignore(str(error))
        if said is None or said.study != made.place.study:
            made.note += "; this training is not kept while the file is there"
            made.place = None
    return made


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _same(job: Train, digest: str) -> dict[str, Any]:
    """Return what a job has to have in common with the one whose checkpoint it goes on from: its network and code."""
    files = imported(Path(job.code.folder)) if job.code else {}
    return {"ways": dumps([asdict(job.ways[place]) for place in job.measured]), "network": digest, "files": files}


def _checked(state: Mapping[str, Any], job: Train, digest: str, networks: int) -> tuple[dict[str, Any], list[Measured]]:
    """Return the training of a checkpoint and what was measured before, nothing if that was in other ways.

    Raises InputError if it is not of such a job.
    """
    training, words, same = state.get("training"), state.get("measured"), state.get("same")
    if not isinstance(training, dict) or not isinstance(words, list) or not isinstance(same, dict):
        raise InputError("its checkpoint holds no training")
    if same.get("network") != digest or not _unchanged(job, same.get("files")):
        raise InputError("its checkpoint is of other code")
    if same.get("ways") != _same(job, digest)["ways"]:
        return training, []
    try:
        events = [decode_event(str(each).encode()) for each in words]
    except (TargetError, ValueError) as error:
        raise InputError("its checkpoint holds no samples") from error
    measured = [each for each in events if isinstance(each, Measured)]
    count = [(each.way, len(each.samples) if each.reason is None else networks) for each in measured]
    if count != [(way, networks) for way in job.measured]:
        raise InputError("its checkpoint holds the samples of other networks")
    return training, measured


def _unchanged(job: Train, files: object) -> bool:
    """Return whether the files of code that a checkpoint was written with are as they were."""
    if not isinstance(files, dict) or (bool(files) and job.code is None):
        return False
    folder = Path(job.code.folder) if job.code else Path()
    return all(_digest(folder / str(name)) == digest for name, digest in files.items())


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
