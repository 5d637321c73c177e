"""Does archcost count what its peers miss, at a tenth of fvcore's cost? Awkward modules, side by side; times; memory.

Counts: the modules of awkward.py and unusual.py, true MACs derived by hand; right is within 1%. Every counter is called
as its documentation says, in evaluation mode without gradients, on a module made anew for it. Times: interleaved, one
thread. Giant: a decoder of 70 billion parameters on meta, in a process of its own. ptflops, torchinfo and thop are no
dependencies: `make bench-peers` runs this in an environment that has them; those that are missing are left out.

    python studies/benchmarks/peers.py [--counts] [--speed] [--giant]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import io
import json
import re
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module, metadata
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple, TypeAlias

import torch
from awkward import CASES as AWKWARD
from awkward import Case, Given
from networks import Decoder, MobileNet, Sizes, chain, chain_macs, encoder, encoder_macs, mobilenet_macs, resnet50_macs
from sidebyside import Times, interleaved, machine, milliseconds, table
from torch.utils.flop_counter import FlopCounterMode
from twins import ResNet
from unusual import CASES as UNUSUAL

import archcost
from archcost.counting import dispatch, passes
from archcost.nets import call

CASES: Final = (*AWKWARD, *UNUSUAL)
WITHIN: Final = 0.01
CHEAPER: Final = 10
GIANT_BYTES: Final = 2 << 30
STEPS: Final = 512

Count: TypeAlias = Callable[[Given], float]
"""A call -> the MACs a counter sees; raises what the counter raises."""


class FailedError(Exception):
    """A counter gave no number; its text is the name of the error it told of."""


def by_archcost(given: Given) -> float:
    """Return archcost's count of a module's call."""
    return archcost.profile(given.module, dict(given.kwargs) or given.args, latency=False, witness=False).macs


def by_fvcore(given: Given) -> float:
    """Return fvcore's total as it comes, without handles; it takes no inputs by name."""
    analysis = import_module("fvcore.nn").FlopCountAnalysis(given.module, given.args)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return float(analysis.total())


def by_torch(given: Given) -> float:
    """Return half of what torch's FlopCounterMode counts, as it takes a multiply-accumulate for two."""
    with FlopCounterMode(display=False) as counter:
        given.module(*given.args, **given.kwargs)
    return counter.get_total_flops() / 2


def by_ptflops(given: Given) -> float:
    """Return ptflops' MACs; it takes one input, or several by name, and prints its errors."""
    named = dict(given.kwargs)
    if len(given.args) > 1:
        named |= dict(zip(signature(given.module.forward).parameters, given.args, strict=False))
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        macs, _ = import_module("ptflops").get_model_complexity_info(
            given.module,
            (1,),
            print_per_layer_stat=False,
            as_strings=False,
            input_constructor=lambda _: named or given.args[0],
        )
    if macs is None:
        error = re.search(r"<class '(?:.*\.)?(\w+)'>", told.getvalue())
        raise FailedError(error[1] if error else "None")
    return float(macs)


def by_torchinfo(given: Given) -> float:
    """Return torchinfo's mult-adds."""
    inputs = dict(given.kwargs) or list(given.args)
    return float(import_module("torchinfo").summary(given.module, input_data=inputs, verbose=0).total_mult_adds)


def by_thop(given: Given) -> float:
    """Return thop's MACs; it takes no inputs by name."""
    return float(import_module("thop").profile(given.module, given.args, verbose=False)[0])


COUNTERS: Final[Mapping[str, tuple[str, str, Count]]] = {
    "archcost": ("archcost", "MACs", by_archcost),
    "fvcore": ("fvcore", "flops, a multiply-accumulate is one; norms and adaptive pools too", by_fvcore),
    "FlopCounterMode": ("torch", "flops, a multiply-accumulate is two: halved here", by_torch),
    "ptflops": ("ptflops", "MACs of an example; biases, norms, pools, activations too", by_ptflops),
    "torchinfo": ("torchinfo", "mult-adds; biases and norms too", by_torchinfo),
    "thop": ("thop", "MACs; norms, average pools and some activations too", by_thop),
}
"""By name: the package, what its figure is, and how it counts."""


def present() -> dict[str, tuple[str, str, Count]]:
    """Return the counters whose package can be imported here; one may need what this Python no longer has."""
    found = {}
    for name, counter in COUNTERS.items():
        with contextlib.suppress(ImportError):
            import_module(counter[0])
            found[name] = counter
    return found


def seen(case: Case, count: Count) -> float | str:
    """Return the MACs a counter gives for a module made anew, or the name of its error."""
    torch.manual_seed(0)
    given = case.make()
    if not isinstance(given.module, torch.jit.ScriptModule):
        given.module.eval()
    try:
        with torch.no_grad():
            return count(given)
    except FailedError as error:
        return str(error)
    except Exception as error:  # whatever it fails with is its result
        return type(error).__name__


def share(value: float | str, macs: int) -> str:
    """Return what a cell of the table says."""
    if isinstance(value, str):
        return value
    percent = 100 * value / macs
    return "ok" if abs(value / macs - 1) <= WITHIN else f"{percent:.3g}%" if percent < 100 else f"{percent:.1f}%"


def missed(cells: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return the cases a counter sees nothing of, too little of, too much of, and those it fails on."""
    kinds: dict[str, list[str]] = {"nothing": [], "less": [], "more": [], "fails": []}
    for name, cell in cells.items():
        if cell.endswith("%"):
            percent = float(cell[:-1])
            kinds["nothing" if percent == 0 else "less" if percent < 100 else "more"].append(name)
        elif cell != "ok":
            kinds["fails"].append(name)
    nothing, less, more, fails = ("; ".join(names) or "-" for names in kinds.values())
    return nothing, less, more, fails


def counts() -> None:
    """Print what the counters are, what they count of every case, and what each misses."""
    counters = present()
    print(
        table(("counter", "version", "its figure"), ((n, metadata.version(p), w) for n, (p, w, _) in counters.items()))
    )
    cells: dict[str, dict[str, str]] = {name: {} for name in counters}
    rows = []
    for case in CASES:
        for name, (_, _, count) in counters.items():
            torch.compiler.reset()
            cells[name][case.name] = share(seen(case, count), case.macs)
        rows.append((case.name, f"{case.macs:,}", *(cells[name][case.name] for name in counters)))
    right = [sum(cell == "ok" for cell in cells[name].values()) for name in counters]
    rows.append((f"right of {len(CASES)}", "", *right))
    print()
    print(table(("module", "true MACs", *counters), rows))
    print()
    heads = ("counter", "sees nothing of", "too little of", "too much of", "fails on")
    print(table(heads, ((name, *missed(cells[name])) for name in counters)))


class Timed(NamedTuple):
    """A network that counting is timed on."""

    name: str
    make: Callable[[], Given]
    macs: int


def image(module: torch.nn.Module, *shape: int) -> Given:
    """Return the call of a module in evaluation mode."""
    return Given(module.eval(), (torch.randn(1, *shape),))


TIMED: Final = (
    Timed("ResNet-50", lambda: image(ResNet(), 3, 224, 224), resnet50_macs()),
    Timed("MobileNet", lambda: image(MobileNet(), 3, 224, 224), mobilenet_macs()),
    Timed("1000 convolutions", lambda: image(chain(1000), 16, 16, 16), chain_macs(1000)),
    Timed(
        "TransformerEncoder, 6 layers",
        lambda: image(encoder(6, 512, 8, 2048), 128, 512),
        encoder_macs(6, 512, 2048, 128),
    ),
)
CHAINS: Final = (250, 500, 1000, 2000)


def by_pass(given: Given) -> float:
    """Return the count alone, of a copy without weights: no table of costs."""
    return dispatch.macs(passes.forward(call.Call(given.module, given.args, given.kwargs)).calls)


def by_first_pass(given: Given) -> float:
    """Return the same as the first count of a process gives it: no kind of call is known yet."""
    dispatch.remembered.cache_clear()
    return by_pass(given)


def on_meta(given: Given) -> Given:
    """Return the same call of a copy without data."""
    module = copy.deepcopy(given.module).to("meta")
    return Given(module, tuple(arg.to("meta") if isinstance(arg, torch.Tensor) else arg for arg in given.args))


def sides(network: Timed) -> dict[str, Callable[[], float]]:
    """Return every way to count a network that is here, each on a copy of its own."""
    given = network.make()
    hollow = on_meta(given)
    found = {
        "archcost, the count alone": lambda: by_pass(given),
        "the same, the first of a process": lambda: by_first_pass(given),
    }
    for name, (_, _, count) in present().items():
        own = Given(copy.deepcopy(given.module), given.args)
        found[f"{name}.profile" if name == "archcost" else name] = lambda count=count, own=own: count(own)
        if name == "FlopCounterMode":
            found[f"{name} on meta"] = lambda: by_torch(hollow)
    exact = {name: found[name]() for name in list(found)[:3]}
    assert set(exact.values()) == {network.macs}, (network.name, exact)
    return found


def speed() -> None:
    """Print the times of counting, whether archcost is ten times cheaper than fvcore, and its time a convolution."""
    print("Times on a shared machine: medians of interleaved calls.")
    print()
    gc.collect()
    gc.freeze()  # as count_vs_trace.py: a full collection would walk all that torch has loaded
    ways: list[str] = []
    rows, ratios = [], []
    for network in TIMED:
        by_name = sides(network)
        ways = list(by_name)
        times = interleaved(list(by_name.values()), rounds=15, calls=1, warmup=1)
        rows.append((network.name, *(milliseconds(times.median_s(side)) for side in range(len(ways)))))
        ratios += list(compared(network.name, ways, times))
    print(table(("network", *ways), rows))
    print()
    print(table(("network", "by", "times cheaper than fvcore (rounds)", f"target: {CHEAPER}"), ratios))
    print()
    print(growth())


def compared(network: str, ways: Sequence[str], times: Times) -> Iterator[tuple[object, ...]]:
    """Yield how many times cheaper than fvcore archcost's ways are."""
    for side, name in enumerate(ways[:3]):
        ratio = times.ratio(ways.index("fvcore"), side)
        yield network, name, ratio, "met" if ratio.value >= CHEAPER else "missed"


def growth() -> str:
    """Return the table of the time a convolution takes to count in chains of more and more."""
    chains = [image(chain(length), 16, 16, 16) for length in CHAINS]
    times = interleaved([lambda given=given: by_pass(given) for given in chains], rounds=15, calls=1)
    each = [times.median_s(side) / length for side, length in enumerate(CHAINS)]
    rows = [
        (length, milliseconds(times.median_s(side)), milliseconds(each[side])) for side, length in enumerate(CHAINS)
    ]
    spread = (
        f"From {CHAINS[0]} to {CHAINS[-1]}, the time a convolution differs by a factor of {max(each) / min(each):.2f}."
    )
    return table(("convolutions", "archcost, the count alone", "a convolution"), rows) + "\n\n" + spread


def giant() -> None:
    """Print what counting the giant takes, in a process of its own, and whether its counts are the closed forms."""
    command = [sys.executable, str(Path(__file__).resolve()), "--alone"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # this very file
    found = json.loads(done.stdout)
    sizes = Sizes()
    rows = [
        ("parameters", f"{found['params']:,}", f"{sizes.params:,}", verdict(found["params"] == sizes.params)),
        ("MACs", f"{found['macs']:,}", f"{sizes.macs(STEPS):,}", verdict(found["macs"] == sizes.macs(STEPS))),
        (
            "peak memory",
            gibibytes(found["peak"]),
            f"under {gibibytes(GIANT_BYTES)}",
            verdict(found["peak"] < GIANT_BYTES),
        ),
        ("before the module was made", gibibytes(found["before"]), "", ""),
        ("weights, had they been allocated", gibibytes(4 * found["params"]), "", ""),
        ("made on meta", f"{found['made']:.2g} s", "", ""),
        ("archcost.profile", f"{found['counted']:.2g} s", "", ""),
    ]
    print(table((f"80 layers, 1 x {STEPS} tokens", "found", "closed form or target", ""), rows))


def verdict(holds: bool) -> str:
    """Return whether a target is met, as the tables say it."""
    return "met" if holds else "missed"


def gibibytes(size: float) -> str:
    """Return bytes as the table shows them."""
    return f"{size / 2**30:.3g} GiB"


def peak_bytes() -> int:
    """Return the most memory this process has held; Linux gives kibibytes, macOS bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def alone() -> None:
    """Print, as JSON, the giant's counts and what they took: peak memory in bytes, seconds."""
    before, begin = peak_bytes(), perf_counter()
    with torch.device("meta"):
        module = Decoder(Sizes())
        tokens = torch.zeros(1, STEPS, dtype=torch.int64)
    made = perf_counter()
    found = archcost.profile(module.eval(), tokens, latency=False, witness=False)
    took = {"before": before, "peak": peak_bytes(), "made": made - begin, "counted": perf_counter() - made}
    print(json.dumps({"params": found.params, "macs": found.macs, **took}))


def main() -> None:
    """Print the sections asked for, all without a flag; the giant first: a child's peak begins at its parent's."""
    sections = {"giant": giant, "counts": counts, "speed": speed}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, section in sections.items():
        parser.add_argument(f"--{name}", action="store_true", help=section.__doc__)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = vars(parser.parse_args())
    if asked.pop("alone"):
        return alone()
    warnings.simplefilter("ignore")  # the counters and quantization warn of what torch has deprecated
    torch.set_num_threads(1)
    print(machine())
    if missing := [name for name in COUNTERS if name not in present()]:
        print(f"Left out, as they are not installed here (`make bench-peers` has them): {', '.join(missing)}")
    for name, section in sections.items():
        if asked[name] or not any(asked.values()):
            print()
            section()
    return None


if __name__ == "__main__":
    main()
