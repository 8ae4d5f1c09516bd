"""What a person should know of a model or its data that no gate asks about: each check finds one thing, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Finding, Metric
from assay.policy import ModelOptions
from evaluator.classification import Classified, are_probabilities
from model.images import is_turned
from model.picture_endpoint import PictureEndpoint

PROBE = 16
"""Samples that the model is asked about again: once more together, and one by one."""
TOLERANCE = 1e-4
"""Scores differ by less when only the order of additions does."""

_BETTER_BY = 0.1
_NAMED = 5

Array = NDArray[np.float64]


def of_classifier(found: Classified, metrics: Mapping[str, Metric]) -> Iterator[Finding]:
    """Scores that are no numbers or no probabilities, constant answers, classes out of order."""
    broken = int((~found.answered).sum())
    if broken:
        text = f"The model's scores of {broken} of {len(found.true)} samples are NaN or infinite."
        yield Finding(severity="serious", title="Scores that are no numbers", text=text)
        return
    if found.labels_only:
        text = "It answers labels: there is no log loss, no ROC curve, no calibration, and no order of the least sure."
        yield Finding(severity="info", title="The model gives no scores", text=text)
    elif not are_probabilities(found.probabilities):
        text = "Scores are not from 0 to 1, or a sample's do not add up to 1: they may be logits, and have no log loss."
        yield Finding(severity="warning", title="Scores that are no probabilities", text=text)
    if len(np.unique(found.predicted)) == 1 and len(np.unique(found.true)) > 1:
        text = f"All {len(found.true)} samples are predicted as {found.labels[found.predicted[0]]}."
        yield Finding(severity="serious", title="Constant predictions", text=text)
    constant, accuracy = metrics["accuracy_best_constant"].value, metrics["accuracy"].value
    if constant is not None and accuracy is not None and accuracy < constant:
        text = f"Accuracy is {accuracy:.3f}; always answering the most frequent class would reach {constant:.3f}."
        yield Finding(severity="serious", title="Worse than the best constant answer", text=text)
    yield from _classes_out_of_order(found)


def _classes_out_of_order(found: Classified) -> Iterator[Finding]:
    """The best renaming of the classes is looked for on one half of the samples and tried on the other.

    On the same samples some renaming would always look better, the more so the more classes there are.
    """
    from scipy.optimize import linear_sum_assignment  # a fifth of a second

    first, second = _counts(found, slice(0, None, 2)), _counts(found, slice(1, None, 2))
    renamed = linear_sum_assignment(first, maximize=True)[1]  # true class → the output that answers for it
    n, right = second.sum(), np.trace(second)
    if not n or (second[np.arange(len(second)), renamed].sum() - right) / n < _BETTER_BY:
        return
    better = second[np.arange(len(second)), renamed].sum() / n
    for shift in (1, -1):
        shifted = np.trace(np.roll(second, -shift, axis=1)) / n
        if shifted > right / n + _BETTER_BY and shifted >= 0.9 * better:
            how = (
                f"were shifted by one: each sample is taken for the class {'after' if shift == 1 else 'before'} its own"
            )
            hint = "data.label_base and the order of data.labels"
            yield _out_of_order(right / n, shifted, how, hint)
            return
    moved = np.flatnonzero(renamed != np.arange(len(renamed)))
    pairs = [f"{found.labels[true]} comes out as {found.labels[renamed[true]]}" for true in moved[:_NAMED]]
    how = f"were in another order: {', '.join(pairs)}{_more(len(moved))}"
    yield _out_of_order(right / n, better, how, "the order of data.labels")


def _out_of_order(accuracy: float, better: float, how: str, hint: str) -> Finding:
    text = f"Accuracy would be {better:.3f} instead of {accuracy:.3f} if classes {how}. See {hint}."
    return Finding(severity="serious", title="Classes out of order", text=text)


def _counts(found: Classified, part: slice) -> NDArray[np.int64]:
    k = len(found.labels)
    return np.bincount(found.true[part] * k + found.predicted[part], minlength=k * k).reshape(k, k)


def of_regressor(predicted: Array, metrics: Mapping[str, Metric]) -> Iterator[Finding]:
    """Predictions, (samples,), that are no numbers, constant, or worse than the median."""
    bad = int((~np.isfinite(predicted)).sum())
    if bad:
        text = f"The model's answers to {bad} of {len(predicted)} samples are NaN or infinite."
        yield Finding(severity="serious", title="Predictions that are no numbers", text=text)
    elif len(predicted) > 1 and np.ptp(predicted) == 0:
        text = f"The model answers {predicted[0]:.4g} to all {len(predicted)} samples."
        yield Finding(severity="serious", title="Constant predictions", text=text)
    constant, mae = metrics["mae_best_constant"].value, metrics["mae"].value
    if constant is not None and mae is not None and mae > constant:
        text = f"The mean absolute error is {mae:.4g}; always answering the median would reach {constant:.4g}."
        yield Finding(severity="serious", title="Worse than the best constant answer", text=text)


def of_data(
    fingerprints: NDArray[np.uint8], labels: NDArray[Any], name: Callable[[int], str], unit: str
) -> Iterator[Finding]:
    """Samples that stand in the test set twice: they count double, and may have been trained on.

    Args:
        fingerprints: (samples, 32), SHA-256 of each content.
        labels: (samples,), what each is labelled.
        name: what people call the sample at a place.
        unit: what the samples are: `rows`, `images`.
    """
    # eight bytes tell 5 million samples apart but for a chance of 1e-6, and sort in half a second
    keys = np.ascontiguousarray(fingerprints[:, :8]).view(np.uint64).ravel()
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1
    first, second = order[again - 1], order[again]
    differ = labels[first] != labels[second]
    if differ.any():
        named = "; ".join(
            f"{name(a)} ({labels[a]}) and {name(b)} ({labels[b]})" for a, b in _some(first[differ], second[differ])
        )
        n = int(differ.sum())
        text = f"{_stand(n, unit)} there again under another label: {named}{_more(n)}"
        yield Finding(severity="serious", title="The same sample under two labels", text=text)
    if not differ.all():
        named = "; ".join(f"{name(a)} and {name(b)}" for a, b in _some(first[~differ], second[~differ]))
        n = int((~differ).sum())
        text = f"Of {len(keys):,} {unit}, {_stand(n)} there more than once: {named}{_more(n)}"
        # rows of a few coarse columns are alike by nature
        severity: Literal["info", "warning"] = "info" if unit == "rows" and n < 0.01 * len(keys) else "warning"
        yield Finding(severity=severity, title="Duplicates in the test set", text=text)


def _some(first: NDArray[np.intp], second: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    return zip(first[:_NAMED].tolist(), second[:_NAMED].tolist(), strict=True)


def _stand(n: int, unit: str = "") -> str:
    """`1 row stands`, `3 images stand`; `1 stands` without a unit."""
    noun = unit.removesuffix("s") if n == 1 else unit
    return " ".join(filter(None, (f"{n:,}", noun, "stands" if n == 1 else "stand")))


def _more(n: int) -> str:
    return f"; and {n - _NAMED} more" if n > _NAMED else ""


def of_answers(together: Array, again: Array, alone: Array) -> Iterator[Finding]:
    """Scores, (PROBE, outputs) each, of the same samples: asked together, once more, and one by one."""
    if not np.isfinite(together).all():
        return  # told by another check
    if (gap := _gap(together, again)) > TOLERANCE:
        text = f"The same {len(together)} samples, asked twice, get scores that differ by up to {gap:.3g}."
        yield Finding(severity="serious", title="Two runs differ", text=text)
    elif (gap := _gap(together, alone)) > TOLERANCE:
        text = (
            f"Asked one by one, {len(together)} samples get scores that differ by up to {gap:.3g} from those they get "
            "together: a layer may still be in training mode (batch normalisation), so the model answers otherwise "
            "behind an endpoint."
        )
        yield Finding(severity="serious", title="Scores depend on the batch", text=text)


def of_runtime(failed_at: str | None) -> Iterator[Finding]:
    """A faster runtime that failed after its probe: the model's own answered in its place."""
    if failed_at is not None:
        text = (
            f"The faster runtime failed at some of the samples, which the model as it was loaded answered: {failed_at}."
        )
        yield Finding(severity="info", title="Two runtimes answered", text=text)


def _gap(a: Array, b: Array) -> float:
    """The largest difference, in proportion where scores are larger than 1."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b) / np.maximum(1, np.abs(a))
    return float(np.nan_to_num(gap, nan=np.inf).max(initial=0))


def of_endpoint(asked: ModelOptions) -> Iterator[Finding]:
    """Of a policy's own endpoint nobody knows what it serves."""
    if asked.endpoint_name is not None:
        text = f"Endpoint {asked.endpoint_name} was asked. Whether it serves this archive, nobody has looked."
        yield Finding(severity="info", title="Answered by a named endpoint", text=text)


def of_files(endpoint: PictureEndpoint, files: Sequence[Path]) -> Iterator[Finding]:
    """Pictures that lie on their side in the files that a handler gets."""
    turned = sum(map(is_turned, files)) if endpoint.of_files else 0
    if turned:
        text = (
            f"{turned} of {len(files)} pictures are to be turned as their EXIF data says, and the endpoint gets the "
            "files as they are: a handler that does not turn them sees them lying, as it does when it is used."
        )
        yield Finding(severity="info", title="Pictures that the model's handler has to turn", text=text)
