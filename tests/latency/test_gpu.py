"""GPU targets: timed by events on a scripted queue, refused with why if there is none, tried if there is one."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archcost.errors import InputError, TargetError
from archcost.latency import runtimes
from archcost.latency.runtimes import Prepared, Runtime, Source, copied, onnxruntime, openvino
from archcost.latency.runtimes import compile as compiled
from archcost.latency.samples import Plan
from archcost.latency.targets import cuda, mps
from archcost.latency.targets.gpu_events import timed_by_events
from archcost.nets.calls.contents import tensors_in
from archcost.nets.export import agreement

PLAN = Plan(time_s=0.05)
WHY_NO_COMPILER = compiled.why_not()
needs_compiler = pytest.mark.skipif(bool(WHY_NO_COMPILER), reason=WHY_NO_COMPILER)


class Gpu:
    """A GPU whose work takes what the script says: what is asked of it is noted, and nothing waits."""

    def __init__(self, *, available: bool = True, count: int = 2, l2_bytes: int = 50 * 2**20) -> None:
        self.now_s, self.log = 0.0, list[str]()
        self.available, self.count, self.l2_bytes = available, count, l2_bytes

    def work(self, name: str, taken_s: float) -> None:
        """Take so long for a work of that name."""
        self.log.append(name)
        self.now_s += taken_s

    def event(self, *, enable_timing: bool) -> Event:
        """Return an event of this GPU's queue; making one takes a while."""
        assert enable_timing
        return Event(self)

    @contextmanager
    def chosen(self, number: int) -> Iterator[None]:
        """Note which GPU is the current one."""
        self.log.append(f"device {number}")
        yield

    def synchronize(self, device: object = None) -> None:
        """Note that the queue was waited for."""
        self.log.append("synchronize")


class Event:
    """An event that takes 1 s to be made when it is recorded for the first time, as CUDA's."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.at_s = gpu, -1.0

    def record(self) -> None:
        """Note the time."""
        if self.at_s < 0:
            self.gpu.now_s += 1
        self.at_s = self.gpu.now_s

    def synchronize(self) -> None:
        """Note that the event was waited for."""
        self.gpu.log.append("wait")

    def elapsed_time(self, end_event: Event) -> float:
        """Return milliseconds between the two, which must have been waited for."""
        assert self.gpu.log[-1] in ("wait", "synchronize")
        return (end_event.at_s - self.at_s) * 1000


class Array:
    """An array on the GPU."""

    def __init__(self, gpu: Gpu, size: int) -> None:
        self.gpu, self.size = gpu, size

    def zero_(self) -> None:
        """Overwrite it."""
        self.gpu.work(f"zero {self.size}", 0.5)


def library(gpu: Gpu) -> Any:
    """Return what stands for torch: the few calls that the targets make of it."""
    properties = SimpleNamespace(
        name="Scripted GPU", multi_processor_count=132, total_memory=80 * 10**9, major=9, minor=0,
        L2_cache_size=gpu.l2_bytes,
    )  # fmt: skip
    on_gpu = SimpleNamespace(
        is_available=lambda: gpu.available,
        device_count=lambda: gpu.count,
        get_device_properties=lambda number: properties,
        mem_get_info=lambda number: (70 * 10**9, 80 * 10**9),
        device=gpu.chosen,
        Event=gpu.event,
        synchronize=gpu.synchronize,
    )
    return SimpleNamespace(
        version=SimpleNamespace(cuda="13.0"),
        int8="int8",
        cuda=on_gpu,
        mps=SimpleNamespace(Event=gpu.event, synchronize=gpu.synchronize),
        backends=SimpleNamespace(
            cuda=SimpleNamespace(is_built=lambda: True, matmul=SimpleNamespace(allow_tf32=False)),
            cudnn=SimpleNamespace(allow_tf32=True),
            mps=SimpleNamespace(is_available=lambda: gpu.available),
        ),
        empty=lambda size, dtype, device: Array(gpu, size),
        rand=lambda *size, device: device,
        mm=lambda a, b: gpu.work(f"mm {a}", 0.25),
        get_num_threads=lambda: 1,
        set_num_threads=lambda count: gpu.log.append(f"threads {count}"),
    )


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gpu], Gpu]:
    """Return what makes a scripted GPU the one that the targets find."""

    def there(gpu: Gpu) -> Gpu:
        monkeypatch.setitem(sys.modules, "torch", library(gpu))
        for module in (cuda, mps):
            monkeypatch.setattr(module, "version", lambda package: "2.13.0+cu130")
        monkeypatch.setattr(cuda, "has_driver", lambda: True)
        monkeypatch.setattr(mps, "system", lambda: "Darwin")
        return gpu

    return there


def scripted(gpu: Gpu, devices: list[str]) -> Runtime:
    """Return a runtime whose network takes 2 ms on the GPU, and that notes where each source shall run."""

    @contextmanager
    def prepare(source: Source, plan: Plan) -> Iterator[Prepared]:
        devices.append(source.device)
        yield Prepared(lambda: gpu.work("call", 0.002))

    return Runtime("scripted", prepare, lambda: (), lambda: "")


def test_events_time_a_row_of_calls() -> None:
    """A sample is what the device took between two marks that were made before, read once the later one is reached."""
    gpu = Gpu()
    timer = timed_by_events(lambda: cuda.event(library(gpu)))
    assert timer(lambda: gpu.work("call", 0.125), 4) == 0.5
    assert gpu.log == ["call"] * 4 + ["wait"]


@pytest.mark.parametrize(("l2_bytes", "size"), [(50 * 2**20, 100 * 2**20), (0, 256 * 2**20)])
def test_a_cold_cache_is_emptied_before_every_call(l2_bytes: int, size: int) -> None:
    """Before each call twice the L2 cache is overwritten and waited for; neither is in the time."""
    gpu = Gpu(l2_bytes=l2_bytes)
    torch_ = library(gpu)
    timer = timed_by_events(lambda: cuda.event(torch_), cuda.flushing(torch_, 0))
    assert timer(lambda: gpu.work("call", 0.125), 2) == 0.25
    assert gpu.log == [f"zero {size}", "synchronize", "call", "wait"] * 2


def test_an_event_of_metals_is_not_waited_for() -> None:
    """Of torch.mps the whole queue is waited for: to wait for an event and then ask for its time may never end."""
    gpu = Gpu()
    timer = timed_by_events(lambda: mps.Mark(library(gpu)))
    timer(lambda: gpu.work("call", 0.125), 1)
    assert gpu.log == ["call", "synchronize"]


def test_the_calibration_kernel_is_timed_by_events() -> None:
    """The median of seven products on the GPU stands beside a burst; what the host waited is not contention."""
    gpu = Gpu()
    torch_ = library(gpu)
    tools = cuda.instruments(timed_by_events(lambda: cuda.event(torch_)), torch_, "cuda:1")
    assert tools.calibrate() == 0.25
    assert gpu.log == ["mm cuda:1", "wait"] * 7
    assert (tools.cpu_s(), tools.waited_s()) == (None, None)


@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("cuda:0", 0), ("cuda:7", 7), ("cuda:999", 999)])
def test_names_of_gpus(name: str, number: int) -> None:
    """`cuda` is `cuda:0`, and both lock the same GPU."""
    assert cuda.target(name).lock == f"cuda-{number}"
    assert cuda.target(name).name == name


@pytest.mark.parametrize("name", ["cuda:", "cuda:-1", "cuda:1000", "cuda:0,1", "cuda:x", "cuda:٣", "cuda:0\n", "cudas"])
def test_other_names_are_refused(name: str) -> None:
    """A name that is no GPU's is answered with what is allowed."""
    with pytest.raises(InputError, match="allowed: cuda or the number of a GPU, cuda:1"):
        cuda.target(name)


@pytest.mark.parametrize("name", ["mps:0", "mps:", "mpss"])
def test_there_is_one_mps(name: str) -> None:
    """An Apple machine has one GPU."""
    assert mps.target("mps").lock == "mps"
    with pytest.raises(InputError, match="allowed: mps"):
        mps.target(name)


def test_a_gpu_is_described(put: Callable[[Gpu], Gpu]) -> None:
    """The facts are the GPU's own, the threads the host's."""
    put(Gpu())
    facts = cuda.target("cuda:1").describe()
    assert (facts.target, facts.here, facts.why_not, facts.memory_bytes) == ("cuda:1", True, "", 70 * 10**9)
    device = facts.device
    assert (device.name, device.cpus, device.memory_bytes) == ("Scripted GPU", 132, 80 * 10**9)
    assert device.system.startswith("CUDA 13.0, ")
    assert "compute capability 9.0" in device.system


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
            "driver 550.54.15",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build\n", "driver 570.124.06"),
        ("something else\n", ""),
        (None, ""),
    ],
)
def test_the_driver_is_named(text: str | None, expected: str, tmp_path: Path) -> None:
    """Two drivers are two devices, where the system names the driver."""
    if text is not None:
        file = tmp_path / "proc/driver/nvidia/version"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    assert cuda.driver(tmp_path) == expected


@pytest.mark.parametrize(
    ("gpu", "number", "reason"),
    [
        (Gpu(available=False), 0, "torch 2.13.0+cu130 finds no GPU, or no driver for it"),
        (Gpu(count=1), 1, "this machine has 1 GPU, numbered from 0"),
        (Gpu(count=2), 2, "this machine has 2 GPUs, numbered from 0"),
    ],
)
def test_a_gpu_that_is_not_there(gpu: Gpu, number: int, reason: str, put: Callable[[Gpu], Gpu]) -> None:
    """Why there is none is said where the target is described, and raised where it is measured."""
    put(gpu)
    facts = cuda.describe("cuda", number)
    assert (facts.here, facts.why_not, facts.memory_bytes) == (False, reason, None)
    with pytest.raises(TargetError, match=reason.replace("+", r"\+")):
        cuda.measure([], scripted(gpu, []), PLAN, number=number)


def test_a_gpu_that_does_not_answer(put: Callable[[Gpu], Gpu], monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA raises where the GPU is in use by one process alone, or full, becomes a reason on one line."""
    put(Gpu())

    def busy(number: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: all CUDA-capable devices\nare busy or unavailable")

    monkeypatch.setattr(sys.modules["torch"].cuda, "mem_get_info", busy)
    with pytest.raises(
        TargetError, match="cuda:0 cannot be asked what it is: CUDA error: all CUDA-capable devices are"
    ):
        cuda.describe("cuda", 0)


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        ("2.13.0+cpu", "torch 2.13.0+cpu is built without CUDA"),
        ("2.13.0+cu130", "torch 2.13.0+cu130 finds no GPU, or no driver for it"),
    ],
)
def test_torch_is_not_loaded_where_no_gpu_can_be(installed: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch built for processors, or without NVIDIA's driver, is not loaded to find no GPU; nor is it for Metal."""
    monkeypatch.setitem(sys.modules, "torch", None)  # so that to import it fails
    monkeypatch.setattr(cuda, "version", lambda package: installed)
    monkeypatch.setattr(cuda, "has_driver", lambda: False)
    monkeypatch.setattr(mps, "system", lambda: "Linux")
    assert cuda.why_not(0) == reason
    assert mps.why_not() == "Metal (MPS) exists on macOS only"


@pytest.mark.parametrize("is_cold", [False, True])
def test_networks_take_turns_on_the_gpu(is_cold: bool, put: Callable[[Gpu], Gpu]) -> None:
    """Every source runs on the GPU of the target, with the plan's threads, and samples are the events' own times."""
    gpu, devices = put(Gpu()), list[str]()
    sources = [Source(nn.ReLU()), Source(nn.Tanh())]
    plan = Plan(time_s=0.05, threads=3, cold_cache=is_cold)
    both = cuda.target("cuda:1").measure(sources, scripted(gpu, devices), plan)
    assert devices == ["cuda:1", "cuda:1"]
    assert [source.device for source in sources] == ["cpu", "cpu"]
    assert gpu.log[:2] == ["threads 3", "device 1"]
    assert gpu.log[-1] == "threads 1"
    assert any(step.startswith("zero") for step in gpu.log) == is_cold
    for samples in both:
        assert samples.samples_s == pytest.approx([0.002] * len(samples.samples_s))
        assert [burst.calibration_s for burst in samples.bursts] == pytest.approx([0.25] * len(samples.bursts))
        assert {(burst.cpu_s, burst.waited_s) for burst in samples.bursts} == {(None, None)}
        assert (samples.origin.target, samples.origin.device.name) == ("cuda:1", "Scripted GPU")
        conditions = samples.origin.conditions
        assert (conditions.tf32_products, conditions.tf32_convolutions) == (False, True)


def test_settings_that_contradict_each_other_are_not_known() -> None:
    """torch refuses to say whether TensorFloat-32 is on where its older and newer names for it were mixed."""

    class Mixed:
        @property
        def allow_tf32(self) -> bool:
            raise RuntimeError("mixed")

    torch = library(Gpu())
    torch.backends.cudnn = Mixed()
    found = cuda.conditions(torch)
    assert (found.tf32_products, found.tf32_convolutions) == (False, None)


def test_metal_is_measured(put: Callable[[Gpu], Gpu]) -> None:
    """The mps target runs its sources there; a cold cache, which nobody knows how to make, is refused."""
    gpu, devices = put(Gpu()), list[str]()
    (samples,) = mps.measure([Source(nn.ReLU())], scripted(gpu, devices), PLAN)
    assert devices == ["mps"]
    assert samples.origin.device.name.startswith("GPU of ")
    assert samples.origin.conditions.tf32_products is None
    with pytest.raises(TargetError, match="cannot empty"):
        mps.measure([Source(nn.ReLU())], scripted(gpu, []), Plan(cold_cache=True))
    gpu.available = False
    assert mps.describe().why_not == "torch 2.13.0+cu130 finds no Metal device"


@pytest.mark.parametrize("runtime", [onnxruntime, openvino])
def test_runtimes_of_the_processor_refuse_a_gpu(runtime: Any) -> None:
    """What runs on the processor alone says so before it does anything, also if it is not installed."""
    with pytest.raises(TargetError, match="this runtime runs on processors only"):
        runtime.prepare(Source(nn.ReLU(), (torch.ones(1),), device="cuda:0"), PLAN).__enter__()


@pytest.mark.parametrize("runtime", [onnxruntime, openvino])
def test_the_first_run_is_timed_with_what_makes_it_possible(runtime: Any) -> None:
    """first_s spans the making of the session and its first run; the export before them is apart from it."""
    if reason := runtime.why_not():
        pytest.skip(reason)
    ticks = iter([1.0, 5.0, 10.0, 13.5])
    with runtime.prepare(Source(nn.ReLU(), (torch.ones(1, 2),)), PLAN, clock=lambda: next(ticks)) as prepared:
        assert (4.0, 3.5) == (prepared.export_s, prepared.first_s)


def test_a_device_that_is_not_there_is_named() -> None:
    """If a module cannot be brought to a device, the message names the device."""
    with pytest.raises(TargetError, match=r"the module cannot be copied to torch\.float32 on hpu:0"):
        copied.running(Source(nn.Linear(1, 1), device="hpu:0"), PLAN).__enter__()


def test_a_device_without_number_is_any_of_its_kind() -> None:
    """A module on mps:0 needs no copy to be on mps; one on another GPU does."""
    module = nn.Linear(1, 1, device="meta")
    assert copied._fits(module, None, torch.device("meta"))
    assert not copied._fits(module, None, torch.device("cpu"))
    assert not copied._fits(module, None, torch.device("meta", 1))


def test_networks_that_take_turns_are_copied_alike() -> None:
    """The second copy is not made in the first one's inference mode: torch compiles anew for such tensors."""
    with ExitStack() as stack:
        for _ in range(2):
            call = stack.enter_context(copied.running(Source(nn.Linear(2, 2), (torch.ones(1, 2),)), PLAN))
            tensors = [*call.module.parameters(), *tensors_in(call.args)]
            assert [tensor.is_inference() for tensor in tensors] == [False] * 3


@pytest.mark.parametrize(("device", "expected"), [("cpu", 1e-4), ("cuda:0", 1e-2)])
def test_float32_on_a_gpu_may_be_tf32(device: str, expected: float) -> None:
    """By default cuDNN's convolutions keep 10 bits of float32, so that two ways may be as far apart as in float16."""
    assert compiled.tolerance("float32", device) == expected
    assert compiled.tolerance("float64", device) == compiled.TOLERANCES["float64"]


def test_outputs_are_compared_on_the_host() -> None:
    """Metal has no float64, so that no output is compared where it was made."""
    assert agreement.agree("it", [torch.ones(2)], [torch.ones(2)], 0.0) == 0.0


class Scaled(nn.Module):
    """One product with a number of its own."""

    def __init__(self, scale: int, width: int = 3) -> None:
        super().__init__()
        self.scale, self.inner = scale, nn.Linear(2, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return scaled products; x: (B, 2)."""
        y: Tensor = self.inner(x) * self.scale
        return y


ONE = Source(Scaled(3), (torch.ones(2, 2),))
TURNS: dict[str, tuple[Source, ...]] = {
    "the same": (ONE, ONE),
    "alike": (ONE, Source(Scaled(3), (torch.ones(2, 2),))),
    "other widths": (ONE, Source(Scaled(3, 5), (torch.ones(2, 2),))),
    "other numbers": (ONE, Source(Scaled(4), (torch.ones(2, 2),))),
    "torch's own forward": (
        Source(nn.Sequential(nn.Linear(2, 2)), (torch.ones(2, 2),)),
        Source(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), (torch.ones(2, 2),)),
    ),
}


@needs_compiler
@pytest.mark.parametrize("case", TURNS)
def test_networks_of_one_class_stay_compiled(case: str) -> None:
    """Networks that take turns are each compiled once, the second too, and none again when they alternate."""
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    with ExitStack() as stack:
        prepared = [stack.enter_context(compiled.prepare(source, PLAN)) for source in TURNS[case]]
        assert counters["stats"]["unique_graphs"] - before == len(prepared)
        with torch.compiler.set_stance("fail_on_recompile"):
            for each in prepared * 3:
                each.call()
        assert counters["stats"]["unique_graphs"] - before == len(prepared)


@needs_compiler
def test_a_second_network_is_compiled_for_its_own_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with another batch than the one before gets code for its batch, not for every batch."""
    from torch._dynamo.backends import registry

    look_up, seen = registry.lookup_backend, list[list[bool]]()

    def noted(graph: Any, inputs: Any) -> Any:
        seen.append([isinstance(value, Tensor) for value in inputs])  # a size that is open is an input of its own
        return look_up("inductor")(graph, inputs)

    monkeypatch.setattr(registry, "lookup_backend", lambda name: noted if name == "inductor" else look_up(name))
    with ExitStack() as stack:
        for batch in (2, 5):
            stack.enter_context(compiled.prepare(Source(Scaled(3), (torch.ones(batch, 2),)), PLAN))
    assert seen == [[True] * 3] * 2


@needs_compiler
def test_more_networks_than_torch_keeps_may_take_turns() -> None:
    """Torch's limit of programs for one forward is not that of networks; outside it is what it was."""
    with torch._dynamo.config.patch(recompile_limit=1), ExitStack() as stack:
        for source in (ONE, ONE, ONE):
            stack.enter_context(compiled.prepare(source, PLAN)).call()
        stack.close()
        assert torch._dynamo.config.recompile_limit == 1


@needs_compiler
def test_only_the_outermost_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled is forgotten before the first of several and after the last, also if one failed."""
    resets: list[None] = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(None))
    nested: Callable[[], AbstractContextManager[None]] = compiled._forgotten
    outer = nested()
    outer.__enter__()
    with nested():
        assert len(resets) == 1
    assert len(resets) == 1
    assert not outer.__exit__(KeyError, KeyError(), None)
    assert len(resets) == 2
    with nested():
        assert len(resets) == 3


@pytest.mark.gpu
@pytest.mark.parametrize("is_cold", [False, True])
def test_on_a_real_gpu(is_cold: bool) -> None:
    """A product is measured by events, and the larger of two takes longer."""
    sources = [Source(nn.Linear(n, n, bias=False), (torch.ones(n, n),)) for n in (256, 8192)]
    plan = Plan(time_s=1.0, cold_cache=is_cold)
    small, large = cuda.target("cuda").measure(sources, runtimes.find("eager"), plan)
    assert sum(small.samples_s) / len(small.samples_s) < sum(large.samples_s) / len(large.samples_s)
    assert all(burst.calibration_s for burst in large.bursts)


@pytest.mark.gpu
def test_compiled_on_a_real_gpu() -> None:
    """What is compiled for the GPU agrees with the eager network, and its first call is timed to its end."""
    source = Source(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (torch.ones(1, 3, 32, 32),))
    (samples,) = cuda.target("cuda").measure([source], runtimes.find("compile"), Plan(time_s=1.0))
    assert samples.first_s > max(samples.samples_s)


@pytest.mark.gpu
def test_a_latency_is_what_events_say() -> None:
    """The median of a product is that of events which torch records around the same product, within a half of it."""
    source = Source(nn.Linear(4096, 4096, bias=False), (torch.ones(4096, 4096),))
    (samples,) = cuda.target("cuda").measure([source], runtimes.find("eager"), Plan(time_s=1.0))
    weight, x = torch.rand(4096, 4096, device="cuda"), torch.ones(4096, 4096, device="cuda")
    times_s = []
    for _ in range(25):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        x @ weight.T
        end.record()
        end.synchronize()
        times_s.append(begin.elapsed_time(end) / 1000)
    assert statistics.median(samples.samples_s) == pytest.approx(statistics.median(times_s), rel=0.5)
