"""Suggestions: whatever is proposed is a valid network, costs exactly what is said, and saves something."""

from __future__ import annotations

from typing import Any

import pytest
import specs
from hypothesis import given
from hypothesis import strategies as st

import archcost
from archcost.config import document
from archcost.config.writer import flow, to_yaml
from archcost.graph.cost import peak_bytes
from archcost.graph.graph import Graph
from archcost.graph.recipe import Recipe
from archcost.models import load
from archcost.models.families.parts import Network
from archcost.models.load import Model
from archcost.profiling.suggest import changes as suggest
from archcost.profiling.suggest.changes import Suggestion, suggestions, untried


def again(text: str) -> Model:
    """Return the network of a YAML text."""
    return load.expand(document.load(text, "again.yaml"))


def named(name: str, title: str, *overrides: str) -> Suggestion:
    """Return the suggestion with that title for a shipped network."""
    found = {s.change.title: s for s in suggestions(archcost.load(name, overrides))}
    return found[title]


def unnamed(model: Model) -> Network:
    """Return a network's spec without its name."""
    return model.spec.model_copy(update={"name": None})


@pytest.mark.parametrize("family", specs.FAMILIES)
def test_every_suggestion_is_what_it_says(family: str) -> None:
    """Its YAML is a valid network with exactly its counts and digest; its overrides make the same of the original."""

    @specs.laws(25)
    @given(specs.FAMILIES[family])
    def law(tree: specs.Tree) -> None:
        model = specs.model(tree)
        for s in suggestions(model, batch=3, dtype="bfloat16"):
            changed = again(s.yaml)
            counted = (changed.cost.params, changed.cost.macs, peak_bytes(changed.graph, 3, 2))
            assert (tuple(s.after), s.digest) == (counted, changed.digest)
            overridden = load.expand(document.load(specs.text(tree), "random.yaml"), s.change.overrides)
            assert (unnamed(overridden), overridden.recipe) == (changed.spec, changed.recipe)

    law()


@pytest.mark.parametrize("family", specs.FAMILIES)
def test_every_suggestion_saves_and_they_are_sorted(family: str) -> None:
    """Parameters or MACs fall, no network is proposed twice, what saves most MACs, then parameters, stands first."""

    @specs.laws(25)
    @given(specs.FAMILIES[family])
    def law(tree: specs.Tree) -> None:
        model = specs.model(tree)
        found = suggestions(model)
        assert all(s.before == suggest.counts(model) for s in found)
        assert all(s.saved.params > 0 or s.saved.macs > 0 for s in found)
        assert all(s.saved.macs > 0 for s in found if s.change.why != suggest.EMBEDDED)
        keys = [(s.saved.macs, s.saved.params) for s in found]
        assert sorted(keys, reverse=True) == keys
        assert len({s.digest for s in found} | {model.digest}) == len(found) + 1

    law()


@specs.laws(60)
@given(specs.models(), st.text(min_size=1, max_size=20))
def test_a_spec_is_written_so_that_it_is_read_again(tree: specs.Tree, name: str) -> None:
    """The YAML of any spec, whatever its name, is the same spec; writing it twice gives the same text."""
    spec = specs.model(tree | {"name": name}).spec
    assert spec == again(to_yaml(spec)).spec
    assert to_yaml(spec) == to_yaml(again(to_yaml(spec)).spec)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@specs.laws(300)
@given(VALUES)
def test_any_value_is_written_so_that_it_is_read_again(value: Any) -> None:
    """Nulls, truths, numbers, hostile text, lists and mappings come back equal through the strict reader."""
    assert {"key": value} == document.load(f"key: {flow(value)}", "").tree


def test_only_what_differs_is_written() -> None:
    """Defaults are left out, name and family come first, layers stand one a line."""
    assert to_yaml(archcost.load("nin-cifar10", ["layers.1.dropout=0", "window=1"]).spec) == (
        'name: "NiN CIFAR-10"\nfamily: nin\ninput: [3, 32, 32]\nclasses: 10\nlayers:\n'
        "  - {kernel: 5, widths: [192, 160, 96], pool: max, dropout: 0.5}\n"
        "  - {kernel: 5, widths: [192, 192, 192], pool: avg}\n"
        "  - {kernel: 3, widths: [192, 192, 10]}\n"
    )


def resnet_macs(inner: tuple[int, ...]) -> int:
    """Return ResNet-50's MACs with so many channels inside each stage's bottlenecks, written out by hand."""
    total, before = 3 * 64 * 7 * 7 * 112 * 112 + 2048 * 1000, 64
    for i, (outer, blocks, side) in enumerate(((256, 3, 56), (512, 4, 28), (1024, 6, 14), (2048, 3, 7))):
        d, entry = inner[i], side if i == 0 else 2 * side
        first = before * d * entry * entry + (9 * d * d + d * outer + before * outer) * side * side
        total += first + (blocks - 1) * (outer * d + 9 * d * d + d * outer) * side * side
        before = outer
    return total


def test_a_smaller_dimension_inside_the_bottleneck() -> None:
    """ResNet-50 with reduction 8 has half the channels inside: everywhere, or in one stage only."""
    assert resnet_macs((64, 128, 256, 512)) == 4089184256  # published
    whole = named("resnet-50", "reduction 8, not 4")
    assert (("reduction=8",), resnet_macs((32, 64, 128, 256))) == (whole.change.overrides, whole.after.macs)
    third = named("resnet-50", "stage 3: reduction 8, not 4")
    assert third.change.overrides == ("reduction=[4, 4, 8, 4]",)
    assert third.after.macs == resnet_macs((64, 128, 128, 512))


def test_groups_divide_the_spatial_convolution() -> None:
    """ResNet-50 with 32 groups saves 31/32 of what its 3x3 convolutions cost."""
    spatial = sum(9 * d * d * side * side * n for d, side, n in ((64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)))
    assert named("resnet-50", "3x3 in groups: 32, not 1").saved.macs == spatial * 31 // 32


def test_bottlenecks_at_the_same_outer_widths() -> None:
    """ResNet-20 with bottlenecks: 1x1 to a quarter, 3x3 there, 1x1 back, and the two projections it had."""
    stem, head = 3 * 16 * 9 * 1024, 64 * 10
    stages = sum(3 * (2 * w * w // 4 + 9 * w * w // 16) * s * s for w, s in ((16, 32), (32, 16), (64, 8)))
    # the first 1x1 of a later stage sees half the channels on a map four times as large
    entries = sum(w // 2 * w // 4 * (2 * s) ** 2 - w * w // 4 * s * s for w, s in ((32, 16), (64, 8)))
    projections = sum(w // 2 * w * s * s for w, s in ((32, 16), (64, 8)))
    changed = named("resnet-20", "bottleneck blocks, not basic")
    assert changed.after.macs == stem + head + stages + entries + projections


def test_one_sparse_convolution() -> None:
    """In NiN's first layer a 1x1 from 192 to 160 channels at 32 x 32 that sees 96 of them costs half as much."""
    sparse = named("nin-cifar10", "layer 1: conv2 sparse, span 96")
    assert sparse.change.overrides == ("layers.0.sparse=[0, 1, 0]", "layers.0.span=96")
    assert (sparse.saved.macs, sparse.saved.params) == (160 * 96 * 32 * 32, 160 * 96)
    assert named("nin-cifar10", "layer 1: conv2 sparse, span 48").saved.macs == 160 * 144 * 32 * 32


def test_spatial_convolutions_stay_dense() -> None:
    """Only 1x1 convolutions are made sparse, those to the classes too: never a layer's first."""
    titles = [s.change.title for s in suggestions(archcost.load("nin-cifar10"))]
    assert {"conv2", "conv3"} == {title.split()[2] for title in titles if "sparse" in title}


def test_spans_and_windows_of_their_own_and_of_all_layers() -> None:
    """A span that is there is halved, a window loses its rim; a second sparse place shares its layer's span."""
    own = ("layers.0.sparse=[0, 1, 0]", "layers.0.span=16", "layers.0.window=3")
    assert named("nin-cifar10", "layer 1: span 8, not 16", *own).saved.macs == 160 * 8 * 9 * 1024
    assert named("nin-cifar10", "layer 1: window 1, not 3", *own).saved.macs == 160 * 16 * 8 * 1024
    assert named("nin-cifar10", "layer 1: conv3 sparse too", *own).saved.macs == 96 * (160 - 16 * 9) * 1024
    shared = ("sparse=[0, 1, 0]", "span=8", "window=5")
    places = 160 * 1024 + 192 * 256 + 192 * 64
    assert named("nin-cifar10", "span 4, not 8", *shared).saved.macs == places * 4 * 25
    assert named("nin-cifar10", "window 3, not 5", *shared).saved.macs == places * 8 * (25 - 9)


def test_the_low_dimensional_embedding() -> None:
    """What NiN's first layer hands on is halved: its last 1x1, and the 5x5 behind it, cost half."""
    changed = named("nin-cifar10", "layer 1: hands on 48, not 96")
    assert changed.saved.macs == 160 * 48 * 1024 + 48 * 192 * 25 * 256


def test_padded_shortcuts() -> None:
    """RiR's shortcuts without weights save its two projections, and nothing else."""
    saved = named("rir-18-wide", "shortcuts padded, no weights").saved
    assert (saved.macs, saved.params) == (48 * 96 * 16 * 16 + 96 * 192 * 8 * 8, 48 * 96 + 96 * 192)


def test_narrower_streams() -> None:
    """RiR with half the width: a unit of m channels a stream counts as a dense 2m to 2m convolution."""
    stages = ((24, 24, 4, 32), (24, 48, 6, 16), (48, 96, 6, 8))
    convs = sum((2 * a * 2 * m + (units - 1) * 4 * m * m) * 9 * s * s for a, m, units, s in stages)
    projections = 24 * 48 * 256 + 48 * 96 * 64
    changed = named("rir-18-wide", "streams of half the width")
    assert changed.after.macs == 3 * 48 * 9 * 1024 + convs + projections + 2 * 96 * 10 * 64


def test_columns_are_dropped() -> None:
    """FractalNet without a column costs that column's own MACs less; alone, a column costs what it did (1605.07648)."""
    one, two, three, head = 67834880, 228267008, 549131264, 512 * 10
    assert named("fractalnet-20", "without column 3, the deepest").after.macs == one + two - head
    assert named("fractalnet-20", "without column 1, the shallowest").after.macs == two + three - head
    assert named("fractalnet-20", "column 3 alone, the deepest").after.macs == three
    assert named("fractalnet-20", "without column 3, the deepest", "use_columns=[3, 1]").after.macs == one


def test_a_fractal_block_goes_with_its_dropout() -> None:
    """If every block has a dropout of its own, the last block's goes with it."""
    overrides = named("fractalnet-20", "without block 5, the last").change.overrides
    assert overrides == ("widths=[64, 128, 256, 512]", "dropout=[0, 0.1, 0.2, 0.3]")


def test_gates_are_dropped() -> None:
    """Without gates HORNN has 2HV + N H^2 + H + V parameters and N H^2 + H V MACs a token."""
    for pooling in ("fofe", "none"):
        after = named("hornn-3-gated", f"pooling {pooling}, not gated").after
        assert (after.params, after.macs) == (8490400, 4480000)


def test_an_embedding_may_cost_macs() -> None:
    """It replaces four one-hot tables by one small one: parameters fall, and the MACs that are added are told."""
    saved = named("hornn-3-gated", "embedding of 200, not one-hot").saved
    assert saved.params == 4 * 10000 * 400 - (10000 * 200 + 4 * 200 * 400)
    assert saved.macs == -4 * 200 * 400


def test_nothing_to_save() -> None:
    """The smallest recurrent network has no suggestion."""
    tree = {"family": "hornn", "input": {"steps": 1, "features": 1}, "classes": 1, "hidden": 1, "order": 1}
    assert suggestions(specs.model(tree)) == ()


class Foreign(Network):
    """A family that an installed package may add."""

    def size(self) -> int:
        """Return no size."""
        return 0

    def expand(self) -> tuple[Graph, Recipe]:
        """Return some network."""
        return archcost.load("hornn-1").spec.expand()


def test_a_foreign_family_gets_none() -> None:
    """Of a family that is not archcost's own nothing is known, so nothing is suggested."""
    model = Model("foreign", Foreign(), *Foreign().expand())
    assert ((), 0) == (suggestions(model), untried(model))


def test_of_many_stages_the_costliest_are_tried() -> None:
    """Forty stages: the 32 with the most MACs are changed one by one, and how many are left out is told."""
    tree = {"family": "bottleneck", "input": [3, 4, 4], "classes": 2, "depths": [2] * 40, "strides": [1] * 40}
    model = specs.model(tree | {"widths": [*range(20, 60)]})
    shorter = [s.change.title for s in suggestions(model) if "blocks" in s.change.title]
    assert (8, 32) == (untried(model), len(shorter))
    assert {f"stage {i}: blocks 1, not 2" for i in range(9, 41)} == set(shorter)
