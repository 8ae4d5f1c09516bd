"""The languages of texts, by the names and ISO 639 codes that Clarify's SDK takes, and Korean."""

from __future__ import annotations

import difflib

# Source: sagemaker.core.clarify.TextConfig, which takes all of these but Korean.
_PAIRS = """
af afrikaans, ar arabic, bg bulgarian, bn bengali, ca catalan, cs czech, da danish, de german, el greek, en english,
es spanish, et estonian, eu basque, fa persian, fi finnish, fr french, ga irish, gu gujarati, he hebrew, hi hindi,
hr croatian, hu hungarian, hy armenian, id indonesian, is icelandic, it italian, ja japanese, kn kannada, ko korean,
ky kyrgyz, lb luxembourgish, lij ligurian, lt lithuanian, lv latvian, mk macedonian, ml malayalam, mr marathi,
nb norwegian bokmål, ne nepali, nl dutch, pl polish, pt portuguese, ro romanian, ru russian, sa sanskrit, si sinhala,
sk slovak, sl slovenian, sq albanian, sr serbian, sv swedish, ta tamil, te telugu, th thai, tl tagalog, tn setswana,
tr turkish, tt tatar, uk ukrainian, ur urdu, vi vietnamese, xx multi-language, yo yoruba, zh chinese
"""
NAMES: dict[str, str] = {code: name for code, _, name in (pair.strip().partition(" ") for pair in _PAIRS.split(","))}
"""Code → name."""
MANY = "xx"
"""Several languages, or an unknown one."""
NOT_CLARIFYS = frozenset({"ko"})


def language_code(language: str) -> str:
    """The code of a language given by code or name, in any case; ValueError for one that is not known."""
    wanted = language.strip().casefold()
    if wanted in NAMES:
        return wanted
    codes = {name: code for code, name in NAMES.items()}
    if wanted in codes:
        return codes[wanted]
    near = difflib.get_close_matches(wanted, codes, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(NAMES))} and their English names"
    raise ValueError(f"{language!r} is no language known here; {hint}")
