"""Migrations at a given place, made in the database alone: for rules that do not need a cluster."""

from typing import Any

from django.utils import timezone

from accounts.models import User
from audit.trail import Actor
from dashboard.models import Cluster
from migrations_app.actions import signing
from migrations_app.models import Evidence, Migration, SignOffRequest, StepRun, Transfer
from migrations_app.models.evidence import digest_of
from migrations_app.states import State

WORKER = Actor.system("worker")


def at_sign_off(requester: User, **fields: Any) -> Migration:
    """A migration that waits for its sign-off, proven, tested by its requester."""
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    migration = Migration.objects.create(
        cluster=cluster,
        application="photos",
        source_namespace="media",
        destination_namespace="photos",
        requested_by=requester,
        requested_by_name=requester.get_username(),
        **{
            "state": State.WAITING,
            "current_step": "sign-off",
            "started_at": timezone.now(),
            "started_by_name": requester.get_username(),
            "test_confirmed_by_name": requester.get_username(),
            "plan_digest": "sha256:plan",
            "started_plan_digest": "sha256:plan",
            "next_tick_at": timezone.now(),
            **fields,
        },
    )
    transfer = Transfer.objects.create(
        migration=migration,
        number=1,
        source_name="library",
        source_uid="uid-source",
        source_volume="pv-source",
        source_volume_uid="uid-volume",
        destination_name="library",
        destination_uid="uid-destination",
        content_digest="blake3:content",
        metadata_digest="blake3:metadata",
    )
    for kind in ("verify", "handed-over", "deployed", "test"):
        add_evidence(migration, transfer, kind, {"outcome": "equal"})
    StepRun.objects.create(migration=migration, step="sign-off", attempt=1, state="waiting")
    return migration


def add_evidence(migration: Migration, transfer: Transfer | None, kind: str, data: dict[str, Any]) -> None:
    Evidence.objects.create(
        migration=migration, transfer=transfer, step="verify", kind=kind, data=data, digest=digest_of(data)
    )


def asked(migration: Migration) -> SignOffRequest:
    return signing.open_request(migration, actor=WORKER)
