"""`manage.py procedure`: renders the table of steps and the diagram of states into docs/reference/procedure.md."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from migrations_app import procedure
from migrations_app.states import TRANSITIONS, State

PAGE = Path("docs/reference/procedure.md")


def steps_table() -> str:
    """The steps in order, as a Markdown table."""
    lines = ["| phase | step | what it does | leaves as evidence |", "|---|---|---|---|"]
    for phase, steps in procedure.by_phase():
        for number, step in enumerate(steps):
            gate = " (gate)" if step.gate else ""
            name = f"{step.title}{gate} `{step.key}`"
            lines.append(f"| {phase.label if number == 0 else ''} | {name} | {step.does} | {step.leaves} |")
    return "\n".join(lines)


def states_table() -> str:
    """Every state with its words and where it may go."""
    lines = ["| state | on the page | may become |", "|---|---|---|"]
    for state in State:
        following = ", ".join(f"`{to}`" for to in State if to in TRANSITIONS[state]) or "nothing: it is over"
        lines.append(f"| `{state}` | {state.label} | {following} |")
    return "\n".join(lines)


def diagram() -> str:
    """The states as a Mermaid diagram."""
    name = {state: state.value.replace("-", "_") for state in State}
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{state.label}" as {name[state]}' for state in State]
    lines.append(f"    [*] --> {name[State.DRAFT]}")
    for state in State:
        lines += [f"    {name[state]} --> {name[to]}" for to in State if to in TRANSITIONS[state]]
        if not TRANSITIONS[state]:
            lines.append(f"    {name[state]} --> [*]")
    return "\n".join([*lines, "```"])


PARTS = {"steps": steps_table, "states": states_table, "diagram": diagram}


def rendered(text: str) -> str:
    """`text` with everything between the markers made anew."""
    for part, render in PARTS.items():
        pattern = re.compile(rf"<!-- {part} -->\n.*?<!-- end of {part} -->", re.DOTALL)
        if not pattern.search(text):
            raise CommandError(f"{PAGE} has no markers for {part}.")
        new = f"<!-- {part} -->\n{render()}\n<!-- end of {part} -->"
        text = pattern.sub(new.replace("\\", r"\\"), text)
    return text


class Command(BaseCommand):
    help = "Renders the procedure's steps and states into docs/reference/procedure.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit 1 when it is not current"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / PAGE
        before = page.read_text()
        after = rendered(before)
        if options["check"] and before != after:
            raise CommandError(f"{PAGE} is not current: run manage.py procedure.")
        if before == after:
            self.stdout.write(f"{PAGE} is current.")
            return
        page.write_text(after)
        self.stdout.write(f"{PAGE} is written.")
