"""What a figure or a sentence may still say in public: few digits, no small count, no word that quotes the rows."""

import math
import re

from audit.report.vocabulary import WORDS

SMALLEST_COUNT = 10
DIGITS = 3
DECIMALS = 4
HIDDEN = "(suppressed)"
INTERNAL = "in the internal report"
MOST_TEXT = 600
_QUOTED = re.compile(r"“[^”]*”|‘[^’]*’|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_FEW_ROWS = re.compile(r"(?<![\d.,])[1-9] (?=(?:rows?|people|persons?|records?|members?|units?|others?|queries)\b)")
_STRANGE = re.compile(r"[^\w\s.,;:()\[\]%×·/+=<>≤≥–—−’'“”|{}*!?-]")


def figure(value: float, digits: int = DIGITS) -> float:
    """Return a figure with few digits and few decimals."""
    if not math.isfinite(value):
        return value
    return round(float(f"{value:.{digits}g}"), DECIMALS)


def count(value: int) -> int:
    """Return a count with three digits; one under ten, which would tell of a few people, becomes 0."""
    return 0 if abs(value) < SMALLEST_COUNT else int(float(f"{value:.{DIGITS}g}"))


def sentence(text: str, known: frozenset[str]) -> str | None:
    """Return a sentence in public words, its numbers rounded; None where it holds any other word.

    Args:
        text: The sentence.
        known: Names that may be quoted: columns and metrics.
    """
    if len(text) > MOST_TEXT or _STRANGE.search(_QUOTED.sub("", text)):
        return None
    parts = _QUOTED.split(text)
    quotes = [each if each[1:-1] in known else HIDDEN for each in _QUOTED.findall(text)]
    if not all(_plain(part, known) for part in parts):
        return None
    told = [_rounded(part) for part in parts]
    return "".join(a + b for a, b in zip(told, [*quotes, ""], strict=True))


def _plain(text: str, known: frozenset[str]) -> bool:
    for name in sorted(known, key=len, reverse=True):
        if "." in name or "_" in name:
            text = text.replace(name, " ")
    return all(_is_word(token) for token in _TOKEN.findall(text.replace("_", " ")))


def _is_word(token: str) -> bool:
    low = token.lower()
    return low in WORDS or all(part in WORDS for part in re.split("['’-]", low)) or low in ("ε", "r²", "e", "s")


def _rounded(text: str) -> str:
    text = _FEW_ROWS.sub("fewer than 10 ", text)
    return _NUMBER.sub(_short, text)


def _short(found: re.Match[str]) -> str:
    value = float(found[0].replace(",", ""))
    if value.is_integer() and value < 10**DIGITS:
        return found[0]
    return f"{float(f'{value:.{DIGITS}g}'):,.10g}" if value >= 1 else f"{figure(value):.4g}"
