"""Leases: who has one keeps it while it is heard of, and who lost one finds another number there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import sqlalchemy
from teams import memory

from archcost.study.records.database import leases
from archcost.study.records.database.leases import BEAT_S, LASTS_S, TABLE, Lease, Leases, Watch, held

GONE_S = LASTS_S + BEAT_S
"""After which nothing that was not heard of lives, whatever the server's clock says."""


@dataclass
class Times:
    """The clocks of a test: that of a server, and that of the processes that watch each other."""

    server_s: float = 1000.0
    watch_s: float = 0.0
    engine: sqlalchemy.Engine = field(default_factory=memory)

    def process(self) -> Leases:
        """Return the leases of another process that lives."""
        return Leases(self.engine, Watch(lambda: self.watch_s))

    def dead(self) -> Leases:
        """Return the leases of a process of this machine that has ended."""
        found = self.process()
        pid, start, *rest = found.me.split("-")
        found.me = "-".join([pid, str(int(start) + 1), *rest])  # type: ignore[misc]  # its number is another one's by now
        return found

    def pass_s(self, span_s: float) -> None:
        """Let time pass everywhere."""
        self.server_s += span_s
        self.watch_s += span_s


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Clocks that stand still."""
    found = Times()
    monkeypatch.setattr(leases, "now_s", lambda: found.server_s)
    return found


def test_one_process_has_a_lease(times: Times) -> None:
    """It holds until it is given back; what it told of itself, others read."""
    one, other = times.process(), times.process()
    mine = one.take("trial:0", {"host": "here"})
    assert Lease("trial:0", 1) == mine
    assert (None, True, False) == (other.take("trial:0"), one.holds(mine), other.holds(mine))
    assert {"host": "here"} == other.living("trial:")["trial:0"].about
    assert {} == other.living("seed:")
    one.give_back(mine)
    assert (False, {}) == (one.holds(mine), other.living())
    assert Lease("trial:0", 2) == other.take("trial:0")


def test_of_those_who_take_at_once_one_has_it(times: Times, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who read the row before another one took it changes nothing, whether or not there was one."""
    one, other = times.process(), times.process()
    for number in (1, 2):
        seen: list[Lease | None] = []
        real = one._taken

        def late(*args: object, real: Callable[..., bool] = real, seen: list[Lease | None] = seen) -> bool:
            seen.append(other.take("turns"))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(one, "_taken", late)
            assert one.take("turns") is None
        assert [Lease("turns", number)] == seen
        assert not one.lost(Lease("turns", number))
        other.give_back(Lease("turns", number))


def test_a_lease_that_is_renewed_lasts(times: Times) -> None:
    """As long as its beats come, however long that is."""
    one, other = times.process(), times.process()
    mine = one.take("trial:0")
    for _ in range(20):
        times.pass_s(BEAT_S)
        one.renew()
        assert other.take("trial:0") is None
    assert mine is not None
    assert (True, False) == (one.holds(mine), one.lost(mine))


def test_a_silent_lease_ends_after_its_time(times: Times) -> None:
    """By the clock of who watches; its number rises, and who comes back knows that it is lost."""
    stopped, other = times.process(), times.process()
    old = stopped.take("trial:0")
    assert old is not None
    assert other.take("trial:0") is None
    times.pass_s(LASTS_S - 1)
    assert other.take("trial:0") is None
    times.pass_s(2)
    new = other.take("trial:0")
    assert Lease("trial:0", 2) == new
    stopped.renew()
    assert (True, False) == (stopped.lost(old), stopped.holds(old))
    stopped.give_back(old)
    assert other.holds(Lease("trial:0", 2))
    assert not stopped.lost(old)


def test_who_has_just_begun_to_watch_waits(times: Times) -> None:
    """A lease whose time is over long since is taken after two beats that did not come, not at first sight."""
    times.process().take("trial:0")
    times.pass_s(1000)
    fresh = times.process()
    assert fresh.take("trial:0") is None
    times.pass_s(2 * BEAT_S)
    assert fresh.take("trial:0") is None
    times.pass_s(BEAT_S)
    assert Lease("trial:0", 2) == fresh.take("trial:0")


def test_the_lease_of_a_dead_process_is_free_at_once(times: Times) -> None:
    """Of this machine, where that is seen; its number is not given twice."""
    assert Lease("trial:0", 1) == times.dead().take("trial:0")
    other = times.process()
    assert [False] == [each.lives for each in other.every()]
    assert {} == other.living()
    assert Lease("trial:0", 2) == other.take("trial:0")


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 2 * 86400.0])
def test_a_servers_clock_that_jumps_ends_no_living_lease(times: Times, jump_s: float) -> None:
    """Forward or back; and a silent one ends all the same, after its time."""
    one, other = times.process(), times.process()
    mine = one.take("trial:0")
    assert mine is not None
    for _ in range(5):
        assert other.take("trial:0") is None
        times.pass_s(BEAT_S)
        assert other.take("trial:0") is None
        one.renew()
    times.server_s += jump_s
    for _ in range(10):
        assert other.take("trial:0") is None
        times.pass_s(BEAT_S)
        one.renew()
    assert one.holds(mine)
    times.server_s -= jump_s / 2
    assert other.take("trial:0") is None
    times.pass_s(GONE_S)
    assert Lease("trial:0", 2) == other.take("trial:0")


def test_a_watchers_own_clock_is_not_the_servers(times: Times) -> None:
    """A lease ends only after as long as it lasts has passed here, whatever passes there."""
    times.process().take("trial:0")
    other = times.process()
    assert other.take("trial:0") is None
    times.server_s += 10 * LASTS_S
    assert other.take("trial:0") is None
    times.watch_s += 2 * BEAT_S
    assert other.take("trial:0") is None
    times.watch_s += BEAT_S
    assert other.take("trial:0") is not None


def test_numbers_never_repeat(times: Times) -> None:
    """Whoever takes, gives back or loses it."""
    one, other, found = times.process(), times.process(), []
    for taker in (one, other, one, times.dead(), other):
        lease = taker.take("seed:a:0")
        assert lease is not None
        found.append(lease.number)
        taker.give_back(lease)
        taker.give_back(lease)
    assert [1, 2, 3, 4, 5] == found
    with times.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(TABLE.c.number, TABLE.c.owner))
        assert [(5, "")] == [tuple(row) for row in rows]


def test_a_lease_ends_with_its_context(times: Times) -> None:
    """By an error too; who does not get it is told, and gives nothing back."""
    one, other = times.process(), times.process()

    def fail() -> None:
        with held(one, "weights") as mine, held(other, "weights") as none:
            assert none is None
            assert mine is not None
            assert one.holds(mine)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with held(other, "weights") as theirs:
        assert Lease("weights", 2) == theirs


@pytest.mark.parametrize("text", ["", "x", "1-2-3", "a-b-c-d-e-f", "1-2-aaaaaaaa-bbbbbbbb-cccccccc"])
def test_an_owner_that_is_no_process_is_waited_for(times: Times, text: str) -> None:
    """What others wrote there is a lease of somebody unknown: it ends after its time alone."""
    assert leases.owner_of(text) is None
    strange = times.process()
    strange.me = text or "?"  # type: ignore[misc]
    strange.take("trial:0")
    other = times.process()
    assert other.take("trial:0") is None
    times.pass_s(GONE_S)
    assert Lease("trial:0", 2) == other.take("trial:0")


def test_tidying_leaves_who_lives_and_what_others_are_called(times: Times) -> None:
    """Rows of processes that have ended here, and those given back, are removed: of the prefix alone."""
    one, dead, gone = times.process(), times.dead(), times.process()
    assert one.take("worker:1")
    assert dead.take("worker:2")
    assert dead.take("trial:0")
    gone.give_back(gone.take("worker:3") or Lease("", 0))
    one.tidy("worker:")
    with times.engine.connect() as connection:
        left = {name for (name,) in connection.execute(sqlalchemy.select(TABLE.c.name))}
    assert {"worker:1", "trial:0"} == left
    assert Lease("trial:0", 2) == one.take("trial:0")
