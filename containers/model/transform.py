"""From what a model computes to scores: `model.output_transform`, for models that leave the last step out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadPolicy

Scores = NDArray[np.float64]
Name = Literal["exp", "expm1", "sigmoid", "softmax"]


def output_transform(name: Name | None) -> Callable[[Scores], Scores]:
    """The function of that name: (n, outputs) → (n, outputs); none leaves scores as they are."""
    if name is None:
        return lambda scores: scores
    return {"exp": _exp, "expm1": _expm1, "sigmoid": _sigmoid, "softmax": _softmax}[name]


def _exp(scores: Scores) -> Scores:
    with np.errstate(over="ignore"):  # infinite answers are a finding, told with their number
        return np.asarray(np.exp(scores))


def _expm1(scores: Scores) -> Scores:
    with np.errstate(over="ignore"):
        return np.asarray(np.expm1(scores))


def _sigmoid(scores: Scores) -> Scores:
    """1 / (1 + e⁻ˢ), which does not overflow this way."""
    return np.asarray((1 + np.tanh(scores / 2)) / 2)


def _softmax(scores: Scores) -> Scores:
    """eˢ / Σ eˢ over the outputs; raises BadPolicy where there is one, whose softmax always is 1."""
    if scores.shape[1] == 1:
        raise BadPolicy("model.output_transform: the softmax of one output is always 1; expected sigmoid, or none")
    with np.errstate(invalid="ignore"):  # of infinite scores it is no number
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
