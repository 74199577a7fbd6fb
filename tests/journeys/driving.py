"""Drives a migration the way people and the worker do."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from accounts.models import User
from cluster.client import Cluster as Adapter
from dashboard.models import Cluster
from migrations_app.actions import drafting, gates, running, signing
from migrations_app.models import Decision, GitMode, Migration, ReleasePath
from migrations_app.states import State
from tests.support.cluster_process import Sandbox
from tests.support.waiting import until
from worker import engine
from worker.clusters import adapter

TROUBLE = {State.FAILED, State.DRAFT, State.ABORTED}


@dataclass
class Driver:
    cluster: Cluster
    sandbox: Sandbox
    operator: User
    approver: User
    pause_s: float = 0.0  # how long the last tick wants to be left alone

    @property
    def adapter(self) -> Adapter:
        return adapter(self.cluster.name)

    def draft(self, **changes: Any) -> Migration:
        """The photo application's move from media to photos, as the wizard leaves it; `changes` override options."""
        wanted: dict[str, Any] = {
            "namespace": "media",
            "destination": "photos",
            "application": "photos",
            "claims": ["data-photos-db-0", "photos-cache", "photos-library"],
            "owner": {"namespace": "flux-system", "name": "photos"},
            "warm_passes": 1,
            "retention_days": 7,
            "git_mode": GitMode.DIRECT,
            **changes,
        }
        migration = drafting.create_draft(
            by=self.operator,
            cluster=self.cluster,
            namespace=wanted["namespace"],
            application=wanted["application"],
            claims=wanted["claims"],
        )
        names = wanted.get("names", {})
        drafting.set_destination(
            by=self.operator,
            migration=migration,
            namespace=wanted["destination"],
            owner=wanted["owner"],
            claims={c: (names.get(c, c), wanted.get("storage_class", ""), 0) for c in wanted["claims"]},
        )
        drafting.set_options(
            by=self.operator,
            migration=migration,
            warm_passes=wanted["warm_passes"],
            retention_days=wanted["retention_days"],
            pause_before_quiesce=False,
            git_mode=wanted["git_mode"],
            test_note="",
            limits=wanted.get("limits", {}),
            release_path=wanted.get("release_path", ReleasePath.ORPHAN),
        )
        return migration

    def checked(self, **changes: Any) -> Migration:
        """A draft whose checks have run."""
        migration = self.draft(**changes)
        drafting.request_checks(by=self.operator, migration=migration)
        return self.until(migration, State.READY, timeout_s=60)

    def started(self, **changes: Any) -> Migration:
        migration = self.checked(**changes)
        stops = [check for check in migration.plan["checks"] if check["verdict"] == "stop"]
        assert not stops, stops
        running.start(by=self.operator, migration=migration, plan_digest=migration.plan_digest)
        return migration

    def tick(self, migration: Migration) -> Migration:
        after_s = engine.tick(migration.pk)
        # Right after an act there is something to do again; whoever waits for the cluster is asked ten times a second.
        self.pause_s = 0.1 if after_s is None or after_s > 0.1 else 0.0
        return Migration.objects.get(pk=migration.pk)

    def until(self, migration: Migration, *states: State, step: str = "", timeout_s: float = 90) -> Migration:
        """Ticks until a state (at a step) is reached; trouble on the way is an error that says what."""

        def look() -> Migration | None:
            found = self.tick(migration)
            if found.state in states and (not step or found.current_step == step):
                return found
            if found.state in TROUBLE and found.state not in states:
                raise RuntimeError(
                    f"{found.state} at {found.current_step}: {json.dumps(found.problem, indent=1)}"
                )
            return None

        def where() -> str:
            found = Migration.objects.get(pk=migration.pk)
            return f"{found.state} at {found.current_step}: {found.message} {found.waiting_for}"

        try:
            found = until(look, timeout_s=timeout_s, what=f"{states} {step}", every_s=lambda: self.pause_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {where()}") from None
        assert found is not None
        return found

    def at(self, migration: Migration, step: str, *, timeout_s: float = 90) -> Migration:
        """Ticks until `step` is the current one, before it did anything."""

        def look() -> Migration | None:
            found = Migration.objects.get(pk=migration.pk)
            if found.current_step == step:
                return found
            if found.state in TROUBLE:
                raise RuntimeError(
                    f"{found.state} at {found.current_step}: {json.dumps(found.problem, indent=1)}"
                )
            self.tick(migration)
            return None

        found = until(look, timeout_s=timeout_s, what=step, every_s=lambda: self.pause_s)
        assert found is not None
        return found

    def confirm_test(self, migration: Migration) -> Migration:
        migration = self.until(migration, State.WAITING, step="test")
        gates.confirm_test(
            by=self.operator, migration=migration, note="Pictures open; the newest one is there."
        )
        return migration

    def approve(self, migration: Migration) -> Migration:
        migration = self.until(migration, State.WAITING, step="sign-off")
        request = migration.sign_off_requests.get(state="open")
        signing.decide(
            by=self.approver,
            request=request,
            kind=Decision.Kind.APPROVE,
            text="",
            covers_digest=request.covers_digest,
        )
        return migration

    def end_retention(self, migration: Migration) -> Migration:
        Migration.objects.filter(pk=migration.pk).update(retain_until=timezone.now())
        return Migration.objects.get(pk=migration.pk)

    def volume_directory(self, volume: str) -> Path:
        return self.sandbox.data / "state" / "volumes" / volume

    def kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "--kubeconfig", str(self.sandbox.kubeconfig), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def durations(migration: Migration) -> str:
    """Seconds a step, for a failure's message."""
    return ", ".join(
        f"{run.step}.{run.attempt} {run.duration.total_seconds():.1f}" for run in migration.runs.all()
    )
