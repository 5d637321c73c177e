"""A profile as a value, and the forms it is shown and saved in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from archcost.graph import codec, columns
from archcost.graph.account import Account, Layer
from archcost.graph.codec import JSON
from archcost.graph.cost import Total, count
from archcost.latency.layers.times import LayerTimes
from archcost.latency.roofline.kept import Kept
from archcost.latency.roofline.rows import row
from archcost.latency.samples import Failure, Samples
from archcost.latency.summary import Latency, summarise
from archcost.profiling.layers.sums import columns_of
from archcost.profiling.network import Counted
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.counting.witnesses.witness import Witness
    from archcost.graph.graph import Graph


SCHEMA: Final = 1


class Column(NamedTuple):
    """One column of a fractal network, run alone as a network of its own."""

    column: int
    depth: int
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found out about a network.

    `accounts` are what it takes at each batch and dtype asked for, the first what the profile shows. `witness`: None if
    there were none. `failures`: what could not be measured. `notes`: what else limits it, in words, but for latencies
    that are not stable. `streaming`: of a recurrent network, one step with the state carried, by turns with the whole
    sequence. `alone`: of a fractal network,
    the measurements of each column, by turns with the whole, where they were asked for. `layer_times`: what each layer
    takes, in every way that was measured and can be attributed; None if they were not asked for; `peaks`: of the
    devices, which their shares of the roof are of.
    """

    model: Counted
    accounts: tuple[Account, ...]
    witness: Witness | None = None
    samples: tuple[Samples, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    streaming: tuple[Samples, ...] = ()
    alone: tuple[tuple[Samples, ...], ...] = ()
    layer_times: tuple[LayerTimes, ...] | None = None
    peaks: tuple[Kept, ...] = ()

    @property
    def account(self) -> Account:
        """What the network takes at the first batch and dtype."""
        return self.accounts[0]

    @property
    def batch(self) -> int:
        """The batch of the memory figures."""
        return self.account.batch

    @property
    def dtype(self) -> str:
        """The dtype of the memory figures."""
        return self.account.dtype

    @property
    def params(self) -> int:
        """Every parameter, shared ones once."""
        return self.model.cost.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one example, all its steps; of a module's call as it was given."""
        return self.model.cost.macs

    @property
    def elementwise(self) -> int:
        """Elementwise operations of one example."""
        return self.model.cost.elementwise

    @property
    def flops(self) -> int:
        """2 macs + elementwise."""
        return self.model.cost.flops

    @property
    def weights_bytes(self) -> int:
        """Parameters and buffers at the dtype."""
        return self.account.weights_bytes

    @property
    def activation_bytes(self) -> int:
        """All outputs of one pass."""
        return self.account.activation_bytes

    @property
    def peak_memory_bytes(self) -> int:
        """Weights and the largest live set in execution order."""
        return self.account.peak_bytes

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes of a network, or a module's operators part by part, in execution order."""
        return self.account.layers

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a fractal network, shallowest first; none for others."""
        graph = self.model.graph
        return tuple(_column(graph, column) for column in columns.columns(graph)) if graph else ()

    def groups(self, depth: int | None = None) -> dict[str, Total]:
        """Return the totals of the network's groups, or of what names have in common in their first `depth` parts."""
        cost = self.model.cost
        return cost.by_group() if depth is None else cost.by_depth(depth)

    @property
    def agree(self) -> bool | None:
        """Whether all witnesses count the same, None if there are none, or one could not count at all."""
        return self.witness.agree if self.witness else None

    @property
    def differences(self) -> tuple[str, ...]:
        """What the witnesses count otherwise, in words."""
        return self.witness.differences if self.witness else ()

    @property
    def uncounted(self) -> tuple[dict[str, object], ...]:
        """Operators without a count: {"op", "calls"}."""
        seen = self.witness.uncounted if self.witness else ()
        return tuple(operator._asdict() for operator in (*self.model.uncounted, *seen))

    @property
    def coverage(self) -> float:
        """The share of the operators' calls that have a count; all of a graph's have one."""
        return self.model.coverage

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """The statistics of every measurement."""
        return tuple(summarise(samples) for samples in self.samples)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes, and in words which latencies are not to be trusted."""
        doubted = (f"{each.way}: layers not stable: {each.why}" for each in self.layer_times or () if each.why)
        steps = (f"one step: {line}" for line in _unstable(self.streaming))
        return (*self.notes, *_unstable(self.samples), *steps, *doubted)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Why the training step was not counted, where it was not."""
        return (f"training is not counted: {why}",) if (why := self.account.trained.why) else ()

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1)."""
        model = self.model
        others = [*self.untrained, *self.differences, *map(str, self.failures)]
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": [*self.warnings, *others],
            "model": {
                "name": model.name,
                "family": model.family,
                "input": model.input,
                "steps": model.steps,
                "digest": model.digest,
                "graph": packed(model),
            },
            "batch": self.batch,
            "dtype": self.dtype,
            "params": self.params,
            "macs": self.macs,
            "elementwise": self.elementwise,
            "flops": self.flops,
            "weights_bytes": self.weights_bytes,
            "activation_bytes": self.activation_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "uncounted": list(self.uncounted),
            "witnesses": None if self.witness is None else self.witness.to_dict(),
            "agree": self.agree,
            "layers": [self._layer(layer) for layer in self.layers],
            "columns": self._columns(),
            "latencies": rows(self.samples),
            "streaming": rows(self.streaming),
            "failures": [failure.to_dict() for failure in self.failures],
            "parameters": None if model.weights is None else model.weights.to_dict(),
            "coverage": self.coverage,
            "training": None if self.account.training is None else self.account.training.to_dict(),
            "memory": [each.memory() for each in self.accounts],
            "yaml": model.yaml,
            "notes": [*self.notes, *others],
            **({} if self.layer_times is None else self._timed(self.layer_times)),
        }

    def _timed(self, layer_times: tuple[LayerTimes, ...]) -> dict[str, object]:
        """Return the times of layers as JSON holds them, and the peaks of the devices."""
        columns = columns_of(self.layers)
        rooflines = [{"target": each.key.target, **row(each)} for each in self.peaks]
        return {"layer_times": [_placed(each, columns) for each in layer_times], "rooflines": rooflines}

    def _columns(self) -> list[dict[str, object]]:
        found = [column._asdict() for column in self.columns]
        each = zip(found, self.alone, strict=True) if self.alone else ()
        return [{**row, "latencies": rows(samples)} for row, samples in each] or found

    def _layer(self, layer: Layer) -> dict[str, object]:
        return {**layer._asdict(), "intensity": layer.intensity(self.batch)}


def _placed(times: LayerTimes, columns: Mapping[str, int]) -> dict[str, object]:
    """Return times of layers as JSON holds them, each layer with its column."""
    told = times.to_dict()
    layers = cast("list[dict[str, object]]", told["layers"])
    told["cold_cache"] = times.way.cold_cache
    return {**told, "layers": [{**each, "column": columns.get(str(each["name"]))} for each in layers]}


def packed(network: Counted) -> dict[str, JSON] | None:
    """Return the graph as JSON holds it, so that it is drawn without its YAML; None of what code made."""
    return None if network.graph is None else codec.pack(network.graph)


def rows(measurements: tuple[Samples, ...]) -> list[dict[str, object]]:
    """Return the statistics of measurements, each with its raw samples, as JSON holds them."""
    return [{**summarise(samples).to_dict(), "raw": samples.to_dict()} for samples in measurements]


def _unstable(samples: tuple[Samples, ...]) -> list[str]:
    return [f"{each.way}: not stable: {why}" for each in samples if (why := summarise(each).why)]


def _column(graph: Graph, column: int) -> Column:
    alone = columns.only(graph, [column])
    cost = count(alone)
    return Column(column, columns.depth(alone, column), cost.params, cost.macs)
