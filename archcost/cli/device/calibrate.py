"""archcost calibrate: measure a device once, so that latencies can be predicted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from archcost.cli.options import Read, debugged
from archcost.cli.terminal import progress
from archcost.errors import visible
from archcost.units import counted_words, parse_duration, percent

if TYPE_CHECKING:
    from archcost.latency.prediction.predictor import Calibration


@click.command()
@click.option("--target", default="cpu", show_default=True, help="What to calibrate.")
@click.option("--runtime", default="eager", show_default=True, help="What runs the networks.")
@click.option("--threads", type=int, help="Threads; the physical cores.")
@click.option("--batch", type=int, default=1, show_default=True, help="Examples in a call.")
@click.option(
    "--time", "time_s", type=Read("duration", parse_duration), default="5m", show_default=True, help="About how long."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
def calibrate(target: str, runtime: str, threads: int | None, batch: int, time_s: float, as_json: bool) -> None:
    """Fit the predictor of latencies here: operators and networks of all families are measured.

    What is learnt is kept in the cache folder for this device, these versions and this way to run; 'archcost predict'
    uses it. The longer it may take, the better it predicts.
    """
    # imported when the command runs: they load pydantic and torch
    from archcost.profiling.prediction.calibrate import calibrated

    found = calibrated(target, runtime, batch, threads, time_s, progress)
    click.echo(json.dumps(_as_json(found), indent=1) if as_json else "\n".join(map(visible, _lines(found))))


def _as_json(found: Calibration) -> dict[str, object]:
    key, errors = found.key, found.held_out
    return {
        "target": key.target,
        "runtime": key.runtime,
        "batch": key.batch,
        "dtype": key.dtype,
        "threads": key.threads,
        "fingerprint": key.fingerprint,
        "versions": dict(key.versions),
        "operators": found.operators,
        "networks": found.networks,
        "kernel_s": found.kernel_s,
        "measured": found.measured.isoformat(),
        "held_out": None if errors is None else errors.to_dict(),
    }


def _lines(found: Calibration) -> Iterator[str]:
    yield f"calibrated {found.key.way}"
    operators, networks = (
        counted_words(n, what) for n, what in ((found.operators, "operator"), (found.networks, "network"))
    )
    yield f"  measured     {operators} of {len(found.kinds)} kinds, and {networks} of five families"
    errors = found.held_out
    if errors is None:
        yield "  held out     too few networks to say how far predictions are off; allow a longer --time"
        return
    yield f"  held out     {percent(errors.within_10)} of networks within 10%, {percent(errors.within_5)} within 5%"
    yield f"               mean error {percent(errors.mean)}, nine in ten within a factor of {errors.apart:.3f}"
    yield "  next         archcost predict MODEL" + _options(found)


def _options(found: Calibration) -> str:
    key = found.key
    given = ((f" --target {key.target}", key.target != "cpu"), (f" --runtime {key.runtime}", key.runtime != "eager"))
    more = ((f" --batch {key.batch}", key.batch != 1), (f" --threads {key.threads}", True))
    return "".join(text for text, needed in (*given, *more) if needed)
