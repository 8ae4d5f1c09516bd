"""The 8 metrics before and the 13 after training: pure functions of counts, so that a bootstrap costs nothing.

Counts are (…, 2, 2, 2, G): facet (0 all others, the advantaged; 1 the facet, the disadvantaged) × true label ×
predicted label (1 positive) × group. Metrics before training know no prediction and take (…, 2, 2, G). Names, signs
and what holds where a denominator is 0 are those of Clarify's open library smclarify, whose source is the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


class Undefined(Exception):
    """A metric has no value on this data; says why, in Clarify's own words where it has some."""


@dataclass(frozen=True)
class Metric:
    """A metric, under the name and description of Clarify's reports."""

    name: str
    description: str
    of: Callable[[Counts], Array]
    """(…, 2, 2, 2, G) or (…, 2, 2, G) → (…)."""
    check: Callable[[Counts], None] | None = None
    """Raises Undefined for counts (no leading axes) that have no such metric."""
    compares: bool = True
    """It needs rows of the facet and others; False: Clarify gives it a value without."""


def ratio(a: NDArray[np.generic], b: NDArray[np.generic]) -> Array:
    """a / b; 0 / 0 is 0, all else over 0 is infinite."""
    top, bottom = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    otherwise = np.where(top == 0, 0.0, np.inf)
    return np.asarray(np.divide(top, bottom, out=otherwise, where=bottom != 0))


def difference(a: Array, b: Array) -> Array:
    """a − b; two infinite ratios do not differ."""
    both = np.isinf(a) & np.isinf(b)
    return np.subtract(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=~both)


# Before training: counts (…, facet, label, group).


def class_imbalance(counts: Counts) -> Array:
    """(n_a − n_d) / (n_a + n_d)."""
    n = counts.sum(axis=(-2, -1))
    return ratio(n[..., 0] - n[..., 1], n.sum(axis=-1))


def positive_difference(counts: Counts) -> Array:
    """q_a − q_d, q being the share of positive labels."""
    share = _distributions(counts)[..., 1]
    return np.asarray(share[..., 0] - share[..., 1])


def kullback_leibler(counts: Counts) -> Array:
    """Σ P_a log(P_a / P_d) over the labels that both have."""
    p, shared = _shared(counts)
    return _sum(p[..., 0, :] * _log(p[..., 0, :], p[..., 1, :], shared), shared)


def jensen_shannon(counts: Counts) -> Array:
    """½ (KL(P_a ‖ P) + KL(P_d ‖ P)) with P = ½ (P_a + P_d), over the labels that both have."""
    p, shared = _shared(counts)
    middle = p.mean(axis=-2)
    parts = [p[..., facet, :] * _log(p[..., facet, :], middle, shared) for facet in (0, 1)]
    return _sum(0.5 * (parts[0] + parts[1]), shared)


def norm(counts: Counts, order: float) -> Array:
    """The L-p norm of P_a − P_d, over the labels that both have."""
    p, shared = _shared(counts)
    apart = np.where(shared, np.abs(p[..., 0, :] - p[..., 1, :]), 0.0)
    if np.isinf(order):
        return np.asarray(apart.max(axis=-1))
    return np.asarray((apart**order).sum(axis=-1) ** (1 / order))


def conditional_disparity(counts: Counts) -> Array:
    """Σ n_g (D_g − A_g) / n: over the groups, the facet's share of the rejected less that of the accepted."""
    of_facet = ratio(counts[..., 1, :, :], counts.sum(axis=-3))  # (…, label, group)
    sizes = counts.sum(axis=(-3, -2))
    return ratio(((of_facet[..., 0, :] - of_facet[..., 1, :]) * sizes).sum(axis=-1), sizes.sum(axis=-1))


# After training: counts (…, facet, label, prediction, group).


def _of_predictions(of_labels: Callable[[Counts], Array], counts: Counts) -> Array:
    """The metric of labels, of the predictions."""
    return of_labels(counts.sum(axis=-3))


def disparate_impact(counts: Counts) -> Array:
    """q̂_d / q̂_a: the ratio of the shares that are predicted positive."""
    share = _distributions(counts.sum(axis=-3))[..., 1]
    return ratio(share[..., 1], share[..., 0])


def conditional_acceptance(counts: Counts) -> Array:
    """DCA = n_a(1) / n̂_a(1) − n_d(1) / n̂_d(1): positive labels for each that is predicted positive."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 1, :].sum(axis=-1), table[..., :, 1].sum(axis=-1))
    return difference(rate[..., 0], rate[..., 1])


def conditional_rejection(counts: Counts) -> Array:
    """DCR = n_d(0) / n̂_d(0) − n_a(0) / n̂_a(0)."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 0, :].sum(axis=-1), table[..., :, 0].sum(axis=-1))
    return difference(rate[..., 1], rate[..., 0])


def recall_difference(counts: Counts) -> Array:
    """RD = TP_a / (TP_a + FN_a) − TP_d / (TP_d + FN_d)."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 1, 1], table[..., 1, :].sum(axis=-1))
    return difference(rate[..., 0], rate[..., 1])


def specificity_difference(counts: Counts) -> Array:
    """SD = TN_d / (TN_d + FP_d) − TN_a / (TN_a + FP_a)."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 0, 0], table[..., 0, :].sum(axis=-1))
    return difference(rate[..., 1], rate[..., 0])


def acceptance_rate_difference(counts: Counts) -> Array:
    """DAR = TP_a / n̂_a(1) − TP_d / n̂_d(1): precisions."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 1, 1], table[..., :, 1].sum(axis=-1))
    return difference(rate[..., 0], rate[..., 1])


def rejection_rate_difference(counts: Counts) -> Array:
    """DRR = TN_d / n̂_d(0) − TN_a / n̂_a(0)."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 0, 0], table[..., :, 0].sum(axis=-1))
    return difference(rate[..., 1], rate[..., 0])


def accuracy_difference(counts: Counts) -> Array:
    """AD = ACC_a − ACC_d."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 0, 0] + table[..., 1, 1], table.sum(axis=(-2, -1)))
    return np.asarray(rate[..., 0] - rate[..., 1])


def treatment_equality(counts: Counts) -> Array:
    """TE = FN_d / FP_d − FN_a / FP_a."""
    table = counts.sum(axis=-1)
    rate = ratio(table[..., 1, 0], table[..., 0, 1])
    return difference(rate[..., 1], rate[..., 0])


def generalized_entropy(counts: Counts) -> Array:
    """GE = Σ ((b / mean b)² − 1) / 2n with the benefit b = ŷ − y + 1 (Speicher et al. 2018), of all rows alike."""
    table = counts.sum(axis=(-4, -1))  # both facets, all groups: (…, label, prediction)
    n = table.sum(axis=(-2, -1))
    right, too_good = table[..., 0, 0] + table[..., 1, 1], table[..., 0, 1]
    mean = ratio(right + 2 * too_good, n)
    return np.asarray((ratio(ratio(right + 4 * too_good, n), mean**2) - 1) / 2)


def _distributions(counts: Counts) -> Array:
    """The labels' distribution in each facet: (…, facet, label, group) → (…, facet, label)."""
    labels = counts.sum(axis=-1)
    return ratio(labels, labels.sum(axis=-1, keepdims=True))


def _shared(counts: Counts) -> tuple[Array, NDArray[np.bool_]]:
    """The distributions, and which labels both facets have: Clarify leaves the others out."""
    p = _distributions(counts)
    return p, np.asarray((p > 0).all(axis=-2))


def _log(p: Array, q: Array, shared: NDArray[np.bool_]) -> Array:
    return np.log(np.where(shared, p, 1.0) / np.where(shared, q, 1.0))


def _sum(values: Array, shared: NDArray[np.bool_]) -> Array:
    return np.asarray(np.where(shared, values, 0.0).sum(axis=-1))


def _check_shared(counts: Counts) -> None:
    if not _shared(counts)[1].any():
        raise Undefined("No instance of common facet found, dataset may be too small")


def _check_groups(counts: Counts) -> None:
    of_label = counts.sum(axis=(-3, -1))
    if not of_label[1]:
        raise Undefined("No positive labels in set")
    if not of_label[0]:
        raise Undefined("No negative labels in set")


def _check_benefit(counts: Counts) -> None:
    table = counts.sum(axis=(-4, -1))
    if table.sum() == table[1, 0]:
        raise Undefined(
            "All predicted labels are false negatives. There should be at least one prediction that is not false "
            "negative."
        )


# The descriptions are those of Clarify's reports, a misspelt name included: nobody can tell which one ran.
PRE_TRAINING: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "CDDL", "Conditional Demographic Disparity in Labels (CDDL)", conditional_disparity, _check_groups, False
        ),
        Metric("CI", "Class Imbalance (CI)", class_imbalance),
        Metric("DPL", "Difference in Positive Proportions in Labels (DPL)", positive_difference),
        Metric("JS", "Jensen-Shannon Divergence (JS)", jensen_shannon, _check_shared),
        Metric("KL", "Kullback-Liebler Divergence (KL)", kullback_leibler, _check_shared),
        Metric("KS", "Kolmogorov-Smirnov Distance (KS)", partial(norm, order=np.inf), _check_shared),
        Metric("LP", "L-p Norm (LP)", partial(norm, order=2), _check_shared),
        Metric("TVD", "Total Variation Distance (TVD)", lambda counts: norm(counts, 1) / 2, _check_shared),
    )
}
POST_TRAINING: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("AD", "Accuracy Difference (AD)", accuracy_difference),
        Metric(
            "CDDPL",
            "Conditional Demographic Disparity in Predicted Labels (CDDPL)",
            partial(_of_predictions, conditional_disparity),
            lambda counts: _check_groups(counts.sum(axis=-3)),
            False,
        ),
        Metric("DAR", "Difference in Acceptance Rates (DAR)", acceptance_rate_difference),
        Metric("DCA", "Difference in Conditional Acceptance (DCA)", conditional_acceptance),
        Metric("DCR", "Difference in Conditional Rejection (DCR)", conditional_rejection),
        Metric("DI", "Disparate Impact (DI)", disparate_impact),
        Metric(
            "DPPL",
            "Difference in Positive Proportions in Predicted Labels (DPPL)",
            partial(_of_predictions, positive_difference),
        ),
        Metric("DRR", "Difference in Rejection Rates (DRR)", rejection_rate_difference),
        Metric("GE", "Generalized Entropy (GE)", generalized_entropy, _check_benefit, False),
        Metric("RD", "Recall Difference (RD)", recall_difference),
        Metric("SD", "Specificity Difference (SD)", specificity_difference),
        Metric("TE", "Treatment Equality (TE)", treatment_equality),
    )
}
FLIP_TEST = "FT", "Flip Test (FT)"
"""The one metric that counts do not tell: `flip_test`."""


def count(
    facet: NDArray[np.bool_],
    label: NDArray[np.bool_],
    predicted: NDArray[np.bool_] | None = None,
    group: NDArray[np.intp] | None = None,
) -> Counts:
    """(rows,) each → counts: (2, 2, 2, G) with predictions, (2, 2, G) without; `group` numbers the groups from 0."""
    groups = 1 if group is None or not len(group) else int(group.max()) + 1
    key = facet.astype(np.intp) * 2 + label
    cells = 4
    if predicted is not None:
        key, cells = key * 2 + predicted, 8
    if group is not None:
        key = key * groups + group
    shape = (2,) * (2 if predicted is None else 3)
    return np.bincount(key, minlength=cells * groups).reshape(*shape, groups)


def resample(counts: Counts, resamples: int, rng: np.random.Generator) -> Counts:
    """Counts of resampled data, each facet keeping its size: (2, …) → (resamples, 2, …)."""
    drawn = np.zeros((resamples, *counts.shape), dtype=np.int64)
    for facet in (0, 1):
        cells = counts[facet].ravel()
        n = int(cells.sum())
        if n:
            drawn[:, facet] = rng.multinomial(n, cells / n, size=resamples).reshape(resamples, *counts.shape[1:])
    return drawn


NEIGHBOURS, NEIGHBOURS_OF_FEW, FEW = 5, 1, 9


def flip_test(features: Array, facet: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> NDArray[np.int8]:
    """What each row of the facet would be predicted if it were one of the others: +1, 0, −1; FT is the mean.

    The others' nearest five stand in for that (k-NN, Euclidean; of nine others or fewer the nearest), after Black, Yeom
    and Fredrikson 2020, "FlipTest". +1: predicted positive, and its neighbours are not.

    Args:
        features: (rows, features), numbers; neither the facet nor labels.
        facet, predicted: (rows,).

    Returns:
        (rows of the facet,)
    """
    from sklearn.neighbors import KNeighborsClassifier  # half a second

    others = features[~facet]
    neighbours = NEIGHBOURS if len(others) > FEW else NEIGHBOURS_OF_FEW
    model = KNeighborsClassifier(n_neighbors=neighbours).fit(others, predicted[~facet])
    return np.asarray(predicted[facet].astype(np.int8) - model.predict(features[facet]).astype(np.int8))
