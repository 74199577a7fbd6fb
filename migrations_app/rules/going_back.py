"""What Roll back and Undo would do now, as sentences, before anybody presses them. Read from what was recorded."""

from migrations_app.models import GitMode, Migration
from migrations_app.states import IntentState

_DID = [IntentState.INTENDED, IntentState.DONE]


def roll_back_plan(migration: Migration) -> list[str]:
    """What Roll back will do, in order."""
    lines = []
    intents = migration.intents.filter(state__in=_DID)
    deployed = migration.runs.filter(step="deploy").exists()
    used = deployed or intents.filter(key__startswith="hand-over/claim.create/").exists()
    jobs = intents.filter(verb="job.create").count()
    if jobs:
        lines.append("Delete the mover Jobs that are left, with their pods.")
    if deployed and migration.git_mode in {GitMode.DIRECT, GitMode.BRANCH}:
        lines.append(
            f"Take what Deploy added out of Git, and wait until {migration.destination_namespace} follows."
        )
    elif deployed and migration.git_mode == GitMode.MANUAL:
        lines.append("Wait until you have taken the Deploy change out of Git.")
    for intent in intents.filter(key__startswith="release/retain/").order_by("-id"):
        lines.append(
            f"Set volume {intent.name} back to reclaim policy {intent.before.get('reclaim_policy')}."
        )
    for intent in intents.filter(key__startswith="quiesce/scale/").order_by("-id"):
        lines.append(
            f"Scale {intent.kind} {intent.namespace}/{intent.name} back to {intent.before.get('replicas')}."
        )
    for intent in intents.filter(verb="claim.create").order_by("-id"):
        lines.append(f"Delete claim {intent.namespace}/{intent.name}, which this migration created.")
    if intents.filter(verb="claim.create").exists():
        lines.append(
            "Keep the volumes of the destination, since the application may have written to them."
            if used
            else "Let the volumes of those claims go with them."
        )
    for intent in intents.filter(key__startswith="quiesce/suspend/").order_by("-id"):
        lines.append(f"Resume {intent.kind} {intent.namespace}/{intent.name}.")
    return lines or ["Nothing was changed in the cluster, so there is nothing to put back."]


def close_plan(migration: Migration) -> list[str]:
    """What is known when a migration is closed as it is, and what stays."""
    problem = migration.problem or {}
    volumes = ", ".join(t.source_volume for t in migration.transfers.all())
    made = migration.intents.filter(verb="claim.create", key__startswith="undo/", state__in=_DID)
    lines = [f"Keep on record why it stopped: {problem.get('happened', '')}"]
    lines += [f"Leave claim {one.namespace}/{one.name}, which Undo has made, as it is." for one in made]
    owner = migration.source_owner
    resting = migration.intents.filter(key__startswith="quiesce/suspend/", state__in=_DID)
    if owner and resting.exists():
        lines.append(
            f"Leave {owner['kind']} {owner['namespace']}/{owner['name']} as it is; where it is suspended, it stays so."
        )
    return [
        *lines,
        f"Leave what there still is of the source's volumes as it is: {volumes}.",
        f"Leave {migration.destination_namespace}, its claims and its application as they are.",
        "Let go of the claims, so that another migration can take them. Undo and Purge are not possible afterwards.",
    ]


def undo_plan(migration: Migration) -> list[str]:
    """What Undo will do, in order."""
    lines = []
    for transfer in migration.transfers.all():
        where = f"{migration.source_namespace}/{transfer.source_name}"
        lines.append(f"Reserve the kept volume {transfer.source_volume} for {where}.")
        lines.append(f"Create claim {where} on it, protected, and wait until both sides are bound.")
    lines.append(f"Leave {migration.destination_namespace}, its claims and its application as they are.")
    lines.append(
        "Leave Git as it is: the patch that declares the source again is the Release change backwards."
    )
    return lines
