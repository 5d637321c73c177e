"""The kernels that reach a processor's peaks: products, and arrays read and updated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

from archcost.latency.player import Clock
from archcost.latency.roofline.caches import hints
from archcost.latency.roofline.peaks import Bench, Kernel
from archcost.latency.roofline.roof import FLOPS_PER_MAC
from archcost.latency.runtimes import lacking
from archcost.machine import available_memory_bytes

if TYPE_CHECKING:
    from torch import Tensor

_SIDES: Final = (256, 512, 1024, 2048)  # of square matrices
_LONGEST_S: Final = 0.02  # that one product may take
_GROWS: Final = 8  # times as many products at twice the side
_ITEM_BYTES: Final = 4
_READ_BYTES: Final = 4 * 2**20  # by one operator, which goes over a small array so often that its own cost vanishes
_LARGEST_BYTES: Final = 128 * 2**20
_CACHES: Final = 3  # times the largest cache: what of an array is left in it then counts for little
_PART: Final = 8  # of the free memory, at most


@contextmanager
def processor(threads: int, clock: Clock) -> Iterator[Bench]:
    """Yield the kernels of this processor; torch's operators have to use `threads` threads already.

    What moves bytes runs on threads of Python's, each with an array of its own: torch's own threads meet after every
    operator, which for small arrays is all that would be measured.
    """
    import torch

    known = hints(threads)
    largest = max(_LARGEST_BYTES, _CACHES * max(known.values(), default=0))
    if (free := available_memory_bytes()) is not None:
        largest = min(largest, free // _PART)
    with ThreadPoolExecutor(threads, "archcost-peaks", _alone) as pool, torch.inference_mode():
        team = _Team(pool, threads)
        arrays = [torch.ones(largest // threads // _ITEM_BYTES, dtype=torch.int32) for _ in range(threads)]
        team.started()
        torch.set_num_threads(threads)  # oneMKL has one number for the whole process, which the pool has set to 1
        number = torch.ones(1)
        yield Bench(
            threads,
            lambda dtype: _products(dtype, threads, clock),
            lambda size: _traffic(arrays, size, team),
            Kernel("relu of one number", 1, _looped(lambda: torch.relu(number))),
            largest,
            known,
        )


def _alone() -> None:
    """Let a thread of the pool run torch's operators by itself."""
    import torch

    torch.set_num_threads(1)


class _Team:
    """Threads that do the same at the same time, each with its own array."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool, self._barrier = pool, Barrier(threads)

    def started(self) -> None:
        """Wait until every thread is there."""
        self.run([lambda: None] * self._barrier.parties, 1)

    def run(self, calls: Sequence[Callable[[], object]], loops: int) -> None:
        """Run each of the calls, as many as there are threads, `loops` times on a thread of its own."""
        for done in [self._pool.submit(self._one, call, loops) for call in calls]:
            done.result()

    def _one(self, call: Callable[[], object], loops: int) -> None:
        import torch

        with torch.inference_mode():  # of this thread
            self._barrier.wait()
            for _ in range(loops):
                call()


def _looped(call: Callable[[], object]) -> Callable[[int], None]:
    def run(loops: int) -> None:
        for _ in range(loops):
            call()

    return run


def _traffic(arrays: Sequence[Tensor], size: int, team: _Team) -> tuple[Kernel, ...]:
    """Return what reads, and what reads and writes, `size` bytes, as many of each array; both directions count."""
    import torch

    count = size // len(arrays) // _ITEM_BYTES
    parts = [array[:count] for array in arrays]
    again = max(1, _READ_BYTES // (count * _ITEM_BYTES))
    rows = [part.as_strided((again, count), (0, 1)) for part in parts]
    moved = float(count * _ITEM_BYTES * len(arrays))
    reads = [lambda row=row: torch.amax(row, 1) for row in rows]
    updates = [lambda part=part: torch.neg_(part) for part in parts]
    return (
        Kernel("torch.amax of int32, read", moved * again, lambda loops: team.run(reads, loops)),
        Kernel("torch.neg_ of int32, read and written", 2 * moved, lambda loops: team.run(updates, loops)),
    )


def _products(dtype: str, threads: int, clock: Clock) -> tuple[Kernel, ...]:
    """Return products of square matrices, each larger than the one before, as long as one is over soon.

    For int8 and float32 there are two implementations, torch's and ONNX Runtime's: which is the fast one differs by
    processor.
    """
    torchs = _torch_bytes if dtype == "int8" else partial(_torch_mm, dtype)
    others = () if dtype == "bfloat16" else (partial(_onnxruntime, dtype, threads),)
    makers = (torchs, *others)
    return tuple(kernel for made in makers for kernel in _sided(made, clock))


def _sided(made: Callable[[int], Kernel | None], clock: Clock) -> Iterator[Kernel]:
    for side in _SIDES:
        if (kernel := made(side)) is None:
            return
        yield kernel
        kernel.run(1)
        begun = clock()
        kernel.run(1)
        if _GROWS * (clock() - begun) > _LONGEST_S:
            return


def _product(name: str, side: int, call: Callable[[], object]) -> Kernel:
    return Kernel(f"{name}, {side} x {side}", float(FLOPS_PER_MAC * side**3), _looped(call))


def _torch_mm(dtype: str, side: int) -> Kernel:
    import torch

    matrix = torch.rand(side, side).to(getattr(torch, dtype))
    made = torch.empty_like(matrix)
    return _product(f"torch.mm of {dtype}", side, lambda: torch.mm(matrix, matrix, out=made))


def _torch_bytes(side: int) -> Kernel | None:
    import torch

    matrix = torch.ones(side, side, dtype=torch.int8)
    try:
        torch._int_mm(matrix, matrix)
    except (AttributeError, RuntimeError):  # no public name; torch says what a build lacks by a RuntimeError
        return None
    return _product("torch._int_mm", side, lambda: torch._int_mm(matrix, matrix))


def _onnxruntime(dtype: str, threads: int, side: int) -> Kernel | None:
    """Return ONNX Runtime's product, of uint8 inputs and int8 weights for int8; None if it is not installed."""
    if lacking(("onnx", "onnxruntime")):
        return None
    import numpy as np

    from archcost.latency.runtimes.onnxruntime import bound, loaded

    options = loaded().SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # other kernels have the turns between
    bytes_alone = dtype == "int8"
    op, given, weights = ("MatMulInteger", np.uint8, np.int8) if bytes_alone else ("MatMul", np.float32, np.float32)
    model = _one_product(op, np.ones((side, side), given), np.ones((side, side), weights)).SerializeToString()
    session = loaded().InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = bound(session, {"x": np.ones((side, side), given)})
    return _product(f"ONNX Runtime's {op}", side, lambda: session.run_with_iobinding(binding))


def _one_product(op: str, given: Any, weights: Any) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    made = TensorProto.INT32 if op == "MatMulInteger" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(given.dtype), list(given.shape))],
        [helper.make_tensor_value_info("y", made, list(given.shape))],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
