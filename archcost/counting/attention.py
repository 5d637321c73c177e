"""Attention on meta as it is on a CPU: one fused operator, which keeps no scores in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

_PATCHING: Final = RLock()


@contextmanager
def fused_attention() -> Iterator[None]:
    """Let scaled_dot_product_attention on meta be the fused operator that it is on a CPU, which keeps no scores.

    torch decides it in C++ by the device, so the Python name is exchanged for a while; it does what it did for all
    tensors that are not on meta. The lock keeps two threads from putting back each other's.
    """
    own = functional.scaled_dot_product_attention

    def attention(*args: Any, **kwargs: Any) -> Tensor:
        if not _fusable(*args, **kwargs):
            return own(*args, **kwargs)
        query, key, value, mask, causal, scale = _attention_of(*args, **kwargs)
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        result: Tensor = fused(query, key, value, 0.0, causal, attn_mask=mask, scale=scale)[0]
        return result

    with _PATCHING:
        functional.scaled_dot_product_attention = attention
        try:
            yield
        finally:
            functional.scaled_dot_product_attention = own


def _attention_of(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *rest: Any,
    **named: Any,
) -> tuple[Any, ...]:
    """Return what the fused operator takes of scaled_dot_product_attention's arguments."""
    causal = rest[1] if len(rest) > 1 else named.get("is_causal", False)
    scale = rest[2] if len(rest) > 2 else named.get("scale")
    return query, key, value, attn_mask, causal, scale


_FUSABLE: Final = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})


def _fusable(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *rest: Any, **named: Any
) -> bool:
    """Return whether torch's CPU kernel would be taken: no dropout, four dimensions, heads of one size.

    aten/src/ATen/native/transformers/sdp_utils_cpp.cpp, use_flash_attention_cpp.
    """
    dropout = rest[0] if rest else named.get("dropout_p", 0.0)
    tensors = (query, key, value)
    return (
        dropout == 0.0
        and all(t.is_meta and t.dim() == 4 and t.dtype is query.dtype and t.stride(-1) == 1 for t in tensors)
        and query.dtype in _FUSABLE
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
        and query.shape[0] == key.shape[0] == value.shape[0]
        and (query.shape[1] == key.shape[1] == value.shape[1] or bool(named.get("enable_gqa")))
        and (attn_mask is None or not (attn_mask.requires_grad or attn_mask.dim() not in (2, 4)))
        and all(0 not in t.shape for t in tensors)
    )
