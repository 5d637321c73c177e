"""How much training an interrupted study loses: every trial from its beginning, or from its last epoch on.

A study is interrupted by Ctrl-C at moments drawn with a fixed seed, and goes on each time. What its trials had trained
when they were interrupted is what was lost before there were checkpoints; of it, what no later trial went on from is
lost now.

    python studies/benchmarks/interruption.py [--interruptions 6] [--every 25]
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from sidebyside import table

from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find
from archcost.study.records.trials import Trial

STUDY = """
models: [{family: bottleneck, block: basic, depths: [2, 2], widths: {scale: [16, 32], by: {choice: [1, 1.5, 2]}}}]
data: {name: fashion-mnist, examples: 6000}
objectives: [{error: min}, {latency: min, threads: 1, time: 2}]
fit: {epochs: 9}
search: {trials: 3}
confirm: {members: 0}
"""
RUN = (sys.executable, "-m", "archcost", "study", "run", "study.yaml", "--workers", "1")


def stored(folder: Path) -> Stored:
    """Return the study in a folder."""
    return find(address("study.db", folder))


def interrupted(folder: Path, after_s: float) -> bool:
    """Run a study and interrupt it after some seconds; return False if it ended before."""
    with subprocess.Popen(RUN, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # noqa: S603  # our own words
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        said = process.communicate()[1].decode()
    if process.returncode not in (0, 130):
        raise SystemExit(said)
    return process.returncode == 130


def seconds(every: tuple[Trial, ...]) -> tuple[float, float, float]:
    """Return the seconds of all trials, of those that were interrupted, and of these what was gone on from."""
    ended = [(each.fate, each.ended) for each in every if each.ended]
    lost = sum(each.seconds for fate, each in ended if fate == "interrupted")
    return sum(each.seconds for _, each in ended), lost, sum(each.before_s for _, each in ended)


def main() -> None:
    """Print what was lost without and with checkpoints, as seconds and as a share of what interrupted trials took."""
    options = argparse.ArgumentParser()
    options.add_argument("--interruptions", type=int, default=6)
    options.add_argument("--every", type=float, default=25.0, help="seconds of a run, on average")
    given = options.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(STUDY, "utf-8")
        moments = (chance.uniform(0.6, 1.4) * given.every for _ in range(given.interruptions))
        count = sum(interrupted(folder, each) for each in moments)
        subprocess.run(RUN, cwd=folder, check=True, capture_output=True)  # noqa: S603  # our own words
        trials = stored(folder).trials()
    whole, lost, kept = seconds(trials)
    fates = [each.fate for each in trials]
    print(f"{count} interruptions, {fates.count('interrupted')} of a trial; {whole:.0f} s in trials\n")
    rows = [
        ("from its beginning", f"{lost:.0f} s", "100%"),
        ("from its last epoch", f"{lost - kept:.0f} s", f"{(lost - kept) / lost:.0%}" if lost else "-"),
    ]
    print(table(("an interrupted trial goes on", "lost", "of what it had trained"), rows))


if __name__ == "__main__":
    main()
