"""No false alarms: witnesses agree where they see the call, and say so if they do not; parameters that are read are."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

import archcost


class Of(nn.Module):
    """Runs a function of itself and the input, behind a branch on data if it shall not run on meta."""

    def __init__(self, call: Callable[..., Any], *, branches: bool = False, **parts: Any) -> None:
        super().__init__()
        self.call, self.branches = call, branches
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        """Whatever the function takes and gives."""
        if self.branches and x.abs().max() > 100:
            x = x / 2
        return self.call(self, x)


OUTPUTS: dict[str, Callable[[Tensor], object]] = {
    "nothing": lambda y: None,
    "a number": lambda y: float(y.sum()),
    "an array": lambda y: y.numpy(),
    "a list of numbers": lambda y: y.tolist(),
    "a text": lambda y: "done",
    "a constant": lambda y: torch.zeros(1),
    "an object": lambda y: types.SimpleNamespace(y=[{"deep": y}]),
    "a function": lambda y: lambda: y,
    "a generator": lambda y: (value for value in y),
    "a tuple with more": lambda y: (y, None, 3),
    "Normal": lambda y: Normal(y, torch.ones_like(y)),
    "Categorical": lambda y: Categorical(logits=y),
    "MultivariateNormal": lambda y: MultivariateNormal(y, scale_tril=torch.eye(4)),
    "Independent": lambda y: Independent(Normal(y, torch.ones_like(y)), 1),
    "mixture": lambda y: MixtureSameFamily(Categorical(logits=y), Normal(y, torch.ones_like(y))),
    "a sample": lambda y: Normal(y, 1.0).sample(),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_witnesses_agree_whatever_is_returned(case: str) -> None:
    """What the tracer would drop, since it leads to no tensor that is returned, is counted by all."""
    give = OUTPUTS[case]
    found = archcost.profile(Of(lambda m, x: give(m.l(x)), l=nn.Linear(8, 4)), torch.ones(5, 8), latency=False)
    assert (160, True, ()) == (found.macs, found.agree, found.differences)


def test_what_nobody_counts_is_agreed_by_nobody() -> None:
    """A covariance is decomposed, which is left open: nobody objects, and nobody can agree."""
    module = Of(lambda m, x: MultivariateNormal(m.l(x), torch.eye(4)), l=nn.Linear(8, 4))
    found = archcost.profile(module, torch.ones(5, 8), latency=False)
    assert (160, None, ()) == (found.macs, found.agree, found.differences)
    assert ["linalg_cholesky_ex"] == [each["op"] for each in found.uncounted]


def _kept(m: Any, x: Tensor) -> None:
    m.kept = m.l(x)


UNUSED: dict[str, tuple[Callable[..., Any], dict[str, nn.Module], Tensor, int]] = {
    "linear": (lambda m, x: (m.a(x), m.b(x))[1], {"a": nn.Linear(8, 4), "b": nn.Linear(8, 4)}, torch.ones(5, 8), 320),
    "convolution": (lambda m, x: (m.a(x), x)[1], {"a": nn.Conv2d(3, 4, 3)}, torch.ones(1, 3, 8, 8), 36 * 4 * 27),
    "transposed": (
        lambda m, x: (m.a(x), x)[1],
        {"a": nn.ConvTranspose1d(3, 4, 2)},
        torch.ones(1, 3, 8),
        8 * 3 * 4 * 2,
    ),
    "attention": (
        lambda m, x: (F.scaled_dot_product_attention(x, x, x), x)[1],
        {},
        torch.ones(1, 2, 6, 8),
        2 * 2 * 36 * 8,
    ),
    "recurrent": (lambda m, x: (m.a(x), x)[1], {"a": nn.LSTM(3, 4)}, torch.ones(5, 1, 3), 5 * 16 * (3 + 4)),
    "products": (lambda m, x: (torch.einsum("bij,bkj->bik", x, x), x @ x.mT, torch.bmm(x, x.mT), x)[-1], {},
                 torch.ones(2, 3, 4), 3 * 2 * 9 * 4),
    "kept for later": (_kept, {"l": nn.Linear(8, 4)}, torch.ones(5, 8), 160),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSED)
def test_witnesses_see_what_has_no_use(case: str) -> None:
    """A product whose result nothing is made of runs all the same."""
    call, parts, x, macs = UNUSED[case]
    found = archcost.profile(Of(call, **parts), x, latency=False)
    assert (macs, True, ()) == (found.macs, found.agree, found.differences)


def _attention(**how: Any) -> Callable[[Any, Tensor], Tensor]:
    return lambda m, x: F.scaled_dot_product_attention(x, x, x, **how)


ON_DATA: dict[str, tuple[Callable[..., Any], dict[str, nn.Module], Tensor]] = {
    "attention": (_attention(), {}, torch.ones(1, 2, 6, 8)),
    "causal": (_attention(is_causal=True), {}, torch.ones(1, 2, 6, 8)),
    "masked": (_attention(attn_mask=torch.ones(6, 6, dtype=torch.bool)), {}, torch.ones(1, 2, 6, 8)),
    "of half precision": (_attention(), {}, torch.ones(1, 2, 6, 8, dtype=torch.bfloat16)),
    "of three dimensions": (_attention(), {}, torch.ones(2, 6, 8)),
    "of narrow values": (lambda m, x: F.scaled_dot_product_attention(x, x, x[..., :4]), {}, torch.ones(1, 2, 6, 8)),
    "of grouped heads": (
        lambda m, x: F.scaled_dot_product_attention(x, x[:, :1], x[:, :1], enable_gqa=True),
        {},
        torch.ones(1, 2, 6, 8),
    ),
    "heads": (lambda m, x: m.a(x, x, x), {"a": nn.MultiheadAttention(8, 2)}, torch.ones(6, 2, 8)),
    "encoder": (lambda m, x: m.a(x), {"a": nn.TransformerEncoderLayer(8, 2, 16)}, torch.ones(6, 2, 8)),
    "transformer": (
        lambda m, x: m.a(x, x),
        {"a": nn.Transformer(8, 2, 1, 1, 16, batch_first=True)},
        torch.ones(2, 6, 8),
    ),
    "LSTM": (lambda m, x: m.a(x), {"a": nn.LSTM(8, 5)}, torch.ones(6, 2, 8)),
    "GRU": (lambda m, x: m.a(x), {"a": nn.GRU(8, 5, bidirectional=True)}, torch.ones(6, 2, 8)),
    "packed": (
        lambda m, x: m.a(pack_padded_sequence(x, torch.tensor([6, 3]))),
        {"a": nn.LSTM(8, 5)},
        torch.ones(6, 2, 8),
    ),
    "convolutions": (lambda m, x: m.a(x), {"a": nn.Conv2d(3, 3, 3, groups=3, padding="same")}, torch.ones(1, 3, 8, 8)),
}


@pytest.mark.parametrize("case", ON_DATA)
def test_witnesses_agree_on_data(case: str) -> None:
    """A branch on data keeps a call from meta tensors, and a processor's kernels are fused: the counts are the same."""
    call, parts, x = ON_DATA[case]
    on_meta = archcost.profile(Of(call, **parts), x, latency=False)
    found = archcost.profile(Of(call, branches=True, **parts), x, latency=False)
    assert (on_meta.macs, True, ()) == (found.macs, found.agree, found.differences)
    assert any("may depend on values" in note for note in found.notes)


def _set(m: Any, x: Tensor) -> Tensor:
    y = x.clone()
    y[0] = m.p
    return y


def parameter(*shape: int) -> nn.Parameter:
    """Return one of ones."""
    return nn.Parameter(torch.ones(shape))


READ: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "cat": (lambda m, x: torch.cat([m.p, x]), {"p": parameter(1, 8)}),
    "stack": (lambda m, x: torch.stack((x, m.p)), {"p": parameter(5, 8)}),
    "view": (lambda m, x: x @ m.p.view(8, 4), {"p": parameter(4, 8)}),
    "transposed": (lambda m, x: x @ m.p.T, {"p": parameter(4, 8)}),
    "where": (lambda m, x: torch.where(x > 0, m.p, m.q), {"p": parameter(8), "q": parameter(8)}),
    "rows": (lambda m, x: x + m.p[torch.zeros(5, dtype=torch.long)], {"p": parameter(3, 8)}),
    "data": (lambda m, x: F.linear(x, m.p.data), {"p": parameter(4, 8)}),
    "detached": (lambda m, x: F.linear(x, m.p.detach()), {"p": parameter(4, 8)}),
    "mesh": (lambda m, x: torch.meshgrid(m.p, m.q, indexing="ij"), {"p": parameter(4), "q": parameter(8)}),
    "diagonal blocks": (lambda m, x: torch.block_diag(m.p, m.q), {"p": parameter(4, 4), "q": parameter(8, 8)}),
    "einsum": (lambda m, x: torch.einsum("bi,io->bo", x, m.p), {"p": parameter(8, 4)}),
    "an attention's mask": (
        lambda m, x: F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], attn_mask=m.p),
        {"p": parameter(5, 5)},
    ),
    "written to": (_set, {"p": parameter(8)}),
    "copied": (lambda m, x: torch.zeros(5, 8).copy_(m.p) + x, {"p": parameter(8)}),
    "a list": (lambda m, x: torch.cat([*m.p, x]), {"p": nn.ParameterList([torch.ones(1, 8), torch.ones(2, 8)])}),
    "a number": (lambda m, x: x * m.p.item(), {"p": parameter(1)}),
    "several at once": (lambda m, x: torch._foreach_mul([m.p, m.q], 2.0), {"p": parameter(4), "q": parameter(8)}),
    "parametrised": (lambda m, x: m.l(x), {"l": nn.utils.parametrizations.weight_norm(nn.Linear(8, 4))}),
    "by name": (
        lambda m, x: torch.func.functional_call(m.l, {k: v * 2 for k, v in m.l.named_parameters()}, (x,)),
        {"l": nn.Linear(8, 4)},
    ),
    "stacked by vmap": (
        lambda m, x: torch.func.vmap(lambda w: F.linear(x, w))(torch.stack([m.p, m.q])),
        {"p": parameter(4, 8), "q": parameter(4, 8)},
    ),
}


@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("case", READ)
def test_a_parameter_that_is_read_is_not_said_to_be_unread(case: str, branches: bool) -> None:
    """In lists, by keyword, through views and by name; no witness counts otherwise."""
    call, parts = READ[case]
    found = archcost.profile(Of(call, branches=branches, **parts), torch.ones(5, 8), latency=False)
    assert (0, ()) == (found.model.weights.unread, found.differences)  # type: ignore[union-attr]  # of a module


def test_a_parameter_that_is_not_read_is_said_to_be() -> None:
    """Its shape alone is no value of it."""
    found = archcost.profile(Of(lambda m, x: x * len(m.p), p=parameter(3)), torch.ones(5, 8), latency=False)
    assert 3 == found.model.weights.unread  # type: ignore[union-attr]  # of a module
    assert any("3 parameters are not read by this call: p" in note for note in found.notes)


def _blind(m: Any, x: Tensor) -> Tensor:
    return torch.linalg.multi_dot([x, x.T, x])


def test_what_a_witness_cannot_see_is_no_difference() -> None:
    """It has no count for an operator: agree is null, and the reason names it; torch's counter saw it all."""
    found = archcost.profile(Of(lambda m, x: _blind(m, m.l(x)), l=nn.Linear(8, 4)), torch.ones(5, 8), latency=False)
    assert found.witness is not None
    assert (None, (), None) == (found.agree, found.differences, found.witness.fvcore.macs)
    assert "it has no count for aten::linalg_multi_dot (1 times)" == found.witness.fvcore.why
    assert any("aten::linalg_multi_dot" in note for note in found.notes)
    assert found.macs == found.witness.torch.macs
    assert {"aten::linalg_multi_dot": 1} == dict(found.witness.fvcore.unsupported)


class Other(nn.Linear):
    """Takes another course while it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 8) -> (B, 4)."""
        return x[:, :4] if torch.jit.is_tracing() else super().forward(x)  # type: ignore[no-untyped-call]  # torch's


def test_a_difference_is_one_also_beside_what_is_not_seen() -> None:
    """The part that cannot be seen excuses itself alone."""
    inner = Of(_blind)
    found = archcost.profile(Of(lambda m, x: m.i(m.o(x)), i=inner, o=Other(8, 4)), torch.ones(5, 8), latency=False)
    assert False is found.agree
    assert any(line.startswith("o: addmm 160 counted") for line in found.differences)
