"""Games of models whose Shapley values are known exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explainer.shapley import logit
from explainer.text.game import CHARACTERS_AT_ONCE, RowGame
from explainer.text.units import words

WEIGHTS = {"good": [1.0, -1.0], "bad": [-2.0, 2.0], "not": [-0.5, 0.25], "<UNK>": [0.125, 0.0], "ok": [0.5, 0.5]}


class BagOfWords:
    """The sum of the words' weights, and a number for a category: additive, so each word's value is its weight."""

    def __init__(self) -> None:
        self.asked: list[dict[str, NDArray[Any]]] = []

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        self.asked.append(dict(columns))
        rows = [
            sum((np.array(WEIGHTS.get(word, [0, 0])) for word in text.split()), np.zeros(2)) for text in columns["text"]
        ]
        scores = np.array(rows).reshape(-1, 2)
        if "kind" in columns:
            scores += np.array([[3.0, 0.0] if kind == "book" else [0.0, 0.0] for kind in columns["kind"]])
        if "price" in columns:
            scores[:, 1] += 10 * columns["price"]
        return scores

    @property
    def texts(self) -> list[str]:
        return [text for columns in self.asked for text in columns["text"].tolist()]


def objects(*values: str) -> NDArray[Any]:
    return np.array(values, dtype=object)


def game(text: str, ask: Any, *replacements: str) -> RowGame:
    return RowGame({"text": text}, {"text": words(text)}, ["text"], {"text": objects(*replacements)}, ask)


@pytest.mark.parametrize("replacement", ["", "<UNK>", "ok", "not good"])
def test_a_word_of_a_bag_of_words_is_worth_its_weight_less_its_replacements(replacement: str) -> None:
    text = "  good  bad\tnot good , fine\n"
    explanation = game(text, BagOfWords(), replacement).explain(None, 0, None)
    instead = sum((np.array(WEIGHTS[word]) for word in replacement.split()), np.zeros(2))
    own = [np.array(WEIGHTS.get(word, [0, 0])) for word in text.split()]
    np.testing.assert_allclose(explanation.values, np.array(own) - instead, atol=1e-9)
    assert explanation.exact
    np.testing.assert_allclose(explanation.base, 6 * instead, atol=1e-12)
    np.testing.assert_allclose(explanation.base + explanation.values.sum(axis=0), explanation.prediction, atol=1e-9)


def test_what_lies_between_the_units_stays() -> None:
    model = BagOfWords()
    game(" a\n b, ", model, "<UNK>").explain(None, 0, None)
    assert set(model.texts) == {
        f" {a}\n {b}{comma} " for a in ("a", "<UNK>") for b in ("b", "<UNK>") for comma in (",", "<UNK>")
    }


def test_of_several_baseline_rows_the_mean_counts() -> None:
    values = game("good", BagOfWords(), "", "bad", "good").explain(None, 0, None).values
    np.testing.assert_allclose(values, [[1 - (0 - 2 + 1) / 3, -1 - (0 + 2 - 1) / 3]], atol=1e-12)


def test_text_beside_a_category_and_a_number() -> None:
    row = {"kind": "book", "text": "good bad", "price": 2.0}
    baseline = {"kind": objects("toy", "book"), "text": objects("", "ok"), "price": np.array([0.5, np.nan])}
    ask = BagOfWords()

    def known(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        return ask({**columns, "price": np.nan_to_num(columns["price"], nan=1.5)})

    one = RowGame(row, {"text": words("good bad")}, list(row), baseline, known)
    values = one.explain(None, 0, None).values
    assert [(player.feature, player.span) for player in one.players] == [
        ("kind", None),
        ("text", (0, 4)),
        ("text", (5, 8)),
        ("price", None),
    ]
    expected = [[3 - 1.5, 0], [1 - 0.25, -1 - 0.25], [-2 - 0.25, 2 - 0.25], [0, 10 * (2 - (0.5 + 1.5) / 2)]]
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_features_that_are_not_explained_keep_the_rows_own_values() -> None:
    model = BagOfWords()
    row = {"kind": "book", "text": "good bad"}
    baseline = {"kind": objects("toy"), "text": objects("")}
    found = RowGame(row, {"text": words("good bad")}, ["text"], baseline, model).explain(None, 0, None)
    np.testing.assert_allclose(found.values, [WEIGHTS["good"], WEIGHTS["bad"]], atol=1e-9)
    assert found.base.tolist() == [3.0, 0.0]
    assert {kind for columns in model.asked for kind in columns["kind"].tolist()} == {"book"}


def test_a_game_of_pairs_is_exact_however_few_the_samples() -> None:
    """v(S) = |S|² over n words: each is worth n."""

    def squared(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        return np.array([[float(len(text.split())) ** 2] for text in columns["text"].tolist()])

    text = " ".join(f"w{place}" for place in range(30))
    explanation = game(text, squared, "").explain(200, 7, None)
    assert not explanation.exact and explanation.coalitions == 200
    np.testing.assert_allclose(explanation.values, 30.0, atol=1e-8)


def test_one_seed_gives_the_same_values_and_another_others() -> None:
    def product(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        return np.array([[np.sin(3.0 * len(text))] for text in columns["text"].tolist()])

    text = " ".join("abcdefghijklmnopqrstuvwxyz"[: 1 + place] for place in range(20))
    first, again, other = (game(text, product, "").explain(60, seed, None).values for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 1e-3


def test_log_odds_add_up_in_their_own_units() -> None:
    def chance(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-BagOfWords()(columns)))

    explanation = game("good bad ok", chance, "").explain(None, 0, logit)
    np.testing.assert_allclose(explanation.values, [WEIGHTS["good"], WEIGHTS["bad"], WEIGHTS["ok"]], atol=1e-6)
    np.testing.assert_allclose(explanation.gap, 0, atol=1e-12)


def test_units_that_are_their_own_replacement_are_in_no_coalition() -> None:
    model = BagOfWords()
    explanation = game("ok good ok", model, "ok").explain(None, 0, None)
    assert explanation.values.tolist() == [[0, 0], [0.5, -1.5], [0, 0]]
    assert sorted(model.texts) == ["ok good ok", "ok ok ok"]
    assert explanation.exact


def test_a_text_without_units_has_no_players() -> None:
    for text in ("", " \n"):
        explanation = game(text, BagOfWords(), "ok").explain(None, 0, None)
        assert explanation.values.shape == (0, 2)
        assert explanation.gap.tolist() == [0, 0]


def test_rows_that_are_alike_are_asked_about_once() -> None:
    model = BagOfWords()
    explanation = game("good good good good", model, "").explain(None, 0, None)
    assert explanation.coalitions == 14
    assert max(Counter(model.texts).values()) == 1
    np.testing.assert_allclose(explanation.values, [[1.0, -1.0]] * 4, atol=1e-9)


def test_long_texts_are_asked_about_in_calls_that_fit_memory() -> None:
    model = BagOfWords()
    text = " ".join(["x" * 4000, *(f"w{place}" for place in range(19))])
    game(text, model, "y" * 400).explain(2000, 0, None)
    sizes = [sum(map(len, columns["text"].tolist())) for columns in model.asked]
    assert len(sizes) > 1
    assert max(sizes) <= CHARACTERS_AT_ONCE
    assert sum(sizes) > CHARACTERS_AT_ONCE / 2


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="scores hold nan"):
        game("good", lambda columns: np.full((len(columns["text"]), 1), np.nan), "").explain(None, 0, None)
