"""The roof over layers: filled in from the device's peaks, and left out where nothing is known."""

from __future__ import annotations

import pytest
from planted_peaks import peaks

import archcost
from archcost.latency.roofline import rows
from archcost.latency.roofline.roof import Run, standing
from archcost.latency.samples import Way

ASKED = {"runtime": "eager", "threads": 1, "time": 0.2, "witness": False}


def test_every_layer_has_its_share_of_the_roof() -> None:
    """It is what the device's peaks say of its MACs, bytes and time, at the batch that was measured; they are there."""
    found = archcost.profile("resnet-20", batch=2, layers=True, **ASKED)
    (times,) = found.layer_times or ()
    known = peaks()
    (row,) = found.to_dict()["rooflines"]  # type: ignore[misc]
    assert ("cpu", 1, known) == (row["target"], row["threads"], rows.peaks(row))
    for layer in times.layers:
        assert layer.macs is not None
        assert layer.moved_bytes is not None
        if layer.time_s > 0:
            expected = standing(Run(2 * layer.macs, layer.moved_bytes, "float32", layer.time_s), known)
            assert expected is not None
            assert (expected.roof_share, expected.bound) == (layer.roof_share, layer.bound)
    assert {"compute", "memory", "overhead"} >= {layer.bound for layer in times.layers}


def test_a_type_without_a_peak_has_no_roof() -> None:
    """Products of float64 have no peak; what has no product is held against the bytes alone."""
    (times,) = archcost.profile("resnet-20", dtype="float64", layers=True, **ASKED).layer_times or ()
    assert Way("cpu", "eager", 1, "float64", 1) == times.way
    assert {None} == {layer.roof_share for layer in times.layers if layer.macs}
    assert None not in {layer.roof_share for layer in times.layers if not layer.macs and layer.time_s > 0}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_onnxruntime_has_roofs_too(dtype: str) -> None:
    """In 8 bits products have none: in which type each ran is not known."""
    asked = {**ASKED, "runtime": "onnxruntime"}
    (times,) = archcost.profile("resnet-20", dtype=dtype, layers=True, **asked).layer_times or ()
    shares = {layer.roof_share is None for layer in times.layers if layer.macs and layer.time_s > 0}
    assert {dtype == "int8"} == shares
