"""Kubernetes quantities: "10Gi", "1500m", "1e3"."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
Quantity = str | int | float


def amount(quantity: Quantity) -> Decimal:
    """The number that a quantity stands for; `ValueError` when it is none."""
    text = str(quantity).strip()
    for length in (2, 1):
        suffix = text[-length:]
        if suffix in SUFFIXES and len(text) > length:
            number, factor = text[:-length], SUFFIXES[suffix]
            break
    else:
        number, factor = text, Decimal(1)
    try:
        return Decimal(number) * factor
    except InvalidOperation:
        raise ValueError(f"Not a quantity: {text!r}.") from None


def in_bytes(quantity: Quantity | None) -> int:
    """Whole bytes, rounded up; 0 for none."""
    return 0 if quantity is None else int(amount(quantity).to_integral_value(ROUND_CEILING))


def text_of(size_bytes: int) -> str:
    """The shortest exact quantity for `size_bytes`: 1073741824 -> "1Gi"."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        factor = int(SUFFIXES[suffix])
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{suffix}"
    return str(size_bytes)
