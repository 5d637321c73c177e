"""Faults that a study has to survive, each a case of its own, and a table of what survived.

    python studies/benchmarks/faults [CASE ...] [--times N] [--storage sqlite|postgresql] [--kept FILE]

Without a case all are run, each as often as its line below says. What was counted is kept in FILE, if one is named: a
second call adds to it, and `--table` prints what is there.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clocks import clocks
from damages import damages
from deaths import deaths
from disk import disk
from interruptions import signals
from kills import kills, many
from partitions import partitions
from places import Place, place
from restarts import restarts
from starts import starts
from stops import stops
from strange import strange
from tally import Tally, keep, kept, table

SQLITE, SERVER, BOTH = ("sqlite",), ("postgresql",), ("sqlite", "postgresql")


class Case(NamedTuple):
    """What is done, how often if nobody says, and in which storages."""

    do: Callable[[Place, int, Tally], None]
    times: int
    storages: tuple[str, ...]


CASES = {
    "kills": Case(kills, 20, BOTH),
    "many-kills": Case(many, 100, BOTH),
    "starts": Case(starts, 20, BOTH),
    "stops": Case(stops, 4, BOTH),
    "disk": Case(disk, 3, SQLITE),
    "deaths": Case(deaths, 1, SQLITE),
    "signals": Case(signals, 20, SQLITE),
    "clocks": Case(clocks, 2, BOTH),
    "corruptions": Case(damages, 2, SQLITE),
    "server": Case(restarts, 4, SERVER),
    "partition": Case(partitions, 2, SERVER),
    "results": Case(strange, 1, BOTH),
}


def done(name: str, storage: str, times: int) -> Tally:
    """Do one case in one storage."""
    tally = Tally(name, storage)
    try:
        with place(storage) as where:
            CASES[name].do(where, times, tally)
    except SystemExit:  # a termination
        tally.notes.append("cut short: what it had counted by then")
    except Exception as error:  # the others are done all the same
        traceback.print_exc()
        tally.check("the case itself", holds=False, note=repr(error))
    return tally


def main() -> None:
    """Do the cases that were asked for; print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    options.add_argument("--times", type=int)
    options.add_argument("--storage", choices=BOTH)
    options.add_argument("--kept", type=Path)
    options.add_argument("--table", action="store_true", help="print what is kept, and do nothing")
    given = options.parse_args()
    if strange := [each for each in given.cases if each not in CASES]:
        options.error(f"no case {', '.join(strange)}; allowed: {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts with `&` ignore it
    found = kept(given.kept) if given.table and given.kept else []
    for name in given.cases or ([] if given.table else CASES):
        for storage in [each for each in CASES[name].storages if given.storage in (None, each)]:
            found.append(done(name, storage, CASES[name].times if given.times is None else given.times))
            print(f"{' | '.join(found[-1].row())}", flush=True)
            if given.kept:
                keep(given.kept, found[-1])
    print(f"\n{table(found)}")


if __name__ == "__main__":
    main()
