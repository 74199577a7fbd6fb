"""The reference names every option, every key of the result, every class; the explanation defines the digests as they are."""

from pathlib import Path

from mover.attributes import CLASSES
from mover.options import OPTIONS
from mover.result import Facts, result_of
from mover.tally import Tally

REFERENCE = (Path(__file__).resolve().parents[2] / "docs/reference/mover.md").read_text()


def test_every_option_and_class_is_in_the_reference() -> None:
    missing = [
        name
        for name in {option.name for option in OPTIONS} | CLASSES
        if f"`{name}" not in REFERENCE and name not in REFERENCE
    ]
    assert missing == []


def test_every_key_of_the_result_is_in_the_reference() -> None:
    facts = Facts("verify", None, "equal", 1.0, {}, [], [], two_sides=True, phase_seconds={})
    result = result_of(facts, Tally())
    assert [key for key in result if f"`{key}`" not in REFERENCE] == []
    side = result["source"]
    assert isinstance(side, dict)
    assert [key for key in side if f'"{key}"' not in REFERENCE] == []
