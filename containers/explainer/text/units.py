"""Where a text's tokens, sentences or paragraphs stand in it. Nothing is lost: they and what lies between are the text.

Tokens are those of spaCy's rules for a language, which come with it, where it has them. Else, and where spaCy is not
installed, they are the words of Unicode's default rules (UAX #29, "Unicode text segmentation"), simplified.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Literal

from assay.languages import MANY

Granularity = Literal["token", "sentence", "paragraph"]
Span = tuple[int, int]
"""Start and end, in characters from 0."""

BY_UNICODE = frozenset({"zh"})
"""spaCy's own Chinese without further packages cuts at each character, iPhone into six; Unicode keeps words whole."""


@dataclass(frozen=True)
class Segmenter:
    """Finds the units of texts."""

    split: Callable[[str], list[Span]]
    """The units in their order: not empty, not overlapping, only white space between them."""
    how: str
    """For people: whose rules these are."""
    instead_of: str = ""
    """Why they are not those of the language; empty: they are."""


def segmenter(granularity: Granularity, language: str) -> Segmenter:
    """The units of one language's texts.

    Args:
        granularity: what they are.
        language: a code of `assay.languages.NAMES`.
    """
    if granularity == "paragraph":
        return Segmenter(paragraphs, "blank lines, or line breaks where a text has none")
    if language in BY_UNICODE:
        return _by_unicode(granularity)
    try:
        import spacy  # 2.6 s; only a job on text gets here

        pipeline = spacy.blank(language)
    except ImportError as error:
        reason = " ".join(str(error).split()).partition(" (")[0]
        return _by_unicode(granularity, f"spaCy has no rules for language {language} here: {reason:.120}")
    pipeline.max_length = 10**12  # its limit is for parsers, which no blank pipeline has
    how = f"spaCy {version('spacy')}, blank:{language}"
    if granularity == "token" and language == MANY:
        how += ", and Unicode's default rules in scripts without spaces"
        return Segmenter(lambda text: _cut_further(text, _spacy_tokens(pipeline.make_doc(text))), how)
    if granularity == "token":
        return Segmenter(lambda text: _spacy_tokens(pipeline.make_doc(text)), how)
    pipeline.add_pipe("sentencizer")
    return Segmenter(lambda text: _within_paragraphs(text, lambda part: _spacy_sentences(pipeline(part))), how)


def _by_unicode(granularity: Granularity, instead_of: str = "") -> Segmenter:
    how = "Unicode's default rules, simplified"
    if granularity == "token":
        return Segmenter(words, how, instead_of)
    return Segmenter(lambda text: _within_paragraphs(text, sentences), how, instead_of)


def _spacy_tokens(doc: Any) -> list[Span]:
    return [(token.idx, token.idx + len(token)) for token in doc if not token.is_space]


def _cut_further(text: str, spans: list[Span]) -> list[Span]:
    """Of an unknown language: a token of a script without spaces may be a whole sentence, and its words are found."""
    return [
        (start + first, start + last)
        for start, end in spans
        for first, last in (
            words(text[start:end]) if _WITHOUT_SPACES_IN.search(text, start, end) else [(0, end - start)]
        )
    ]


def _spacy_sentences(doc: Any) -> list[Span]:
    return [(sentence.start_char, sentence.end_char) for sentence in doc.sents]


def _within_paragraphs(text: str, split: Callable[[str], list[Span]]) -> list[Span]:
    """Sentences end with their paragraph, whatever stands there."""
    return [
        span
        for start, end in paragraphs(text)
        for first, last in split(text[start:end])
        for span in _stripped(text, start + first, start + last)
    ]


def paragraphs(text: str) -> list[Span]:
    """What blank lines part; in a text without one, what line breaks part."""
    blocks: list[list[Span]] = [[]]
    end = 0
    for line in text.splitlines(keepends=True):
        start, end = end, end + len(line)
        if line.isspace():
            blocks.append([])
        else:
            blocks[-1].append((start, end))
    blocks = [block for block in blocks if block]
    parts = blocks if len(blocks) > 1 else [[line] for line in blocks[0]] if blocks else []
    return [span for part in parts for span in _stripped(text, part[0][0], part[-1][1])]


_SENTENCE_END = re.compile(r"[.!?…؟।॥۔։።]+[\"'”’»)\]]*(?=\s)|[。！？｡．]+[」』”’）]*")


def sentences(text: str) -> list[Span]:
    """What full stops of any script part, those of Latin and the like only before white space."""
    ends = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    return [span for start, end in pairwise(ends) for span in _stripped(text, start, end)]


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without the white space at its ends, if anything is left of it."""
    part = text[start:end]
    if not part.isspace() and part:
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())


_WORD = re.compile(
    r"(?:[LN][MJ]*)(?:[LN][MJ]*|(?<=[LNMJ])'(?=[LN])|(?<=N),(?=N))*"  # letters and numbers, don't, 3.14, 1,000
    r"|R[MJ]*R[MJ]*"  # a flag is two letters
    r"|[^S](?:M|J[^S]?)*"  # anything else by itself, with its marks; joined emoji are one
)


def words(text: str) -> list[Span]:
    """Words, numbers, and every other sign by itself, by the rules that hold in any script.

    Han, Hiragana and the scripts of South-East Asia that part no words are cut at each character with its marks.
    """
    classes = "".join(map(_class_of, text))
    return [found.span() for found in _WORD.finditer(classes)]


_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Tai Tham
    (0x3005, 0x3007),
    (0x3040, 0x309F),  # Hiragana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


_WITHOUT_SPACES_IN = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _WITHOUT_SPACES)}]")


@lru_cache(maxsize=65_536)
def _class_of(character: str) -> str:
    """White Space, Letter, Number, Mark, Joiner, Regional indicator, what joins words (' and ,), Other."""
    code, category = ord(character), unicodedata.category(character)
    if character.isspace():
        return "S"
    if category[0] == "M" or 0x1F3FB <= code <= 0x1F3FF:  # those are skin tones
        return "M"
    if category == "Cf":
        return "J" if code == 0x200D else "M"
    if category == "Nd" and not _is_in(code, _WITHOUT_SPACES):
        return "N"
    if (category[0] in "LN" and not _is_in(code, _WITHOUT_SPACES)) or category == "Pc":
        return "L"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "R"
    if character in "'’.·":
        return "'"
    return "," if character in ",;" else "O"


def _is_in(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)
