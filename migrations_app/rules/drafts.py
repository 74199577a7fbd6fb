"""What a draft says, and whether it is still what a page showed."""

from typing import Any

from migrations_app.models import Migration
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused

_OPTIONS = (
    "warm_passes",
    "retention_days",
    "pause_before_quiesce",
    "git_mode",
    "release_path",
    "test_note",
    "limits",
)


def snapshot(migration: Migration) -> dict[str, Any]:
    """Everything that a draft says, for the audit trail."""
    return {
        "application": migration.application,
        "source": migration.source_namespace,
        "destination": migration.destination_namespace,
        "owner": dict(migration.destination_owner),
        "claims": {
            each.source_name: [each.destination_name, each.destination_class, each.destination_bytes]
            for each in migration.transfers.all()
        },
        **{name: getattr(migration, name) for name in _OPTIONS},
    }


def fingerprint(migration: Migration) -> str:
    """Of what a draft says. A page carries it, so that what is saved replaces what was seen and nothing else."""
    return digest_of(snapshot(migration))


def check_seen(migration: Migration, seen: str) -> None:
    """Refuses what was typed over a draft that says something else by now."""
    if seen != fingerprint(migration):
        raise Refused(
            "The draft was changed after you had opened this page. Nothing was saved.",
            next="What you typed is still here. Look at the other pages of the draft, then save it if it still fits.",
        )
