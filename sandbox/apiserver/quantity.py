"""Kubernetes quantities: 1Gi, 500m, 1e3."""

from __future__ import annotations

import re
from fractions import Fraction

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$")
_BINARY: dict[str, int] = {
    suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
FORM_WORDS = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: object) -> Fraction:
    """The number. ValueError when it is not a quantity."""
    found = _FORM.match(str(text))
    if not found:
        raise ValueError(FORM_WORDS)
    number, binary, decimal, exponent = found.groups()
    value = Fraction(number)
    if binary:
        return value * _BINARY[binary]
    power = _DECIMAL[decimal] if decimal else int(exponent or 0)
    return value * _power_of_ten(power)


def _power_of_ten(power: int) -> Fraction:
    digits = int("1" + "0" * abs(power))
    return Fraction(digits, 1) if power >= 0 else Fraction(1, digits)


def canonical(text: object) -> str:
    """A quantity as the API server writes it back: 1024Mi becomes 1Gi. ValueError when it is none."""
    value = parse(text)
    if str(text).endswith("i"):
        return from_binary(value)
    return _from_decimal(value)


def from_binary(value: Fraction) -> str:
    """With the largest binary suffix that leaves a whole number."""
    if value.denominator != 1:
        return _from_decimal(value)
    number = value.numerator
    best = str(number)
    for suffix, factor in _BINARY.items():
        if number and number % factor == 0:
            best = f"{number // factor}{suffix}"
    return best


def _from_decimal(value: Fraction) -> str:
    if value == 0:
        return "0"
    for suffix, power in (
        ("E", 18),
        ("P", 15),
        ("T", 12),
        ("G", 9),
        ("M", 6),
        ("k", 3),
        ("", 0),
        ("m", -3),
        ("u", -6),
    ):
        scaled = value / _power_of_ten(power)
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    return f"{-(-value * 10**9 // 1)}n"


def show_sum(value: Fraction, like: object) -> str:
    """A sum in the form of one of its parts."""
    return from_binary(value) if str(like).endswith("i") else _from_decimal(value)
