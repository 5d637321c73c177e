"""How well ten measured networks of one's choice put all networks of a space in order, on a device that is new.

NAS-Bench-201 (Dong and Yang 2020): 15,625 cells and their measured latency on two devices. What is learnt are the
seconds of an operator of each kind and of all else, none negative, by least squares from ten cells. The ten are drawn,
or chosen one by one so that they tell most (D-optimal: each is the one of 2,000 drawn cells about which the ones before
it say least). Spearman's rank correlation over all cells, 20 seeds. Targets: 0.98 on gold_6226, 0.87 on raspi4; a
function of the numbers of operators cannot pass 0.989 and 0.915.

    python studies/benchmarks/new_device.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sidebyside import table

DATA = Path(os.environ.get("ARCHCOST_DATA", Path(__file__).parents[3] / "shared/data")) / "nasbench201/nasbench201.npz"
MEASURED, DRAWN, SEEDS = 10, 2000, 20
TARGETS = {"gold_6226": 0.98, "raspi4": 0.87}
Array = NDArray[np.float64]


def columns(ops: NDArray[np.uint8]) -> Array:
    """Return a one and the numbers of each operator but `none`, for cells of six operators: (n, 5)."""
    counts = [(ops == kind).sum(axis=1) for kind in range(1, int(ops.max()) + 1)]
    return np.column_stack([np.ones(len(ops)), *counts])


def learnt(given: Array, latency: Array) -> Array:
    """Return the coefficients of least squares, of which none but the first, of all else, is negative."""
    free = np.ones(given.shape[1], dtype=bool)
    while True:
        found = np.zeros(given.shape[1])
        found[free] = np.linalg.lstsq(given[:, free], latency, rcond=None)[0]
        negative = (found < 0) & (np.arange(len(found)) > 0)
        if not negative.any():
            return found
        free &= ~negative


def chosen(given: Array, draw: np.random.Generator) -> list[int]:
    """Return cells that together tell most, each the one about which those before it say least."""
    some = draw.choice(len(given), DRAWN, replace=False)
    known, found = 1e-6 * np.eye(given.shape[1]), []
    for _ in range(MEASURED):
        unknown = np.einsum("ij,jk,ik->i", given[some], np.linalg.inv(known), given[some])
        unknown[np.isin(some, found)] = -1.0
        found.append(int(some[unknown.argmax()]))
        known += np.outer(given[found[-1]], given[found[-1]])
    return found


def rank(predicted: Array, measured: Array) -> float:
    """Return Spearman's rank correlation."""
    ranks = np.stack([np.argsort(np.argsort(each)) for each in (predicted, measured)])
    return float(np.corrcoef(ranks)[0, 1])


def main() -> None:
    """Print the table."""
    data = np.load(DATA, allow_pickle=False)
    given, rows = columns(data["ops"]), []
    for device, latency in zip(data["devices"], data["latency_ms"], strict=True):
        limit = rank(given @ learnt(given, latency), latency)
        for how in ("drawn", "chosen"):
            found = []
            for seed in range(SEEDS):
                draw = np.random.default_rng(seed)
                ten = chosen(given, draw) if how == "chosen" else list(draw.choice(len(given), MEASURED, replace=False))
                found.append(rank(given @ learnt(given[ten], latency[ten]), latency))
            target = TARGETS[str(device)]
            verdict = "met" if np.mean(found) >= target else "missed"
            of_all = f"{limit:.3f}"
            rows.append((device, how, f"{np.mean(found):.3f}", f"{min(found):.3f}", of_all, f"{target}: {verdict}"))
    print(table(("device", "ten networks", "rank, mean", "worst seed", "from all cells", "target"), rows))


if __name__ == "__main__":
    main()
