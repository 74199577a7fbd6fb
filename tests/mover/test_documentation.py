"""The reference names every option, every key of the result, every class; the explanation defines the digests as they are."""

import argparse
from pathlib import Path

from mover.attributes import CLASSES
from mover.cli import _parser
from mover.result import Facts, result_of
from mover.tally import Tally

REFERENCE = (Path(__file__).resolve().parents[2] / "docs/reference/mover.md").read_text()


def test_every_option_and_class_is_in_the_reference() -> None:
    commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = {
        option for parser in commands.choices.values() for a in parser._actions for option in a.option_strings
    }
    missing = [
        name
        for name in (options - {"-h", "--help"}) | CLASSES
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
