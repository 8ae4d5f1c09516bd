"""A picture of which some segments show a baseline instead: what the model is asked about, and the game that it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from explainer.shapley import Explanation, default_samples, explain_game
from explainer.shapley.explain import Link
from model.runtime import PIECE_BYTES, PIECE_SAMPLES

Pixels = NDArray[np.uint8]
Segments = NDArray[np.intp]
Masks = NDArray[np.bool_]
Ask = Callable[[NDArray[Any]], NDArray[Any]]
"""(pictures, h, w, channels) → (pictures, outputs)"""


class Pieces(NamedTuple):
    """How much the model is asked about in one call."""

    samples: int
    bytes: int


IN_CACHE = Pieces(PIECE_SAMPLES, PIECE_BYTES)
"""What stays in the processor's cache."""

NOBODY = -1
"""The segment of pixels that always show the baseline."""


def superpixels(image: Pixels, count: int, compactness: float) -> Segments:
    """About `count` segments of similar colour, (h, w) numbered from 0: skimage's slic, as Clarify's guide says."""
    from skimage.segmentation import slic  # imported by the jobs that need it only: 1 s

    labels = slic(image, n_segments=count, compactness=compactness, start_label=0, channel_axis=-1)
    return np.unique(labels, return_inverse=True)[1].reshape(image.shape[:2])


@dataclass(frozen=True)
class Masked:
    """A picture and what its absent segments show."""

    inputs: NDArray[Any]
    """(h, w, channels), as the model takes it; numbers of at most 8 bytes."""
    baseline: NDArray[Any]
    """(h, w, channels), likewise."""
    segments: Segments
    """(h, w), from 0; NOBODY where no coalition shows the picture."""

    @property
    def players(self) -> int:
        return int(self.segments.max()) + 1

    def pictures(self, masks: Masks) -> NDArray[Any]:
        """(coalitions, players) → (coalitions, h, w, channels): baseline xor (mask and (picture xor baseline))."""
        segments, lengths = self._runs
        inputs, baseline, either = self._bits
        never = np.zeros((len(masks), 1), dtype=inputs.dtype)
        table = np.concatenate([-masks.astype(inputs.dtype), never], axis=1)  # so that NOBODY finds the last column
        bits = np.repeat(table[:, segments], lengths, axis=1).reshape(len(masks), *inputs.shape)
        bits &= either
        bits ^= baseline
        pictures: NDArray[Any] = bits.view(self.inputs.dtype)
        return pictures

    @cached_property
    def _runs(self) -> tuple[Segments, Segments]:
        """What the picture is along its rows: the segment of each run of pixels, and of how many numbers it is.

        To repeat what a coalition does to a segment takes a tenth of looking it up for each pixel.
        """
        flat = self.segments.ravel()
        starts = np.flatnonzero(np.diff(flat, prepend=NOBODY - 1))
        return flat[starts], np.diff(starts, append=flat.size) * (self.inputs.size // flat.size)

    @cached_property
    def _bits(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The picture, the baseline, and where they differ, as integers."""
        integer = f"i{self.inputs.dtype.itemsize}"
        inputs, baseline = self.inputs.view(integer), self.baseline.view(integer)
        return inputs, baseline, inputs ^ baseline

    def scores(
        self, ask: Ask, masks: Masks, threads: ThreadPoolExecutor, pieces: Pieces = IN_CACHE
    ) -> NDArray[np.float64]:
        """What the model says of coalitions, (coalitions, players) → (coalitions, outputs).

        Each thread makes the pictures of one call at a time and asks about them.
        """
        step = max(1, min(pieces.samples, pieces.bytes // self.inputs.nbytes))

        def scores(start: int) -> NDArray[np.float64]:
            return np.asarray(ask(self.pictures(masks[start : start + step])), dtype=np.float64)

        return np.concatenate(list(threads.map(scores, range(0, len(masks), step))))


SURROGATE_PIXELS = 10_000_000
"""Of all synthetic pictures of one explanation, from which on a surrogate is worth its time: 200 pictures of 224 px
take a MobileNetV2 0.6 s, the surrogate of ten outputs 0.07 s."""
SURROGATE_OUTPUTS = 100
"""At most: a thousand take the surrogate 0.9 s."""


@dataclass(frozen=True)
class Sampling:
    """How pictures are explained."""

    num_samples: int | None
    """Coalitions a picture; Clarify's default when None."""
    seed: int
    """Same seed, same values."""
    link: Link | None
    """Applied to the scores."""
    surrogate: bool | Literal["auto"]
    """As of `Shap`; by itself it depends on how much is asked."""
    threads: ThreadPoolExecutor
    pieces: Pieces = IN_CACHE
    tolerance: float | None = None
    """No more is asked about a picture once all its 95 % intervals reach at most so far to either side."""


class PictureGame:
    """A picture's segments as players: what is there decides what the model says.

    Attributes:
        asked: about how many pictures the model was asked.
        by_size: size of a coalition → mean score (outputs,) of those that were asked about. They are what segments
            that appear in an order by chance lead to.
    """

    def __init__(self, picture: Masked, ask: Ask, sampling: Sampling) -> None:
        self._picture, self._ask, self._sampling = picture, ask, sampling
        self.players = picture.players
        self.asked = 0
        self.by_size: dict[int, NDArray[np.float64]] = {}
        self._sums: dict[int, tuple[int, NDArray[np.float64]]] = {}

    def value(self, masks: Masks) -> NDArray[np.float64]:
        """(coalitions, players) → (coalitions, outputs)"""
        self.asked += len(masks)
        scores = self._picture.scores(self._ask, masks, self._sampling.threads, self._sampling.pieces)
        return scores if self._sampling.link is None else self._sampling.link(scores)

    def explain(self, outputs: int) -> Explanation:
        """Attributions of the segments to each of so many outputs.

        Raises:
            ValueError: the model's answer cannot be explained.
        """
        asked, surrogate = self._sampling, self._sampling.surrogate
        if surrogate == "auto":
            pixels = (asked.num_samples or default_samples(self.players)) * self._picture.segments.size
            surrogate = pixels >= SURROGATE_PIXELS and outputs <= SURROGATE_OUTPUTS
        return explain_game(
            self._value_noted,
            self.players,
            num_samples=asked.num_samples,
            seed=asked.seed,
            surrogate=surrogate,
            tolerance=asked.tolerance,
        )

    def _value_noted(self, masks: Masks) -> NDArray[np.float64]:
        scores, sizes = self.value(masks), masks.sum(axis=1)
        for size in np.unique(sizes).tolist():
            count, total = self._sums.get(size, (0, np.zeros(scores.shape[1])))
            here = scores[sizes == size]
            self._sums[size] = count + len(here), total + here.sum(axis=0)
        self.by_size = {size: total / count for size, (count, total) in self._sums.items()}
        return scores
