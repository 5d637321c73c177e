"""Measurements: how they are made, where, and the raw seconds that they gave."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from itertools import chain

from archcost import errors
from archcost.errors import InputError, Mistake, TargetError
from archcost.graph.dtypes import PRECISIONS
from archcost.latency.bursts import Burst, Bursts, Seconds, packed_bursts, packed_seconds
from archcost.latency.statistics import median
from archcost.nets.export.quantisation.spec import Findings
from archcost.units import counted_words


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: what runs (batch, dtype, threads), how narrow the interval shall be, how long at most.

    precision: half-width of the interval over the median; time_s: for each network, warm-up included; seed: of inputs
    that are drawn and of the order in which networks take turns; cold_cache: whether the caches are emptied before
    every sample; export_in_time: whether time_s is for the export to the runtime too, of which samples get what is
    left, at least a fifth of it.
    Raises InputError with every value that cannot be.
    """

    batch: int = 1
    dtype: str = "float32"
    threads: int = 1
    precision: float = 0.02
    time_s: float = 10.0
    seed: int = 0
    cold_cache: bool = False
    export_in_time: bool = False

    def __post_init__(self) -> None:
        if mistakes := tuple(_mistakes(self)):
            raise InputError(*mistakes)


def _mistakes(plan: Plan) -> Iterator[Mistake]:
    for key, value, least in (("batch", plan.batch, 1), ("threads", plan.threads, 1), ("seed", plan.seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield Mistake(f"given {value!r}; allowed: an integer of at least {least}", (key,))
    if plan.dtype not in PRECISIONS:
        yield Mistake(errors.unknown("dtype", str(plan.dtype), PRECISIONS), ("dtype",))
    for name, number, most in (("precision", plan.precision, 1.0), ("time_s", plan.time_s, math.inf)):
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < most:  # NaN fails too
            bound = "below 1" if most == 1 else "finite"
            yield Mistake(f"given {number!r}; allowed: a number above 0 and {bound}", (name,))


@dataclass(frozen=True, slots=True)
class Device:
    """What a machine is, as long as nobody rebuilds it; memory_bytes: all it has, None if not known.

    cpus: logical processors, of a GPU its multiprocessors; system: operating system and driver.
    """

    name: str
    cpus: int
    memory_bytes: int | None
    system: str

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that are equal for equal devices: latencies under others are not comparable."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a measurement found the machine set to; None if the system does not say.

    affinity: the CPUs the process may use; governor: of the clock frequency; quota_cores: what the container may use;
    load: processes that wanted to run in the minute before; tf32_products, tf32_convolutions: of an NVIDIA GPU, whether
    torch may run those of float32 in TensorFloat-32; date: when it was measured, UTC, as ISO 8601 writes it.
    """

    affinity: tuple[int, ...] | None = None
    governor: str | None = None
    quota_cores: float | None = None
    load: float | None = None
    tf32_products: bool | None = None
    tf32_convolutions: bool | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Where and how a network runs; threads: None if none were asked for and the target's own are not known."""

    target: str
    runtime: str
    batch: int
    dtype: str
    threads: int | None
    cold_cache: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Each of it in words, '' if there is nothing to say."""
        threads = "" if self.threads is None else counted_words(self.threads, "thread")
        cold = "caches emptied" if self.cold_cache else ""
        return f"{self.target}/{self.runtime}", f"batch {self.batch}", self.dtype, threads, cold

    def __str__(self) -> str:
        return ", ".join(filter(None, self.parts))


def way(target: str, runtime: str, plan: Plan) -> Way:
    """Return the way in which a plan is measured."""
    return Way(target, runtime, plan.batch, plan.dtype, plan.threads, plan.cold_cache)


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that was asked for and has no samples, and why."""

    way: Way
    reason: str

    def __str__(self) -> str:
        return f"{self.way}: {self.reason}"

    def to_dict(self) -> dict[str, object]:
        """Return the row as JSON holds it."""
        known = asdict(self.way)
        return {key: known[key] for key in ("target", "runtime", "batch", "dtype", "threads")} | {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a measurement comes from: without it and the plan, a latency is not a measurement."""

    target: str
    runtime: str
    device: Device
    conditions: Conditions
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a network held before its samples and did not hold after them: each sample was of another network.

    before_bytes, after_bytes: of the tensors it holds; shapes: whether theirs are others, else it is numbers or how
    often a tensor was written to.
    """

    before_bytes: int
    after_bytes: int
    shapes: bool


@dataclass(frozen=True, slots=True)
class Work:
    """The multiply-accumulates of one call as they were counted, and those of the program that a runtime made of it.

    The program has fewer if what no output needs was left out, or what depends on no input was computed beforehand.
    """

    counted_macs: int
    run_macs: int

    @property
    def skipped(self) -> bool:
        """Whether the program multiplies less than was counted."""
        return self.run_macs < self.counted_macs


@dataclass(frozen=True, slots=True)
class Samples:
    """The raw seconds of one measurement, in the order they were taken, never rounded, none left out.

    first_s: the first call with what it had to compile or load; warmup_s: calls until the network ran steadily;
    loops: calls of which each sample is the mean; change: what of the network's own state was not the same before and
    after them, None if nothing was, or it is not known; export_s: what the export to the runtime took before the first
    call, None if it runs the network as it is; settings: what the runtime was told; findings: of a network in 8 bits.
    Networks that took turns have
    bursts of the same rounds.
    Raises TargetError if there is no sample, or one that is not a positive time.
    """

    origin: Origin
    plan: Plan
    first_s: float
    warmup_s: tuple[float, ...] | Seconds
    bursts: tuple[Burst, ...] | Bursts
    loops: int = 1
    change: Change | None = None
    work: Work | None = None
    denormals: float = 0.0
    denormal_values: float = 0.0
    export_s: float | None = None
    settings: tuple[tuple[str, str], ...] = ()
    findings: Findings | None = None

    def __post_init__(self) -> None:
        if isinstance(self.bursts, Bursts):
            return  # they were looked at before they were packed
        every = self.samples_s
        wrong = [value for value in every if not 0 < value < math.inf]
        if wrong or not every:
            given = f"a sample of {wrong[0]} s" if wrong else "no sample"
            raise TargetError(f"target '{self.origin.target}' gave {given}: its clock is too coarse or was set back")

    def __hash__(self) -> int:
        return hash((self.origin, self.plan, self.first_s, self.median_s))  # of what is packed nothing is read

    @property
    def way(self) -> Way:
        """Where and how they were taken."""
        return way(self.origin.target, self.origin.runtime, self.plan)

    @property
    def samples_s(self) -> tuple[float, ...]:
        """The samples of all bursts."""
        return tuple(chain.from_iterable(burst.samples_s for burst in self.bursts))

    @property
    def median_s(self) -> float:
        """The median of all samples."""
        return self.bursts.median_s if isinstance(self.bursts, Bursts) else median(self.samples_s)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return self.bursts.samples if isinstance(self.bursts, Bursts) else sum(len(b.samples_s) for b in self.bursts)

    @property
    def packed(self) -> Samples:
        """The same, with what was taken as texts: a fortieth of the memory."""
        return replace(self, warmup_s=packed_seconds(self.warmup_s), bursts=packed_bursts(self.bursts))

    def to_dict(self) -> dict[str, object]:
        """Return what was measured as JSON holds it: all but the origin and the plan."""
        raw = asdict(replace(self, warmup_s=tuple(self.warmup_s), bursts=tuple(self.bursts)))
        return {key: raw[key] for key in ("first_s", "warmup_s", "loops", "bursts")}
