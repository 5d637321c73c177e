"""Mean and standard deviation of every channel or feature, exactly enough for any scale of values."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

Moments: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]

_PART: Final = 4096  # examples at once: all of a large set as doubles would take eight times its memory
_STILL: Final = 1e-6  # of the mean: a feature that varies by less is constant as far as float32 can tell


def moments(inputs: Tensor) -> Moments:
    """Return mean and standard deviation: of each channel of images over 255, of each feature of sequences.

    inputs: uint8 (N, C, H, W) or float32 (N, T, F). The deviation of what is constant is given as 1, so that values
    can be divided by it.
    """
    mean, std = _of_images(inputs) if inputs.dtype == torch.uint8 else _of_sequences(inputs)
    std = np.where(std > _STILL * np.abs(mean), std, 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def _of_images(inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each of the 256 values occurs: the sums are then exact."""
    values = inputs.numpy()
    times = np.zeros((values.shape[1], 256), np.int64)
    for start in range(0, len(values), _PART):
        for channel in range(values.shape[1]):
            times[channel] += np.bincount(values[start : start + _PART, channel].ravel(), minlength=256)
    level = np.arange(256) / 255
    mean = times @ level / times.sum(1)
    return mean, np.sqrt((times * (level - mean[:, None]) ** 2).sum(1) / times.sum(1))


def _of_sequences(inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Take the mean first and the squares around it: a difference of large squares would lose all digits."""
    flat = inputs.reshape(-1, inputs.shape[2])
    parts = torch.split(flat, _PART * 8)
    mean = sum((part.double().sum(0) for part in parts), torch.zeros(flat.shape[1]).double()) / len(flat)
    zero = torch.zeros_like(mean)
    squares = sum(((part.double() - mean).square().sum(0) for part in parts), zero)
    return mean.numpy(), (squares / len(flat)).sqrt().numpy()
