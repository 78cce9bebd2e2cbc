"""Words, numbers and foreign text as the page shows them: bounded in length, escaped, isolated."""

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import date

from markupsafe import Markup
from pydantic import JsonValue

NAME_LENGTH = 48
TEXT_LENGTH = 600
DEEPEST = 3
STATUS: dict[str, tuple[str, str]] = {
    "accepted": ("✓", "pass"),
    "refused": ("✕", "fail"),
    "passed": ("✓", "passed"),
    "failed": ("✕", "failed"),
    "inconclusive": ("?", "inconclusive"),
    "invalid": ("!", "invalid"),
    "reported": ("·", "reported only"),
    "not_computed": ("–", "not computed"),
}
_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTIONS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def clean(text: object, length: int = TEXT_LENGTH) -> str:
    """Return text without control characters and direction overrides, cut to a length."""
    shown = _DIRECTIONS.sub("", _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", str(text)))
    if len(shown) <= length:
        return shown
    cut = shown[: length - 1]
    while cut and unicodedata.combining(cut[-1]):
        cut = cut[:-1]
    return cut.rstrip("\N{ZERO WIDTH JOINER}") + "…"


def name(text: object, length: int = NAME_LENGTH) -> Markup:
    """Return a name from the data, cut, escaped, and isolated from the direction of the text around it."""
    return Markup("<bdi>{}</bdi>").format(clean(text, length))


def number(value: float | int | None) -> str:
    """Return a number with three significant digits, or a dash for none; below 1, enough digits not to read as 1."""
    if value is None:
        return "–"
    size = abs(value)
    if isinstance(value, int) or (value.is_integer() and size < 1e15) or 999.5 <= size < 1e15:
        shown = f"{size:,.0f}"
    elif size >= 1e15 or size < 1e-4:
        shown = f"{size:.2e}"
    else:
        digits = next(digits for digits in range(3, 18) if size > 1 or float(f"{size:.{digits}g}") < 1)
        shown = f"{size:#.{digits}g}".removesuffix(".")
    return f"\N{MINUS SIGN}{shown}" if value < 0 else shown


def tick(value: float) -> str:
    """Return a number beside an axis, as short as it goes."""
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}", 1) if value < 0 else f"{value:.6g}"


def limit(value: float) -> str:
    """Return a limit with three significant digits and no zeros after them."""
    return tick(float(f"{value:.3g}"))


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as a percentage with enough digits to tell small ones apart."""
    if share is None:
        return "–"
    hundredth = 100 * share
    if 0 < hundredth < 0.05:
        return "under 0.1 %"
    return f"{hundredth:.1f} %" if hundredth < 99.95 or share >= 1 else "over 99.9 %"


def seconds(value: float) -> str:
    """Return a duration in seconds as people say it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def plain(value: JsonValue) -> str:
    """Return a setting or a figure of a fit as text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(json.dumps(value, ensure_ascii=False))
    return number(value)


def leaves(settings: Mapping[str, JsonValue], above: str = "") -> list[tuple[str, str]]:
    """Return nested settings one by one, each with its dotted name and its value as text."""
    found: list[tuple[str, str]] = []
    for key, value in settings.items():
        deep = isinstance(value, dict) and bool(value) and above.count(".") < DEEPEST
        found += leaves(value, f"{above}{key}.") if deep and isinstance(value, dict) else [(above + key, plain(value))]
    return found


def badge(status: str) -> Markup:
    """Return a verdict as a symbol, a word and a colour."""
    symbol, word = STATUS[status]
    return Markup('<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>').format(status, symbol, word)


def expectation(text: str) -> str:
    """Return an expectation's name as words: `expect_column_to_exist` becomes “column to exist”."""
    return clean(text.removeprefix("expect_").replace("_", " "), 90)


def day(when: date) -> str:
    """Return a day as people say it."""
    return f"{when.day} {when:%B %Y}"
