"""How long all metrics with their intervals take, beside scikit-learn: `python benchmarks/evaluator/bootstrap.py`.

Time: ours, from scores to every metric with its interval from 1,000 resamples; and scikit-learn's, of the same metrics
of one resample (`sample_weight`: how often each row was drawn), times 1,000. Interleaved, medians. Memory: the most
that a process of its own holds while it measures, above what it held before (Linux).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "containers"), str(ROOT / "layers" / "contracts")]

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402, F401  before memory is measured
from sklearn import metrics as peer  # noqa: E402

from evaluator.classification import TOP, Classified, measure  # noqa: E402
from evaluator.intervals import RESAMPLES  # noqa: E402

CASES = {"100,000 rows × 10 classes": (100_000, 10, 5), "4,900,000 rows × 2 classes": (4_900_000, 2, 3)}


def drawn(n: int, k: int) -> Classified:
    """A fair model: the true class's logit is 2 above the others on average."""
    random = np.random.default_rng(0)
    true = random.integers(0, k, n)
    scores = random.normal(size=(n, k))
    scores[np.arange(n), true] += 2
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return Classified(true, scores.argmax(axis=1), scores, tuple(map(str, range(k))), 1 if k == 2 else None)


def by_scikit_learn(found: Classified, weights: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """What it has of our metrics: all but the calibration error."""
    true, predicted, scores, k = found.true, found.predicted, found.probabilities, len(found.labels)
    for function in (
        peer.accuracy_score,
        peer.balanced_accuracy_score,
        peer.matthews_corrcoef,
        peer.cohen_kappa_score,
    ):
        function(true, predicted, sample_weight=weights)
    for average in ("macro", "weighted", "micro", None):
        peer.precision_recall_fscore_support(true, predicted, average=average, sample_weight=weights)
    peer.log_loss(true, scores, sample_weight=weights)
    peer.brier_score_loss(true, scores if k > 2 else scores[:, 1], sample_weight=weights)
    for number in range(k):
        peer.roc_auc_score(true == number, scores[:, number], sample_weight=weights)
        peer.average_precision_score(true == number, scores[:, number], sample_weight=weights)
    for top in TOP:
        if top < k:
            peer.top_k_accuracy_score(true, scores, k=top, sample_weight=weights)


def memory(case: str) -> float:
    """MiB."""
    found = drawn(*CASES[case][:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held("VmRSS")
    measure(found)
    return held("VmHWM") - before


def held(what: str) -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", choices=CASES, help="print the memory of one case, and nothing else")
    asked = parser.parse_args()
    if asked.memory:
        print(f"{memory(asked.memory):.0f}")
        return
    warnings.simplefilter("ignore")
    print(f"{RESAMPLES:,} resamples, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for case, (n, k, times) in CASES.items():
        found, ours, theirs = drawn(n, k), [], []
        weights = np.bincount(np.random.default_rng(1).integers(0, n, n), minlength=n).astype(np.float64)
        for _ in range(times):
            began = time.perf_counter()
            measure(found)
            middle = time.perf_counter()
            by_scikit_learn(found, weights)
            ours.append(middle - began)
            theirs.append(time.perf_counter() - middle)
        child = subprocess.run(
            [sys.executable, __file__, "--memory", case], check=True, capture_output=True, text=True
        ).stdout.strip()
        spread = f"{median(ours):.1f} s ({min(ours):.1f} to {max(ours):.1f})"
        whole = RESAMPLES * median(theirs)
        print(
            f"{case}: {spread}, {child} MiB; scikit-learn: {median(theirs):.2f} s a resample, "
            f"{whole / 60:.0f} min for all, {whole / median(ours):.0f} times ours"
        )


if __name__ == "__main__":
    main()
