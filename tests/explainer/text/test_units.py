"""Tokens, sentences and paragraphs stand where they say, and nothing of a text is lost between them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.languages import NAMES, language_code
from explainer.text.game import grouped
from explainer.text.units import Granularity, Segmenter, paragraphs, segmenter, sentences, words

HARD = " \n\r\tab’'.,;!?。،।12x_-é\u0301\u200d🇩🇪👍🏽👩हि\u0e01\u0e31日한<&>\x00"


def cut(found: Segmenter, text: str) -> list[str]:
    return [text[start:end] for start, end in found.split(text)]


@pytest.fixture(scope="module")
def by_spacy() -> dict[str, Segmenter]:
    pytest.importorskip("spacy")
    return {granularity: segmenter(granularity, "en") for granularity in get_args(Granularity)}


def check_law(found: Segmenter, text: str) -> None:
    """In order, not empty, and only white space lies between: units and gaps are the text."""
    rebuilt, end = "", 0
    for start, stop in found.split(text):
        assert end <= start < stop
        assert not text[end:start].strip()
        assert text[start:stop] == text[start:stop].strip()
        rebuilt += text[end:start] + text[start:stop]
        end = stop
    assert not text[end:].strip()
    assert rebuilt + text[end:] == text


@given(st.text(st.sampled_from(HARD) | st.characters(exclude_categories=["Cs"]), max_size=60))
def test_units_and_what_lies_between_are_the_text(text: str) -> None:
    for split in (words, sentences, paragraphs):
        check_law(Segmenter(split, ""), text)


@given(text=st.text(st.sampled_from(HARD), max_size=60))
def test_so_are_spacys(by_spacy: dict[str, Segmenter], text: str) -> None:
    for found in by_spacy.values():
        check_law(found, text)


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en", "It's 3.5, Mr. X!", ["It", "'s", "3.5", ",", "Mr.", "X", "!"]),
        ("de", "Das ist z.B. gut.", ["Das", "ist", "z.B.", "gut", "."]),
        ("fr", "L'eau d'ici", ["L'", "eau", "d'", "ici"]),
        ("pt", "Não, obrigado.", ["Não", ",", "obrigado", "."]),
        ("ru", "Очень хорошо!", ["Очень", "хорошо", "!"]),
        ("ar", "مرحبا بالعالم،", ["مرحبا", "بالعالم", "،"]),
        ("hi", "यह अच्छा है।", ["यह", "अच्छा", "है", "।"]),
        ("zh", "我买了iPhone 15。", ["我", "买", "了", "iPhone", "15", "。"]),
        ("xx", "hello, мир", ["hello", ",", "мир"]),
        ("xx", "z.B. iPhoneは良い。ok", ["z.", "B.", "iPhone", "は", "良", "い", "。", "ok"]),
    ],
)
def test_tokens_of_nine_languages(language: str, text: str, tokens: list[str]) -> None:
    pytest.importorskip("spacy")
    found = segmenter("token", language)
    assert cut(found, text) == tokens
    assert found.instead_of == ""
    assert found.how.startswith("Unicode" if language == "zh" else "spaCy 3.")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't pay 1,000.50€", ["Don't", "pay", "1,000.50", "€"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("今日は良い", ["今", "日", "は", "良", "い"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("👩‍👩‍👧🇩🇪🇫🇷👍🏽", ["👩‍👩‍👧", "🇩🇪", "🇫🇷", "👍🏽"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("a-b (c)", ["a", "-", "b", "(", "c", ")"]),
        ("", []),
    ],
)
def test_tokens_by_unicodes_rules(text: str, tokens: list[str]) -> None:
    assert [text[start:end] for start, end in words(text)] == tokens


@pytest.mark.parametrize("language", ["ja", "ko", "th", "vi"])
def test_languages_that_spacy_needs_more_for_are_cut_by_unicode_and_say_so(language: str) -> None:
    found = segmenter("token", language)
    if not found.instead_of:
        pytest.skip(f"spaCy has all it needs for {language} here")
    assert found.instead_of.startswith(f"spaCy has no rules for language {language} here: ")
    assert cut(found, "abc, d") == ["abc", ",", "d"]


def test_without_spacy_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    found = segmenter("sentence", "en")
    assert "spacy" in found.instead_of
    assert cut(found, 'One. "Two?" Three') == ["One.", '"Two?"', "Three"]
    assert segmenter("paragraph", "en").instead_of == ""


def test_sentences_end_with_their_paragraph(by_spacy: dict[str, Segmenter]) -> None:
    text = "Mr. X paid 3.5. Really?! Yes\n\nno stop here\n\nEnd."
    assert cut(by_spacy["sentence"], text) == ["Mr. X paid 3.5.", "Really?!", "Yes", "no stop here", "End."]
    assert ["今日。良い！はい"[start:end] for start, end in sentences("今日。良い！はい")] == [
        "今日。",
        "良い！",
        "はい",
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one\ntwo\n\nthree\r\n \r\nfour", ["one\ntwo", "three", "four"]),
        ("a\nb\r\nc", ["a", "b", "c"]),
        ("\n\n a\nb \n", ["a", "b"]),
        ("alone", ["alone"]),
        ("  \n ", []),
    ],
)
def test_blank_lines_part_paragraphs_or_else_line_breaks(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in paragraphs(text)] == parts


def test_a_language_is_known_by_code_and_by_name() -> None:
    assert len(NAMES) == 64
    for code, name in NAMES.items():
        assert language_code(code) == language_code(name.upper()) == code
    with pytest.raises(ValueError, match="'klingon' is no language known here"):
        language_code("klingon")


def test_long_texts_are_taken_in_runs_of_neighbours() -> None:
    spans = [(place, place + 1) for place in range(0, 20, 2)]
    assert grouped(spans, 10) == spans
    assert grouped(spans, 9) == [(0, 3), (4, 7), (8, 11), (12, 15), (16, 19)]
    assert grouped(spans, 4) == [(0, 5), (6, 11), (12, 17), (18, 19)]
    assert grouped([], 4) == []
