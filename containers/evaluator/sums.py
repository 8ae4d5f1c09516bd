"""Sums over groups of rows, for many weightings of the rows at once: what every metric here is made of."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]


class Sums:
    """Σ of a value over the rows of each group.

    Args:
        groups: (rows,) a number below size.
        size: how many groups there are.
        values: (rows,)
    """

    def __init__(self, groups: Places, size: int, values: Array) -> None:
        self._groups, self._size, self._values = groups.astype(np.int32), size, values

    def __call__(self, times: Array | None) -> Array:
        """times: (rows, weightings) how often each row counts, None: once. (size, weightings)."""
        if times is None:
            return np.bincount(self._groups, self._values, minlength=self._size).astype(np.float64)[:, None]
        result: Array = self._matrix @ times
        return result

    @cached_property
    def _matrix(self) -> Any:
        """(size, rows), sparse: its product adds row by row, in the order of memory, without another copy of `times`.

        A dense product by BLAS was 100 times slower on two cores that had other work.
        """
        from scipy.sparse import csc_array  # a tenth of a second

        rows = len(self._groups)
        places = np.arange(rows + 1, dtype=np.int32)
        return csc_array((self._values, self._groups, places), shape=(self._size, rows))
