"""Numbers as people read them. Everything here returns plain text; the page escapes it."""

import math
from collections.abc import Sequence

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NOT_THERE = "–"
THIN = "\u202f"


def plain(value: float | None, digits: int = 2) -> str:
    """Two significant digits, as a power of ten where that is shorter: 0, 0.018, 3.1 × 10⁻⁶, 12,400, ∞."""
    if value is None:
        return NOT_THERE
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return minus(_positional(value, digits))
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if math.isclose(value, 10.0 ** int(exponent)):
        return "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return minus(f"{mantissa}{THIN}×{THIN}10") + str(int(exponent)).translate(SUPERSCRIPTS)


def exact(value: float) -> str:
    """A limit that somebody set, as it was written: 0.005, 10⁻⁴."""
    return minus(f"{value:g}") if 1e-3 <= abs(value) < 1e6 else plain(value)


def fixed(value: float | None, decimals: int) -> str:
    """Always as many decimals, so that a column of figures is aligned."""
    if value is None or not math.isfinite(value):
        return plain(value)
    return minus(f"{value:z,.{decimals}f}")


def signed(value: float | None, decimals: int) -> str:
    """With its sign, for differences; what rounds to zero has none."""
    if value is None or not math.isfinite(value):
        return plain(value)
    text = f"{value:+z,.{decimals}f}"
    return minus(text) if any(digit in text for digit in "123456789") else text[1:]


def percent(share: float | None, decimals: int = 1) -> str:
    return NOT_THERE if share is None else f"{fixed(100 * share, decimals)}{THIN}%"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.2f}{THIN}{unit}"
    return f"{count}{THIN}bytes"


def decimals_for(*values: float | None) -> int:
    """How many decimals show about four digits of the largest of the values."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return 4 if largest == 0 else min(6, max(0, 3 - math.floor(math.log10(largest))))


def listed(words: Sequence[str], last: str = "and") -> str:
    """a; a and b; a, b and c."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def minus(text: str) -> str:
    """With a true minus sign, as wide as a digit."""
    return text.replace("-", "−")


def _positional(value: float, digits: int) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
