"""Which coalitions to ask the model about when there are too many to ask about all.

A coalition is a row of a boolean mask, True for the players in it. Only one of each pair {S, complement} is listed,
the smaller one; whoever evaluates the game asks about both.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]


def all_pairs(n: int) -> Masks:
    """One coalition of every pair but {nobody, everybody}: (2ⁿ⁻¹ - 1, n), the first player always outside."""
    numbers = np.arange(1, 2 ** (n - 1), dtype=np.int64)
    masks = np.zeros((len(numbers), n), dtype=np.bool_)
    for player in range(1, n):
        masks[:, player] = numbers >> (player - 1) & 1
    return masks


def draw_pairs(n: int, pairs: int, rng: np.random.Generator) -> Masks:
    """Coalitions for an estimate, (pairs, n), those of a size in an order of chance.

    Args:
        n: players, at least 3.
        pairs: how many pairs, fewer than the 2ⁿ⁻¹ - 1 that there are.
        rng: the only source of chance.
    """
    counts = enumerate(_allocate(n, pairs), start=1)
    return np.concatenate([_draw(n, size, count, rng) for size, count in counts if count])


def weights_of(masks: Masks) -> NDArray[np.float64]:
    """The weight of each coalition drawn, (pairs,), in the least-squares problem of them all.

    The Shapley kernel gives the coalitions of size s together the mass (n - 1) / (s (n - s)); the coalitions drawn
    from a size share that mass, so that the sampled problem is an unbiased image of the whole.
    """
    n, sizes = masks.shape[1], pair_sizes(masks)
    drawn = np.bincount(sizes)
    mass = np.array([math.nan] + [_sizes_in_pair(n, s) * (n - 1) / (s * (n - s)) for s in range(1, len(drawn))])
    weights: NDArray[np.float64] = (mass / np.maximum(drawn, 1))[sizes]
    return weights


def in_steps(masks: Masks, first: int) -> tuple[Masks, list[int]]:
    """The same coalitions in another order, and how many of them are a sample by themselves: first, twice that, ….

    Each beginning has its sizes as `draw_pairs` would give it, and all of the beginning before.

    Args:
        masks: (pairs, n), those of a size in an order of chance.
        first: pairs of the first step.
    """
    n, sizes = masks.shape[1], pair_sizes(masks)
    place = np.empty(len(masks), dtype=np.intp)  # among those of its size
    for size in range(1, n // 2 + 1):
        members = np.flatnonzero(sizes == size)
        place[members] = np.arange(len(members))
    ends = []
    while first * 2 <= len(masks):
        ends.append(first)
        first *= 2
    step = np.full(len(masks), len(ends))
    for number, end in reversed(list(enumerate(ends))):
        counts = np.array([0, *_allocate(n, end)])
        step[place < counts[sizes]] = number
    order = np.argsort(step, kind="stable")
    return masks[order], [*np.cumsum(np.bincount(step, minlength=len(ends) + 1)).tolist()]


def pair_sizes(masks: Masks) -> NDArray[np.intp]:
    """(pairs,): the size of the smaller one of each pair."""
    sizes = masks.sum(axis=1)
    smaller: NDArray[np.intp] = np.minimum(sizes, masks.shape[1] - sizes)
    return smaller


def chain_pairs(n: int, pairs: int, rng: np.random.Generator) -> Masks:
    """Coalitions for a budget below that of `draw_pairs`: what players find on arriving in a random order.

    All n - 1 beginnings of an order, with their complements, hold what each player adds on arriving in it and in its
    reverse. Of an order that the budget does not cover, beginnings of evenly spaced lengths.

    Returns:
        (pairs, n)
    """
    masks: dict[bytes, Masks] = {}
    while len(masks) < pairs:
        order = rng.permutation(n)
        lengths = min(pairs - len(masks), n - 1)
        for length in 1 + (2 * np.arange(lengths) + 1) * (n - 1) // (2 * lengths):
            mask = _listed(np.isin(np.arange(n), order[:length]))
            masks.setdefault(mask.tobytes(), mask)
    return np.array(list(masks.values()))


def _listed(mask: Masks) -> Masks:
    """Which of a coalition and its complement is listed: the smaller one, of two equals the first player's."""
    twice = 2 * np.count_nonzero(mask) - len(mask)
    return ~mask if twice > 0 or (twice == 0 and not mask[0]) else mask


def _sizes_in_pair(n: int, size: int) -> int:
    """A pair covers two sizes, s and n - s, but for the middle one, which is its own complement."""
    return 1 if 2 * size == n else 2


def pairs_of_size(n: int, size: int) -> int:
    """How many pairs there are with a coalition of this size, at most n // 2."""
    return math.comb(n, size) * _sizes_in_pair(n, size) // 2


def _allocate(n: int, pairs: int) -> list[int]:
    """How many pairs of each size 1 … n // 2: equally many coalitions a size, whole where a size has no more."""
    room = {size: pairs_of_size(n, size) for size in range(1, n // 2 + 1)}
    share = {size: _sizes_in_pair(n, size) for size in room}
    counts = dict.fromkeys(room, 0)
    left = pairs
    open_sizes = list(room)
    while True:
        level = left / sum(share[size] for size in open_sizes)
        whole = [size for size in open_sizes if room[size] <= share[size] * level]
        if not whole:
            break
        for size in whole:
            counts[size] = room[size]
            left -= room[size]
            open_sizes.remove(size)
    for size in open_sizes:
        counts[size] = int(share[size] * level)
    # What rounding down left over goes to the largest remainders, the smaller sizes first.
    open_sizes.sort(key=lambda size: counts[size] - share[size] * level)
    for size in open_sizes[: pairs - sum(counts.values())]:
        counts[size] += 1
    return list(counts.values())


def _draw(n: int, size: int, count: int, rng: np.random.Generator) -> Masks:
    """`count` different coalitions of one size; of the middle size, no two that are each other's complement."""
    there_are = pairs_of_size(n, size)
    if 4 * count < there_are:
        return _draw_balanced(n, size, count, rng)
    # Close to all of them, rejecting repeats would take long: list them and choose.
    members = list(combinations(range(n), size))[:there_are]  # of the middle size: the half that holds player 0
    masks = np.zeros((count, n), dtype=np.bool_)
    np.put_along_axis(masks, np.array(members)[rng.permutation(there_are)[:count]], True, axis=1)
    return masks


def _draw_balanced(n: int, size: int, count: int, rng: np.random.Generator) -> Masks:
    """Cut shuffled rounds of all players into coalitions: each player is in equally many of them, but for repeats."""
    masks: dict[bytes, Masks] = {}
    waiting = rng.permutation(n)
    while len(masks) < count:
        if len(waiting) >= size:
            members, waiting = waiting[:size], waiting[size:]
        else:  # the last ones of this round, filled up from the next round with others than themselves
            following = rng.permutation(n)
            # Not by isin: that was most of the time that a plan takes.
            taken = np.zeros(n, dtype=np.bool_)
            taken[waiting] = True
            fill = following[~taken[following]][: size - len(waiting)]
            members = np.concatenate([waiting, fill])
            taken[:] = False
            taken[fill] = True
            waiting = following[~taken[following]]
        mask = np.zeros(n, dtype=np.bool_)
        mask[members] = True
        mask = _listed(mask)
        masks.setdefault(mask.tobytes(), mask)
    return np.array(list(masks.values()))
