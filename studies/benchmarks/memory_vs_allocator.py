"""Does counted memory equal what torch's own allocator gives out? Target: within 10% for at least eight networks.

torch's profiler records every block that the CPU's allocator gives out and takes back; the record is replayed address
by address. Three figures, all without the weights, which are the same on both sides and would flatter the ratios:

- inference: the most alive at once in a call, its input with it;
- saved: what is held between forward and backward pass, outputs let go and inputs apart;
- training: the most alive at once in forward and backward pass, with gradients, of which there are none before.

The allocator also gives a kernel what it needs for itself while it runs: oneDNN's reordered copies, im2col. That is in
its figures and in no count; the second table shows how much. One thread, as more would need more of it.

    python studies/benchmarks/memory_vs_allocator.py
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import foreign_nets as foreign
import torch
from sidebyside import machine, table
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from twins import ResNet

import archcost
from archcost.nets import net

WITHIN = 0.1
FIGURES = ("inference", "saved", "training")
MIB = 1 << 20


class Event(NamedTuple):
    """Bytes given out at an address, or taken back where below 0; inside: calls, outermost first: begin and name."""

    at_ns: int
    address: int
    size_bytes: int
    inside: tuple[tuple[int, str], ...]


class Block(NamedTuple):
    """Bytes given out by one event and taken back by another, the last one's number + 1 if never.

    scratch_of: the operator that took them and gave them back before it returned; empty for values.
    """

    size_bytes: int
    born: int
    died: int
    scratch_of: str


class Record(NamedTuple):
    """What the allocator did while something ran."""

    events: int
    blocks: list[Block]

    def alive(self, *, scratch: bool = True) -> list[int]:
        """Return the bytes alive behind every event, with or without what kernels take for themselves."""
        changes = [0] * (self.events + 1)
        for block in self.blocks:
            if scratch or not block.scratch_of:
                changes[block.born] += block.size_bytes
                changes[block.died] -= block.size_bytes
        return list(accumulate(changes[:-1])) or [0]

    def scratch_at_peak(self) -> dict[str, int]:
        """Return what kernels have taken for themselves where most is alive, by operator."""
        alive, found = self.alive(), dict[str, int]()
        peak = alive.index(max(alive))
        for block in self.blocks:
            if block.scratch_of and block.born <= peak < block.died:
                found[block.scratch_of] = found.get(block.scratch_of, 0) + block.size_bytes
        return found


def watched(run: Callable[[], object]) -> Record:
    """Return what the allocator does while `run` runs; what that returns is held to the end."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        held = run()
    record = replayed(sorted(events(profiler.profiler.kineto_results.experimental_event_tree())))
    del held
    return record


def events(tree: Sequence[Any], inside: tuple[tuple[int, str], ...] = ()) -> Iterator[Event]:
    """Yield all that the allocator did in the calls of a tree and in those below them."""
    for node in tree:
        if node.tag == torch._C._profiler._EventType.Allocation:
            yield Event(node.start_time_ns, node.extra_fields.ptr, node.extra_fields.alloc_size, inside)
        yield from events(node.children, (*inside, (node.start_time_ns, node.name)))


def replayed(record: Sequence[Event]) -> Record:
    """Return the blocks of a record, without those that were given out before it began."""
    alive: dict[int, int] = {}
    blocks = []
    for i, event in enumerate(record):
        if event.size_bytes > 0:
            alive[event.address] = i
        elif event.address in alive:
            born = alive.pop(event.address)
            both = [a for a, b in zip(record[born].inside, event.inside, strict=False) if a == b]
            scratch_of = next((name for _, name in both if is_one_operator(name)), "")
            blocks.append(Block(record[born].size_bytes, born, i, scratch_of.removeprefix("aten::")))
    blocks += [Block(record[born].size_bytes, born, len(record), "") for born in alive.values()]
    return Record(len(record), blocks)


@cache
def is_one_operator(name: str) -> bool:
    """Return whether a call is an operator with a kernel, and not one that is composed of others, as linear is."""
    packet = getattr(torch.ops.aten, name.removeprefix("aten::"), None) if name.startswith("aten::") else None
    names = [getattr(packet, overload).name() for overload in packet.overloads()] if packet else []
    names = [each for each in names if torch._C._dispatch_has_kernel(each)]
    composed = (torch._C._dispatch_has_kernel_for_dispatch_key(each, "CompositeImplicitAutograd") for each in names)
    return bool(names) and not any(composed)


def instrument() -> list[str]:
    """Return where a record is not as worked out by hand: MiB at the peak, there without scratch, and at the end."""
    weight, conv = nn.Parameter(torch.ones(MIB // 4)), nn.Conv2d(8, 8, 3, padding=1, bias=False, dtype=torch.float64)

    def tensors() -> Tensor:
        first, _second = torch.empty(MIB), torch.empty(MIB // 2)
        del first
        return torch.empty(MIB // 4)

    def chain() -> object:
        x = torch.ones(MIB // 4)
        return x, x.sigmoid().tanh().exp()

    def saved() -> object:
        return (torch.ones(MIB // 4) * weight).sigmoid().grad_fn  # keeps the factor and the sigmoid, not the product

    def columns() -> object:  # float64 has no oneDNN: im2col takes 9 times x, beside x and the result
        x = torch.ones(1, 8, 64, 256, dtype=torch.float64)
        return x, conv(x)

    wrong = []
    for run, expected in ((tensors, (6, 6, 1)), (chain, (3, 3, 2)), (saved, (3, 3, 2)), (columns, (11, 2, 2))):
        record = watched(run)
        seen = (max(record.alive()), max(record.alive(scratch=False)), record.alive()[-1])
        if seen != tuple(n * MIB for n in expected):
            wrong.append(f"{run.__name__}: {expected} MiB, seen {seen} bytes")
    return wrong


class Case(NamedTuple):
    """A network, what makes its input at a batch, and how it is run: batches and types, with what is unusual."""

    network: str
    make: Callable[[], nn.Module]
    given: Callable[[int], Tensor]
    more: tuple[tuple[int, str], ...] = ()


def own(name: str, *overrides: str) -> nn.Module:
    """Return one of archcost's networks, with no path dropped."""
    return net.build(archcost.load(name, overrides).graph)


def images(side: int) -> Callable[[int], Tensor]:
    """Return what makes (B, 3, side, side)."""
    return lambda batch: torch.randn(batch, 3, side, side)


def words(vocabulary: int, steps: int) -> Callable[[int], Tensor]:
    """Return what makes (B, steps) tokens."""
    return lambda batch: torch.randint(vocabulary, (batch, steps))


LOW, LAST, SLOW = ((1, "bfloat16"),), ((1, "float32, channels_last"),), ((8, "float32, no fast path"),)
CASES = (
    Case("ResNet-50, hand-written", ResNet, images(224)),
    Case("MobileNetV2", foreign.mobilenet, images(224), LAST),
    Case("VGG-16", foreign.vgg, images(128), LAST),
    Case("DenseNet-121", foreign.densenet, images(128)),
    Case("U-Net", foreign.UNet, images(128)),
    Case("ConvNeXt", foreign.convnext, images(224)),
    Case("MLP-Mixer", lambda: foreign.Mixer(224), images(224), LOW),
    Case("TransformerEncoder", foreign.encoder, lambda batch: torch.randn(batch, 256, 256), SLOW),
    Case("GPT-like decoder", foreign.Decoder, words(8000, 256), LOW),
    Case("LSTM language model", foreign.LSTM, words(10_000, 64), LOW),
    Case("FractalNet-20, archcost's", lambda: own("fractalnet-20"), images(32), LOW),
    Case("HORNN, archcost's", lambda: own("hornn-3", "input.steps=35"), words(10_000, 35), LOW),
)


class Figure(NamedTuple):
    """Bytes as counted, as the allocator has them, and there without what kernels take for themselves, `scratch`."""

    counted_bytes: int
    seen_bytes: int
    values_bytes: int
    scratch: dict[str, int]

    def ratio(self, *, scratch: bool = True) -> float:
        """Return counted over seen."""
        return self.counted_bytes / (self.seen_bytes if scratch else self.values_bytes)

    def holds(self, *, scratch: bool = True) -> bool:
        """Return whether the two are close enough."""
        return abs(self.ratio(scratch=scratch) - 1) <= WITHIN


class Row(NamedTuple):
    """The three figures of a network at a batch and type."""

    network: str
    batch: int
    how: str
    figures: tuple[Figure, ...]


def measured(case: Case, batch: int, how: str) -> Row:
    """Return what is counted, and what the allocator does in a call, in a forward pass and in a training step."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if "bfloat16" in how else torch.float32
    layout = torch.channels_last if "channels_last" in how else torch.preserve_format
    module, x = case.make().to(dtype, memory_format=layout), case.given(batch)
    x = x.to(dtype if x.is_floating_point() else x.dtype, memory_format=layout)
    account = archcost.profile(module, x, latency=False, witness=False).account
    training = account.training
    assert training is not None
    assert training.saved_bytes is not None
    assert training.peak_bytes is not None
    torch.backends.mha.set_fastpath_enabled("no fast path" not in how)
    call, forward, step = records(module, x)
    held_bytes = forward.alive()[-1] - x.nbytes
    inference = peak(account.peak_bytes - account.weights_bytes, call)
    saved = Figure(training.saved_bytes, held_bytes, held_bytes, {})
    return Row(case.network, batch, how, (inference, saved, peak(training.peak_bytes - account.weights_bytes, step)))


def peak(counted_bytes: int, record: Record) -> Figure:
    """Return the figure of the most that was alive at once."""
    return Figure(counted_bytes, max(record.alive()), max(record.alive(scratch=False)), record.scratch_at_peak())


def records(module: nn.Module, x: Tensor) -> tuple[Record, Record, Record]:
    """Return what the allocator does in a call, in training's forward pass, its output let go, and in a whole step."""

    def call() -> object:
        given = x.clone()
        with torch.no_grad():
            return given, module(given)

    def forward() -> object:
        given = x.clone()
        return given, module(given).grad_fn

    def step() -> object:
        given = x.clone()
        module(given).sum().backward()
        return given

    module.eval()
    called = watched(call)
    module.train()
    return called, watched(forward), watched(step)


def megabytes(size_bytes: int) -> str:
    """Return bytes as the tables show them."""
    return f"{size_bytes / 1e6:.2f}"


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of all figures, and that of those which differ too much, with the scratch there."""
    heads = ["network", "batch", "dtype"]
    sides = [f"{name}: {side}" for name in FIGURES for side in ("counted, MB", "allocator, MB", "ratio")]
    lines, wrong = [], []
    for row in rows:
        lines.append([row.network, row.batch, row.how])
        for name, found in zip(FIGURES, row.figures, strict=True):
            ratio = f"{found.ratio():.3f}"
            lines[-1] += [megabytes(found.counted_bytes), megabytes(found.seen_bytes), ratio]
            if not found.holds():
                scratch = max(found.scratch, key=lambda each, of=found.scratch: of[each], default="none")
                sizes = (megabytes(sum(found.scratch.values())), scratch)
                wrong.append([*lines[-1][:3], name, ratio, *sizes, f"{found.ratio(scratch=False):.3f}"])
    yield table([*heads, *sides], lines)
    yield table([*heads, "figure", "ratio", "scratch in it, MB", "most of it", "ratio without scratch"], wrong)


def verdict(rows: Sequence[Row]) -> str:
    """Return how many networks hold in all their rows, with scratch and without, and how far off those without are."""
    names = {row.network for row in rows}
    within, without = (
        names - {row.network for row in rows for found in row.figures if not found.holds(scratch=scratch)}
        for scratch in (True, False)
    )
    ratios = [found.ratio(scratch=False) for row in rows if row.network in without for found in row.figures]
    return (
        f"{len(within)} of {len(names)} networks are within {WITHIN:.0%} in every figure. Without scratch it is "
        f"{len(without)}, with ratios from {min(ratios):.3f} to {max(ratios):.3f}."
    )


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")  # torch warns of its own prototypes
    torch.set_num_threads(1)
    print(machine())
    wrong = instrument()
    print("The allocator's record, on cases worked out by hand:", "; ".join(wrong) or "right to the byte")
    if wrong:
        return
    plain = ((1, "float32"), (8, "float32"))
    rows = [measured(case, *setting) for case in CASES for setting in (*plain, *case.more)]
    for part in (*tables(rows), verdict(rows)):
        print(f"\n{part}")


if __name__ == "__main__":
    main()
