"""Shapley values of any `predict(batch) -> scores`, by KernelSHAP. NumPy only; knows no model format and no file.

    >>> import numpy as np
    >>> from explainer.shapley import explain_rows
    >>> def predict(batch):  # (inputs, features) -> (inputs, outputs)
    ...     return (batch[:, 0] * batch[:, 1] + 3 * batch[:, 2])[:, None]
    >>> rows, baseline = np.array([[1.0, 2.0, 3.0]]), np.zeros((1, 3))
    >>> for row in explain_rows(predict, rows, baseline, num_samples=500, seed=0):
    ...     row.values[:, 0].round(6).tolist()  # (features, outputs): how far each moves the score from the baseline's
    [1.0, 1.0, 9.0]

A row's explanation also has `interval`, the 95 % intervals of the values, (lower, upper), each (features, outputs);
`gap`, what the values do not add up to, (outputs,), which is rounding; `exact`, `calls` and more.

The game: v(S) is the model's mean score when the features in S have the row's values and the others those of a
baseline row, averaged over the baseline. `explain_game` takes any other game as a function of coalitions, such as one
whose players are the segments of a picture.

How the estimate is made, and where each step comes from (docs/mathematics.md has formulas and measurements):

1. Features that equal the baseline cannot matter: they leave the game with the value 0.
2. Where the budget covers all 2ⁿ - 2 coalitions they are all asked, and the values are exact.
3. Else Shapley values are the solution of a weighted least-squares problem over coalitions (Lundberg and Lee 2017,
   "A unified approach to interpreting model predictions"), solved on a sample of them.
4. Coalitions come in pairs {S, complement of S} (Covert and Lee 2021, "Improving KernelSHAP"): what is even in the
   game cancels, so games of pairwise interactions come out exact.
5. Sizes are drawn by leverage score, which is the same for each size (Musco and Witter 2025, "Provably accurate
   Shapley value estimation via leverage score sampling"); no coalition twice, small sizes whole, and within a size
   each feature equally often.
6. The constraint that the values add up to f(x) - f(baseline) is eliminated, not penalised: it holds to rounding,
   however small the budget.
7. Below three coalitions a player, chains of coalitions that grow by a player at a time tell more (Mitchell et al.
   2022, "Sampling permutations for Shapley value estimation").
8. A surrogate, a kernel ridge regression whose own Shapley values are known, foresees the odd interactions, which are
   all that matters of them, and the regression explains what it misses (Witter et al. 2025, "Regression-adjusted
   Monte Carlo estimators"). Its constants are the same for all games, so all this is linear in the game.
9. One solve gives a matrix that serves all rows and all outputs, and another one their standard errors (White 1980).
10. With `surrogate=True` the surrogate learns for each row which features interact: closer, and slower by far than a
   fast model, so the caller chooses. See `surrogate`.
"""

from explainer.shapley.explain import Explanation, Predict, RowExplainer, explain_game, explain_rows, logit
from explainer.shapley.plan import NORMAL_95, Plan, default_samples, make_plan, too_few

__all__ = [
    "NORMAL_95",
    "Explanation",
    "Plan",
    "Predict",
    "RowExplainer",
    "default_samples",
    "explain_game",
    "explain_rows",
    "logit",
    "make_plan",
    "too_few",
]
