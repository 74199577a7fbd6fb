"""Verifies and exports the audit trail."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit import chain, checkpoint, guards
from audit.exporting import export
from audit.listing import Filters
from audit.models import Event
from audit.trail import Actor


class Command(BaseCommand):
    help = "audit verify: exit 0 when the trail is whole, 1 when it is broken, and where. audit export: write it out. audit checkpoint: sign its head now."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="check every event, their order, and the signed checkpoints")
        verify.add_argument(
            "--checkpoints", type=Path, metavar="FILE", help="signed checkpoints that were kept elsewhere"
        )
        verify.add_argument(
            "--public-key", type=Path, metavar="FILE", help="the public key (PEM) that they are signed with"
        )
        out = verbs.add_parser("export", help="write JSON Lines, CSV, a manifest and a verifier into a zip")
        out.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory for the zip")
        verbs.add_parser(
            "checkpoint", help="sign the head now and append it to HOLDFAST_AUDIT_CHECKPOINT_FILE"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "verify":
            self._verify(options["checkpoints"], options["public_key"])
        elif options["verb"] == "export":
            self._export(options["out"])
        else:
            self._checkpoint()

    def _verify(self, checkpoints: Path | None, key_file: Path | None) -> None:
        if (checkpoints is None) != (key_file is None):
            raise CommandError("--checkpoints and --public-key go together.", returncode=2)
        marks, problems = self._marks(checkpoints, key_file)
        with transaction.atomic():
            verdict = chain.verify(chain.all_events(), marks)
        for warning in guards.open_doors():
            self.stdout.write(f"WARNING: {warning}")
        for problem in problems + verdict.problems:
            self.stdout.write(str(problem))
        if problems or not verdict.whole:
            self.stdout.write(
                f"BROKEN: {len(problems) + len(verdict.problems)} problems in {verdict.count} events."
            )
            sys.exit(1)
        self.stdout.write(
            f"WHOLE: {verdict.count} events, {len(marks)} checkpoints. Last hash: {verdict.head}"
        )
        if not marks:
            self.stdout.write("Without checkpoints, this cannot tell whether events were cut off at the end.")

    @staticmethod
    def _marks(
        checkpoints: Path | None, key_file: Path | None
    ) -> tuple[list[chain.Mark], list[chain.Problem]]:
        try:
            if checkpoints is None or key_file is None:
                return checkpoint.read_own()
            with checkpoints.open(encoding="utf-8", errors="replace") as lines:
                return checkpoint.read(lines, checkpoint.public_key(key_file))
        except (OSError, checkpoint.KeyProblem) as problem:
            raise CommandError(str(problem), returncode=2) from problem

    def _export(self, directory: Path) -> None:
        now = datetime.now(UTC)
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / f"holdfast-audit-{now:%Y%m%dT%H%M%SZ}.zip"
        written = export(
            target, Event.objects.all(), filters=Filters(), scope=["*"], by=Actor.system("command line")
        )
        self.stdout.write(
            f"{target}: {written.count} events. Verify it, also elsewhere and without Holdfast:\n"
            f"python3 -m zipfile -e {target} {target.with_suffix('')} && python3 {target.with_suffix('')}/verify_export.py {target}"
        )

    def _checkpoint(self) -> None:
        try:
            line = checkpoint.write()
        except (OSError, checkpoint.KeyProblem) as problem:
            raise CommandError(str(problem)) from problem
        if line is None:
            raise CommandError("HOLDFAST_AUDIT_KEY_FILE is not set: there is no key to sign with.")
        self.stdout.write(line)
