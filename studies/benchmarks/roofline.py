"""Do the peaks of this processor repeat, and what do others say of them? A/A, and two witnesses.

A/A: pairs of measurements, one after the other, and how far apart each value is within a pair. Witnesses: the products
that the clock, the vector units and their width allow at most (given as --ghz, --lanes, --units), and, if it is on the
path, mbw, which copies arrays by memcpy.

    python studies/benchmarks/roofline.py [--pairs 10] [--threads 1] [--ghz 2.8] [--lanes 16] [--units 2]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from statistics import median

from sidebyside import machine, table

from archcost.latency import targets
from archcost.latency.lock import held
from archcost.latency.roofline.roof import FLOPS_PER_MAC, Peak, Peaks

GIGA = 1e9
TARGET = 0.03
_MIB = 64  # of each of mbw's two arrays
_RUNS = 5


def named(peaks: Peaks) -> Iterator[tuple[str, Peak | None]]:
    """Yield every peak with its name and unit."""
    yield from ((f"{each.dtype}, GFLOP/s", each.peak) for each in peaks.flops)
    yield from ((f"{each.name}, GB/s", each.peak) for each in peaks.levels)
    yield "call, ns", peaks.call_s


def pairs(count: int, threads: int) -> list[tuple[dict[str, Peak | None], dict[str, Peak | None]]]:
    """Return pairs of measurements, each alone on the processor."""
    measure = targets.find("cpu").peaks
    assert measure is not None
    found = []
    for _ in range(count):
        with held("cpu"):
            found.append((dict(named(measure(threads))), dict(named(measure(threads)))))
    return found


def repeats(count: int, threads: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each peak: its values, and how far the two of a pair are apart."""
    made = pairs(count, threads)
    for name in made[0][0]:
        both = [(a[name], b[name]) for a, b in made]
        apart = sorted(2 * abs(a.value - b.value) / (a.value + b.value) for a, b in both if a and b)
        known = [each for pair in both for each in pair if each]
        values = sorted(each.value * (GIGA if name == "call, ns" else 1 / GIGA) for each in known)
        kernels = Counter(each.by for each in known)
        if not apart:
            yield name, "not told apart", "", "", "", ""
            continue
        within = f"{sum(each <= TARGET for each in apart)} of {len(apart)}"
        span = f"{values[0]:.4g} to {values[-1]:.4g}"
        yield name, f"{median(values):.4g}", span, f"{median(apart):.1%}", within, kernels.most_common(1)[0][0]


def memcpy() -> str:
    """Return what mbw's memcpy moves on one thread, read and written, the best of its runs, if it is there."""
    if (mbw := shutil.which("mbw")) is None:
        return "mbw is not on the path"
    command = [mbw, "-t0", "-n", str(_RUNS), str(_MIB)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # numbers alone
    rates = [float(found) for found in re.findall(r"Copy: ([0-9.]+) MiB/s", done.stdout)]
    return f"{2 * max(rates) * 2**20 / GIGA:.1f} GB/s"  # it counts each byte once


def main() -> None:
    """Print the A/A table and the witnesses."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=10)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--ghz", type=float, default=2.8)
    options.add_argument("--lanes", type=int, default=16)
    options.add_argument("--units", type=int, default=2)
    given = options.parse_args()
    print(f"{machine()}; peaks on {given.threads} thread(s), {given.pairs} pairs\n")
    heads = (
        "peak",
        "median",
        "all values",
        "apart in a pair, median",
        f"pairs within {TARGET:.0%}",
        "kernel, most often",
    )
    print(table(heads, list(repeats(given.pairs, given.threads))))
    most = given.ghz * given.lanes * given.units * FLOPS_PER_MAC * given.threads
    print(f"\nfloat32 at most, {given.ghz} GHz, {given.lanes} lanes, {given.units} units: {most:.0f} GFLOP/s")
    print(f"memcpy of {_MIB} MiB by mbw, one thread, read and written: {memcpy()}")


if __name__ == "__main__":
    main()
