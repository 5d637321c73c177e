"""Whether an ONNX file takes in a plain loop of ONNX Runtime what archcost says of it.

Each network is exported, in float32 and in 8 bits. The loop that anybody would write is a process of its own, which
loads onnxruntime and numpy alone. It and archcost's measurement of the same file take turns: a round is a quarter of a
second of the loop, archcost's profile, and as long of the loop again, whose mean is compared. So a machine whose speed
changes from one minute to the next changes both. The ratio is the median over all rounds; the interval holds the
middle half of them.

    python studies/benchmarks/plain_loop.py [--rounds 30] [--time 0.7]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from sidebyside import machine, milliseconds, table

import archcost

NETWORKS: Final = ("resnet-20", "nin-cifar10", "fractalnet-20")
DTYPES: Final = ("float32", "int8")
WITHIN: Final = 0.05

SLICE_S: Final = 0.25

LOOP: Final = """
import sys, time
from statistics import median
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
x = numpy.random.default_rng(0).standard_normal([1, *given.shape[1:]], dtype=numpy.float32)
for line in sys.stdin:
    took, end = [], time.perf_counter() + float(line)
    while time.perf_counter() < end:
        begun = time.perf_counter()
        session.run(None, {given.name: x})
        took.append(time.perf_counter() - begun)
    print(median(took[len(took) // 6:]), flush=True)
"""


@contextmanager
def loop(path: Path) -> Iterator[Callable[[], float]]:
    """Yield what runs a plain loop of a file for a moment, in a process of its own, and returns the median."""
    env = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", LOOP, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:  # noqa: S603  # our own words
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def run() -> float:
            asked.write(f"{SLICE_S}\n")
            asked.flush()
            return float(told.readline())

        run()
        yield run
        asked.close()


def rounds(path: Path, count: int, time_s: float) -> list[tuple[float, float]]:
    """Return the seconds that archcost says and that the loop takes, by turns."""
    found = []
    with loop(path) as plain:
        for _ in range(count):
            before = plain()
            ours = archcost.profile(str(path), runtime="onnxruntime", threads=1, time=time_s, witness=False)
            found.append((ours.latencies[0].median_s, (before + plain()) / 2))
    return found


def row(name: str, dtype: str, found: list[tuple[float, float]]) -> tuple[str, ...]:
    """Return what a file's rounds say."""
    ratios = [ours / plain for ours, plain in found]
    low, middle, high = quantiles(ratios, n=4)
    times = (milliseconds(median(side)) for side in zip(*found, strict=True))
    verdict = "met" if abs(middle - 1) <= WITHIN else "missed"
    return name, dtype, *times, f"{middle:.3f}", f"{low:.3f}-{high:.3f}", verdict


def main() -> None:
    """Print a row for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--time", type=float, default=0.7)
    asked = parser.parse_args()
    print(machine())
    rows = []
    with TemporaryDirectory() as folder:
        for name in NETWORKS:
            for dtype in DTYPES:
                path = Path(folder, f"{name}-{dtype}.onnx")
                words = ("--dtype", dtype) if dtype != "float32" else ("--to", "onnx")
                command = (sys.executable, "-m", "archcost", "export", name, *words, "-o", path)
                subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own words
                rows.append(row(name, dtype, rounds(path, asked.rounds, asked.time)))
    print(table(("network", "dtype", "archcost", "plain loop", "ratio", "middle half", "within 5%"), rows))


if __name__ == "__main__":
    main()
