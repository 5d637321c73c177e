"""Workers that begin at once where no study is yet."""

from __future__ import annotations

from ground import ground, trained
from kills import TEAM
from places import Place
from tally import Tally


def starts(place: Place, times: int, tally: Tally) -> None:
    """Start four workers at once on a storage that is not there."""
    for _ in range(times):
        with ground(place.new(), trained(4)) as here:
            team = [here.fork() for _ in range(TEAM)]
            codes = [each.ended() for each in team]
            tally.check("no worker dies", codes == [0] * TEAM, f"{codes} {[each.said[-400:] for each in team]}")
            numbers = [each.number for each in here.trials()]
            tally.check("numbers without a gap", numbers == [*range(len(numbers))], str(numbers))
            tally.check("total exact", here.counted() == 4, str(here.counted()))
        tally.times += 1
