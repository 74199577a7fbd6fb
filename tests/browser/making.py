"""One of everything that a page can show."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import User
from dashboard.models import GitOpsFact, ValidationResult, ValidationRun
from migrations_app.models import Evidence, Intent, LogLine, Migration, StepRun
from migrations_app.models.evidence import digest_of
from migrations_app.states import State
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.making import claim, cluster, draft

SIDE = {
    "content_digest": "blake3:" + "a" * 40,
    "metadata_digest": "blake3:" + "b" * 40,
    "counts": {"files": 1431},
    "bytes": 30_000_000,
}
DIFF = """--- a/apps/photos/storage.yaml
+++ b/apps/photos/storage.yaml
@@ -1,3 +1,1 @@
 resources:
-  - a-file-with-a-name-that-is-a-good-deal-longer-than-any-screen-of-a-telephone-could-ever-be-made-to-show.yaml
+  - deployment.yaml
"""
PLAN = {
    "checks": [
        {
            "key": "bound",
            "title": "Claims are bound",
            "verdict": "pass",
            "text": "All are.",
            "next": "",
            "command": "",
        },
        {
            "key": "protected",
            "title": "Claims are protected",
            "verdict": "warn",
            "text": "One is not.",
            "next": "Protect it.",
            "command": "kubectl get pvc",
        },
    ],
    "objects": [
        {
            "step": "stage",
            "verb": "create",
            "kind": "PersistentVolumeClaim",
            "namespace": "media",
            "name": "hf-staging",
            "yaml": "kind: PersistentVolumeClaim\n",
            "command": "kubectl apply -f staging.yaml",
        },
        {
            "step": "release",
            "verb": "delete",
            "kind": "PersistentVolumeClaim",
            "namespace": "media",
            "name": "library",
            "yaml": "",
            "command": "kubectl delete pvc library -n media",
        },
    ],
    "git": [
        {
            "step": "release",
            "summary": "Remove photos from media",
            "diff": DIFF,
            "effect": "",
            "notes": ["Comments stay."],
        }
    ],
    "outage": {"least_s": 30, "most_s": 700, "basis": "sizes"},
}
PROBLEM = {
    "happened": "A flipped byte.",
    "safe": "The source is untouched.",
    "next": "Retry the copy.",
    "command": "kubectl logs job/hf-copy",
    "code": "verify",
}


def everything(operator: User) -> dict[str, Migration]:
    """Claims, runs and migrations in the states that look different; the migrations by the word of their state."""
    claim("library", phase="Lost", consumers=[], deleting=True)
    for number in range(60):
        claim(f"data-{number}", "office")
    GitOpsFact.objects.create(
        cluster=cluster(),
        kind="Kustomization",
        namespace="flux-system",
        name="photos",
        uid="uid-k",
        suspended=True,
        ready="True",
        message="Applied revision: main@sha1:" + "f" * 40,
        seen_at=timezone.now(),
    )
    run = ValidationRun.objects.create(
        cluster=cluster(), state="finished", answer="warn", summary="One warning.", requested_by="operator"
    )
    ValidationResult.objects.create(
        run=run,
        check_kind="probe",
        namespace="media",
        subject="media/library",
        title="Deletion probe",
        answer="warn",
        detail="Not denied.",
        next="Protect it.",
        command="kubectl delete pvc --dry-run=server",
    )
    fields = {"plan": PLAN, "plan_digest": "sha256:plan"}
    found = {
        "sign-off": at_sign_off(
            operator,
            waiting_for="A second person approves.",
            waiting_permission="signoff.give",
            waiting_since=timezone.now(),
            **fields,
        ),
        "test": at_sign_off(
            operator,
            current_step="test",
            waiting_for="Test it.",
            waiting_permission="migrations.edit",
            waiting_since=timezone.now(),
            **fields,
        ),
        "running": at_sign_off(
            operator,
            state=State.RUNNING,
            current_step="copy",
            next_tick_at=timezone.now() - timedelta(minutes=2),
            **fields,
        ),
        "failed": at_sign_off(operator, state=State.FAILED, current_step="verify", problem=PROBLEM, **fields),
        "retained": at_sign_off(
            operator,
            state=State.RETAINED,
            current_step="retain",
            retain_until=timezone.now(),
            outage_began_at=timezone.now(),
            **fields,
        ),
    }
    _prove(found["sign-off"], {"outcome": "equal"})
    _prove(
        found["failed"],
        {
            "outcome": "different",
            "differences_total": 1,
            "differences": [{"path": "a b", "class": "content", "source": "1", "destination": "2"}],
        },
    )
    asked(found["sign-off"])
    running = found["running"]
    transfer = running.transfers.get()
    transfer.progress = {
        "phase": "copy",
        "bytes": 10,
        "bytes_total": 100,
        "files": 1,
        "files_total": 9,
        "rate_bytes_per_second": 3,
        "path": "p" * 300,
        "step": "copy",
        "at": (timezone.now() - timedelta(seconds=40)).isoformat(),
    }
    transfer.save()
    StepRun.objects.create(migration=running, step="copy", attempt=2, message="Copying.")
    for number in range(30):
        LogLine.objects.create(
            migration=running, job="hf-copy", text=f"line {number} " + "x" * 200, at=timezone.now()
        )
    Intent.objects.create(
        migration=running,
        key="stage-1",
        step="stage",
        verb="claim.create",
        kind="PersistentVolumeClaim",
        namespace="media",
        name="hf-staging",
        before={},
        after={"uid": "u" * 60},
        state="done",
    )
    found["draft"] = draft(operator, claims=("data-1", "data-2"), namespace="office")
    return found


def _prove(migration: Migration, more: dict[str, object]) -> None:
    data = {
        "source": SIDE,
        "destination": SIDE,
        "hash": "blake3",
        "skipped": [{"path": "s", "why": "a socket"}],
        "not_kept": [],
        "not_compared": ["atime"],
        **more,
    }
    Evidence.objects.create(
        migration=migration,
        transfer=migration.transfers.get(),
        step="verify",
        kind="verify",
        data=data,
        digest=digest_of(data),
    )
