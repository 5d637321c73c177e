"""Whether an ONNX file takes in a plain loop of ONNX Runtime what archcost says of it.

Each network is exported, in float32 and in 8 bits. A round measures each file twice, in random order and in processes
of their own: by `archcost profile FILE.onnx`, and by the loop that anybody would write, which loads onnxruntime and
numpy alone. The ratio is of the medians over all rounds; the range is that of single rounds.

    python studies/benchmarks/plain_loop.py [--rounds 5] [--time 2]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from sidebyside import machine, milliseconds, table

NETWORKS: Final = ("resnet-20", "nin-cifar10", "fractalnet-20")
DTYPES: Final = ("float32", "int8")
WITHIN: Final = 0.05

LOOP: Final = """
import sys, time
from statistics import median
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
x = numpy.random.default_rng(0).standard_normal([1, *given.shape[1:]], dtype=numpy.float32)
took, end = [], time.perf_counter() + 1.2 * float(sys.argv[2])
while time.perf_counter() < end:
    begun = time.perf_counter()
    session.run(None, {given.name: x})
    took.append(time.perf_counter() - begun)
print(median(took[len(took) // 6:]))
"""


def archcost(*words: str) -> str:
    """Return what a command of archcost writes."""
    command = [sys.executable, "-m", "archcost", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # our own words


def profiled_s(path: Path, time_s: float) -> float:
    """Return the median of archcost's profile of a file."""
    asked = ("--runtime", "onnxruntime", "--threads", "1", "--time", f"{time_s}s", "--no-witness", "--format", "json")
    return float(json.loads(archcost("profile", str(path), "--batch", "1", *asked))["latencies"][0]["median_s"])


def looped_s(path: Path, time_s: float) -> float:
    """Return the median of a plain loop."""
    command = [sys.executable, "-c", LOOP, str(path), str(time_s)]
    env = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)  # noqa: S603


def main() -> None:
    """Print a row for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--time", type=float, default=2.0)
    asked = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as folder:
        files = {(name, dtype): Path(folder, f"{name}-{dtype}.onnx") for name in NETWORKS for dtype in DTYPES}
        for (name, dtype), path in files.items():
            archcost("export", name, *(("--dtype", dtype) if dtype != "float32" else ("--to", "onnx")), "-o", str(path))
        found: dict[tuple[str, str], tuple[list[float], list[float]]] = {key: ([], []) for key in files}
        draw = random.Random(0)
        for _ in range(asked.rounds):
            sides = [(key, side) for key in files for side in (0, 1)]
            for key, side in draw.sample(sides, len(sides)):
                found[key][side].append((profiled_s, looped_s)[side](files[key], asked.time))
    rows = []
    for (name, dtype), (ours, plain) in found.items():
        ratio, each = median(ours) / median(plain), [one / other for one, other in zip(ours, plain, strict=True)]
        verdict = "met" if abs(ratio - 1) <= WITHIN else "missed"
        range_words = f"{min(each):.3f}-{max(each):.3f}"
        rows.append(
            (name, dtype, *map(milliseconds, (median(ours), median(plain))), f"{ratio:.3f}", range_words, verdict)
        )
    print(table(("network", "dtype", "archcost", "plain loop", "ratio", "of rounds", "within 5%"), rows))


if __name__ == "__main__":
    main()
