"""Targets: sampling keeps its laws on a scripted clock, and the machine's facts are read as the system writes them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measurements import ORIGIN
from torch import Tensor, nn

from archcost.errors import InputError, TargetError, unknown
from archcost.latency import runtimes, targets
from archcost.latency.player import SHORT_S, Clock, Instruments, timed_by
from archcost.latency.runtimes import Call, Prepared, Source
from archcost.latency.samples import Origin, Plan, Samples
from archcost.latency.sampling import take
from archcost.latency.summary import half_width, ratio, summarise
from archcost.latency.targets import cpu, device, fake
from archcost.latency.targets.fake import Machine, Script, durations
from archcost.machine import available_memory_bytes, physical_cores

EAGER = runtimes.find("eager")
LINEAR = Source(nn.Linear(4, 4), (torch.ones(1, 4),))


def together(scripts: list[Script], plan: Plan) -> tuple[Samples, ...]:
    """Return the samples of networks that follow scripts and take turns on one machine."""
    machine = Machine()
    calls = [Prepared(machine.call(durations(script, plan.seed + i))) for i, script in enumerate(scripts)]
    return take(calls, plan, ORIGIN, machine.instruments(scripts[0], plan))


def taken(script: Script, plan: Plan | None = None) -> Samples:
    """Return the samples the loop takes of a script's calls."""
    (samples,) = together([script], plan or Plan())
    return samples


def read(clock: Clock) -> Instruments:
    """Return instruments that know nothing but a clock."""
    return Instruments(timed_by(clock), clock, lambda _: None, lambda: None, lambda: None, lambda: None)


def test_a_drifting_warm_up_is_not_counted() -> None:
    """Calls that start four times slower and get faster are warm-up; the samples are of the steady machine."""
    samples = taken(Script(base_s=0.01, first_s=0.04, warmup=30))
    row = summarise(samples)
    assert row.warmup > 30
    assert max(samples.samples_s) < 0.0105
    assert row.stable
    assert row.median_s == pytest.approx(0.01, rel=0.01)
    assert row.first_s == pytest.approx(0.04, rel=0.1)


def test_a_warm_up_without_end_is_doubted() -> None:
    """A machine that gets faster for as long as the plan allows is measured and not trusted."""
    row = summarise(taken(Script(base_s=0.001, first_s=0.1, warmup=60), Plan(time_s=5)))
    assert not row.stable
    assert f"warm-up did not settle in {row.warmup} calls" in row.why


def test_a_noisy_machine_is_not_stable() -> None:
    """Where time runs out before the blocks agree, the row says how far apart they lie and what was asked."""
    row = summarise(taken(Script(base_s=0.05, noise=0.5)))
    assert not row.stable
    assert row.why.startswith("the blocks' medians lie within +-")
    assert "2.0% asked" in row.why


def test_a_quiet_machine_stops_early() -> None:
    """Where eight blocks agree, eight bursts are all; each lies a pause behind the one before."""
    samples = taken(Script(base_s=0.01, noise=0.001))
    assert summarise(samples).stable
    assert 8 == len(samples.bursts)
    assert sum(samples.warmup_s) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("noise", [0.001, 0.05, 0.2, 1.0])
def test_sampling_stops_at_the_end_of_blocks(noise: float) -> None:
    """It ends behind a multiple of eight bursts where the blocks agree, or where the time is spent."""
    plan = Plan(time_s=5.0)
    samples = taken(Script(base_s=0.01, noise=noise), plan)
    spent_s = sum(samples.warmup_s) + sum(burst.wall_s for burst in samples.bursts)
    row = summarise(samples)
    assert row.stable is (half_width(samples) <= plan.precision)
    assert len(samples.bursts) % 8 == 0 or not row.stable
    assert row.stable or spent_s > plan.time_s / 2  # the rest are pauses, and calls that are no samples


def test_a_machine_that_waits_is_contended() -> None:
    """Time spent waiting for a core is told in the row; just below the bound it is not."""
    why = "contention: 20.0% of the sampling time went by waiting for a core"
    assert summarise(taken(Script(waiting=0.2))).why == why
    assert summarise(taken(Script(waiting=0.049))).why == ""


def test_one_long_call_is_measured_all_the_same() -> None:
    """A call longer than the whole plan is made twice to warm up and once to sample, and is not trusted."""
    samples = taken(Script(base_s=60, first_s=90, warmup=1, noise=0))
    assert (samples.warmup_s, samples.samples_s) == ((90.0, 60.0), (pytest.approx(60.0),))
    why = "warm-up did not settle in 2 calls; too few blocks: 1, at least 6 needed, for which --time 870s may do"
    assert (summarise(samples).why, summarise(samples).interval_s) == (why, None)


def test_a_call_of_a_second_has_its_blocks() -> None:
    """In ten seconds a call of 0.8 s fits eight times: each is a block of its own."""
    samples = taken(Script(base_s=0.8, first_s=0.8, noise=0.001))
    assert [1] * len(samples.bursts) == [len(burst.samples_s) for burst in samples.bursts]
    assert summarise(samples).interval_s is not None


@pytest.mark.parametrize(("base_s", "loops"), [(1e-6, 32), (5e-6, 4), (19e-6, 2), (21e-6, 1)])
def test_short_calls_are_timed_in_rows(base_s: float, loops: int) -> None:
    """A call that the clock can hardly see is timed in the shortest row, by powers of two, that lasts 20 us."""
    samples = taken(Script(base_s=base_s, first_s=base_s, noise=0), Plan(time_s=0.01))
    assert samples.loops == loops
    assert samples.loops * base_s >= SHORT_S
    assert summarise(samples).median_s == pytest.approx(base_s)


def test_a_clock_that_stands_is_an_error() -> None:
    """A clock that never moves ends in an error, not in an endless loop or a latency of 0."""
    with pytest.raises(TargetError, match="the clock stands still or is too coarse"):
        take([Prepared(lambda: None)], Plan(), ORIGIN, read(lambda: 1.0))


def test_samples_are_bounded() -> None:
    """However long the plan, 20,000 samples and a burst are the most that is kept."""
    samples = taken(Script(base_s=0.001, noise=1.0), Plan(precision=1e-6, time_s=1000))
    assert (len(samples.warmup_s) <= 20_000, len(samples.samples_s)) == (True, 20_000)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(1e-4, 3.0), st.floats(0.0, 1.0), st.integers(0, 50), st.sampled_from([0.01, 0.05]), st.integers(0, 2**31)
)
def test_sampling_keeps_its_time(base_s: float, noise: float, warmup: int, precision: float, seed: int) -> None:
    """Warm-up takes three tenths of the plan's time at most, all takes the whole; each may exceed it by one step."""
    plan = Plan(time_s=2.0, precision=precision, seed=seed)
    script = Script(base_s=base_s, first_s=4 * base_s, warmup=warmup, noise=noise)
    samples = taken(script, plan)
    warm, whole = sum(samples.warmup_s), sum(samples.warmup_s) + sum(samples.samples_s)
    assert len(samples.warmup_s) == 2 or warm - samples.warmup_s[-1] <= 0.3 * plan.time_s
    assert len(samples.bursts) == 1 or whole - sum(samples.bursts[-1].samples_s) <= plan.time_s * (1 + 1e-9)
    assert samples == taken(script, plan)


def test_stopping_early_does_not_spoil_the_interval() -> None:
    """Stopping where blocks agree favours lucky ones: of 300 seeded runs 97% still cover the truth."""
    script = Script(base_s=0.01, noise=0.05)
    rows = [summarise(taken(script, Plan(seed=seed))) for seed in range(300)]
    covered = [row.interval_s is not None and row.interval_s[0] <= 0.01 <= row.interval_s[1] for row in rows]
    assert sum(covered) >= 291


def test_networks_take_turns_in_random_order() -> None:
    """In every round each network has a burst; who is first is drawn, with the plan's seed."""
    order: list[str] = []
    machine = Machine()

    def call(name: str) -> Call:
        def run() -> None:
            order.append(name)
            machine.sleep(0.01)

        return run

    plan = Plan(precision=1e-9, time_s=4.0, seed=3)
    found = take([Prepared(call("a")), Prepared(call("b"))], plan, ORIGIN, machine.instruments(Script(), plan))
    assert len(found[0].bursts) == len(found[1].bursts) >= 8
    size = len(found[0].bursts[0].samples_s)
    warm, burst = sum(len(each.warmup_s) for each in found), size + 1  # a call behind the pause is no sample
    assert {"a", "b"} == set(order[warm :: 2 * burst])
    for begin in range(warm, len(order), 2 * burst):
        turns = order[begin : begin + 2 * burst]
        assert {"a": burst, "b": burst} == {name: turns.count(name) for name in "ab"}


def test_turns_end_where_the_ratio_is_known() -> None:
    """Networks whose own latencies wander together are compared as soon as their ratio is narrow."""
    a, b = together([Script(base_s=0.01, noise=0.02), Script(base_s=0.0105, noise=0.02)], Plan())
    found = ratio(a, b)
    assert found.half_width <= 0.02
    assert found.differ
    assert found.ratio == pytest.approx(1.05, rel=0.02)


def fails_at(calls: int, error: BaseException) -> Callable[[], None]:
    """Return a call that raises `error` when it is made for the last of `calls` times."""
    left = iter(range(calls - 1))

    def call() -> None:
        if next(left, None) is None:
            raise error

    return call


@pytest.mark.parametrize("calls", [1, 30])
def test_an_error_of_the_network_is_an_error_of_the_target(calls: int) -> None:
    """What forward raises, in warm-up or sampling, keeps its message, on one line and visible, and its cause."""
    error = ValueError("shapes (1, 4)\n and \x1b[31m(5, 6)")
    clock = count(step=0.01)
    with pytest.raises(TargetError) as caught:
        take([Prepared(fails_at(calls, error))], Plan(), ORIGIN, read(lambda: next(clock)))
    expected = "the network failed when it was run: ValueError: shapes (1, 4) and \\x1b[31m(5, 6)"
    assert (str(caught.value), caught.value.__cause__) == (expected, error)


@pytest.mark.parametrize("error", [InputError("refused"), KeyboardInterrupt()])
def test_other_errors_pass(error: BaseException) -> None:
    """Our own errors and an interrupt reach the caller as they are."""
    with pytest.raises(type(error)) as caught:
        take([Prepared(fails_at(1, error))], Plan(), ORIGIN, read(lambda: 0.0))
    assert caught.value is error


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("calls", [30, 10**9])
def test_the_garbage_collector_is_put_back(collects: bool, calls: int) -> None:
    """While samples are taken nothing is collected; afterwards, also after an error, it is as the caller had it."""
    seen: list[bool] = []
    call, clock = fails_at(calls, ValueError()), count(step=0.01)

    def watched() -> None:
        seen.append(gc.isenabled())
        call()

    (gc.enable if collects else gc.disable)()
    try:
        take([Prepared(watched)], Plan(), ORIGIN, read(lambda: next(clock)))
        failed = False
    except TargetError:
        failed = True
    finally:
        after = gc.isenabled()
        gc.enable()
    assert (seen[0], seen[-1], after, failed) == (collects, False, collects, calls == 30)


def test_the_fake_target_repeats_exactly() -> None:
    """One seed, one measurement; another seed, another."""
    first, again, other = (fake.measure([LINEAR], EAGER, Plan(seed=seed))[0] for seed in (1, 1, 2))
    assert first == again
    assert first.samples_s != other.samples_s


class Failing(nn.Module):
    """A network that cannot run; x: anything."""

    def forward(self, x: Tensor) -> Tensor:
        """Fail."""
        raise RuntimeError("expected 3 channels")


@pytest.mark.parametrize("name", ["cpu", "fake"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_failing_network_leaves_the_machine_as_it_was(name: str, threads: int) -> None:
    """On every target forward's message comes through, and torch's threads and the module's flags are put back."""
    network, before = Failing().train(), torch.get_num_threads()
    with pytest.raises(TargetError, match="RuntimeError: expected 3 channels"):
        targets.find(name).measure([Source(network, (torch.ones(1),))], EAGER, Plan(threads=threads))
    assert (network.training, torch.get_num_threads()) == (True, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_cpu_target_measures(threads: int) -> None:
    """A real network on the plan's threads, timed by a clock that ticks 1 ms a reading, takes 1 ms a call."""
    seen: set[int] = set()

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.add(torch.get_num_threads())
            return super().forward(x)

    before, ticks = torch.get_num_threads(), count()
    source, plan = Source(Counting(4, 2), (torch.ones(3, 4),)), Plan(batch=3, threads=threads, time_s=1.0)
    (samples,) = cpu.measure([source], EAGER, plan, clock=lambda: next(ticks) / 1000)
    assert (seen, torch.get_num_threads()) == ({threads}, before)
    conditions = samples.origin.conditions
    assert samples.origin == Origin("cpu", "eager", device.this_device(), conditions, EAGER.versions())
    assert conditions.affinity is None or set(conditions.affinity) == os.sched_getaffinity(0)
    assert all(burst.calibration_s == pytest.approx(0.001) for burst in samples.bursts)
    assert summarise(samples).median_s == pytest.approx(0.001)
    assert summarise(samples).examples_per_s == pytest.approx(3000)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1", "mps", "ssh://host", "fake"])
def test_targets_are_found_by_name(name: str) -> None:
    """Every kind is found, with what stands behind its colon."""
    assert name == targets.find(name).name


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "cpus", "sshd://host"])
def test_an_unknown_target_lists_the_known_ones(name: str) -> None:
    """What is no kind is told with the forms there are; the fake target is not among them."""
    with pytest.raises(InputError) as caught:
        targets.find(name)
    assert str(caught.value) == unknown("target", name, targets.FORMS)


@pytest.mark.parametrize("name", ["cpu:", "cpu:x", "cpu:0-", "cpu:-1", "cpu:1-0", "cpu:9999", "fake:1", "mps:0"])
def test_a_target_that_goes_on_wrongly_is_refused(name: str) -> None:
    """What is given and what is allowed stand in one line."""
    with pytest.raises(InputError, match="target: given"):
        targets.find(name)


def test_a_range_that_runs_backwards_is_told_the_other_way_round() -> None:
    """What is wrong is the order, not the CPUs, each such range is told."""
    with pytest.raises(InputError) as caught:
        targets.find("cpu:0,1-0,3-2")
    told = "1-0 runs backwards; allowed: 0-1, 3-2 runs backwards; allowed: 2-3"
    assert f"target: given 'cpu:0,1-0,3-2'; {told}" == str(caught.value)


PINS = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process to CPUs")


@PINS
def test_a_pinned_target_runs_on_its_cpus_alone() -> None:
    """Every thread runs on the named CPUs while it is measured, and on all as before afterwards; the origin says so."""
    before = os.sched_getaffinity(0)
    one = min(before)
    seen: set[frozenset[int]] = set()

    class Looking(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.add(frozenset(os.sched_getaffinity(0)))
            return super().forward(x)

    found = targets.find(f"cpu:{one}")
    (samples,) = found.measure([Source(Looking(4, 2), (torch.ones(3, 4),))], EAGER, Plan(time_s=0.05))
    assert ({frozenset({one})}, before) == (seen, os.sched_getaffinity(0))
    assert ((one,), f"cpu:{one}") == (samples.origin.conditions.affinity, samples.origin.target)
    assert (1, 1) == (found.describe().threads, found.describe().cpus)


def test_cold_caches_are_emptied_before_every_sample() -> None:
    """With cold caches a call is timed alone: what empties them is not in its time."""
    source, plan = Source(nn.Linear(64, 64), (torch.ones(1, 64),)), Plan(time_s=0.2, cold_cache=True)
    (samples,) = targets.find("cpu").measure([source], EAGER, plan)
    assert summarise(samples).cold_cache
    assert sum(samples.samples_s) < sum(burst.wall_s for burst in samples.bursts)


@pytest.mark.parametrize("name", ["cpu", "fake"])
def test_targets_describe_themselves(name: str) -> None:
    """Every target says what it is: here, with a device, at least one thread and no wrong memory."""
    facts = targets.find(name).describe()
    assert (facts.target, facts.here, facts.why_not) == (name, True, "")
    assert facts.device.name != ""
    assert 1 <= facts.threads <= (os.cpu_count() or 1)
    assert facts.memory_bytes is None or facts.memory_bytes > 0


def machine(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a system below `root` and return it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


CPU = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
PAIRS = {CPU.format(n): f"{n % 4},{n % 4 + 4}\n" for n in range(8)}  # 4 cores with 2 hardware threads each
V1, V2 = "4:memory:/job\n2:cpu,cpuacct:/job/a\n", "0::/user.slice/job\n"
GROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cpus", "cores"),
    [
        ({}, {0, 1, 2}, 3),
        (PAIRS, set(range(8)), 4),
        (PAIRS, {0, 4}, 1),
        (PAIRS, {0, 1, 4}, 2),
        (PAIRS | {"proc/self/cgroup": V2, f"{GROUP}/cpu.max": "max 100000\n"}, set(range(8)), 4),
        (PAIRS | {"proc/self/cgroup": V2, f"{GROUP}/cpu.max": "250000 100000\n"}, set(range(8)), 2),
        (PAIRS | {"proc/self/cgroup": V2, f"{GROUP}/cpu.max": "50000 100000\n"}, set(range(8)), 1),
        (PAIRS | {"proc/self/cgroup": V2, f"{GROUP}/user.slice/job/cpu.max": "300000 100000\n",
                  f"{GROUP}/user.slice/cpu.max": "200000 100000\n"}, set(range(8)), 2),
        (PAIRS | {"proc/self/cgroup": V1, f"{GROUP}/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                  f"{GROUP}/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, set(range(8)), 4),
        (PAIRS | {"proc/self/cgroup": V1, f"{GROUP}/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
                  f"{GROUP}/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}, set(range(8)), 3),
        (PAIRS | {"proc/self/cgroup": V1, f"{GROUP}/memory/job/cpu.max": "100000 100000\n"}, set(range(8)), 4),
    ],
)  # fmt: skip
def test_physical_cores(tmp_path: Path, files: dict[str, str], cpus: set[int], cores: int) -> None:
    """Siblings count once, CPUs that are not ours not at all, and no more than every enclosing quota allows."""
    assert physical_cores(machine(tmp_path, files), cpus) == cores


MEMINFO = {"proc/meminfo": "MemTotal:       16000 kB\nMemAvailable:    8000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 16000 kB\n"}, None),
        (MEMINFO, 8_192_000),
        (MEMINFO | {"proc/self/cgroup": V2, f"{GROUP}/memory.max": "max\n",
                    f"{GROUP}/memory.current": "5\n"}, 8_192_000),
        (MEMINFO | {"proc/self/cgroup": V2, f"{GROUP}/user.slice/memory.max": "5000000\n",
                    f"{GROUP}/user.slice/memory.current": "3000000\n",
                    f"{GROUP}/user.slice/memory.stat": "anon 1\ninactive_file 500000\n"}, 2_500_000),
        (MEMINFO | {"proc/self/cgroup": V2, f"{GROUP}/memory.max": "500\n", f"{GROUP}/memory.current": "600\n"}, 0),
        (MEMINFO | {"proc/self/cgroup": V1, f"{GROUP}/memory/job/memory.limit_in_bytes": "4000\n",
                    f"{GROUP}/memory/job/memory.usage_in_bytes": "1000\n"}, 3000),
        (MEMINFO | {"proc/self/cgroup": V1, f"{GROUP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
                    f"{GROUP}/memory/memory.usage_in_bytes": "1000\n"}, 8_192_000),
        ({"proc/self/cgroup": V2, f"{GROUP}/memory.max": "5000\n", f"{GROUP}/memory.current": "0\n"}, 5000),
    ],
)  # fmt: skip
def test_available_memory(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    """The smallest of what the system and every enclosing limit leave; None if nothing is known, never 0 for it."""
    assert available_memory_bytes(machine(tmp_path, files)) == expected


def test_device_name(tmp_path: Path) -> None:
    """The processor is named as the system names it, and by what Python knows where it does not."""
    assert device.device_name(tmp_path) != ""
    text = "processor\t: 0\nmodel name\t: AMD EPYC 9654 @ 2.4: GHz\nprocessor\t: 1\nmodel name\t: other\n"
    assert device.device_name(machine(tmp_path, {"proc/cpuinfo": text})) == "AMD EPYC 9654 @ 2.4: GHz"


def test_waiting_is_summed_over_threads(tmp_path: Path) -> None:
    """The second number of every thread's schedstat, in nanoseconds; None if the system has no such file."""
    assert device.waited_s(tmp_path) is None
    files = {"proc/self/task/7/schedstat": "9 1500000000 3\n", "proc/self/task/8/schedstat": "9 250000000 3\n"}
    assert device.waited_s(machine(tmp_path, files)) == 1.75


def test_scripts_are_what_they_say() -> None:
    """A script without noise falls in equal steps from its first duration to its base, and stays there."""

    def first(script: Script) -> list[float]:
        stream: Iterator[float] = durations(script, 0)
        return [next(stream) for _ in range(4)]

    assert first(Script(base_s=1, first_s=5, warmup=2, noise=0)) == [5, 3, 1, 1]
    assert first(Script(base_s=1, first_s=5, warmup=0, noise=0)) == [1, 1, 1, 1]


def test_scripted_clocks_move_by_calls_alone() -> None:
    """Reading the clock takes no time, a call takes the next duration."""
    machine = Machine()
    call, clock = machine.call(repeat(0.25)), machine.clock
    assert (clock(), clock()) == (0.0, 0.0)
    call()
    assert clock() == 0.25
