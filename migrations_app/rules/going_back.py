"""What Abort, Roll back, Undo and Purge would do now, as sentences, before anybody presses them. Read from what was recorded.

The conditions are those of `worker.courses`, which alone sees the cluster and Git.
"""

from datetime import datetime

from django.db.models import QuerySet

from migrations_app.models import GitMode, Intent, Migration, ReleasePath
from migrations_app.rules import pushing
from migrations_app.rules.possible import released
from migrations_app.states import IntentState

_DID = [IntentState.INTENDED, IntentState.DONE]


def abort_plan(migration: Migration) -> list[str]:
    """What Abort will do."""
    back = "Undo" if released(migration) else "Roll back"
    return [
        "Delete the mover Jobs that run, with their pods.",
        "Change nothing else: the application stays stopped if it was stopped.",
        f"End the procedure for good: it does not go on afterwards. {back} is what is possible then.",
    ]


def roll_back_plan(migration: Migration) -> list[str]:
    """What Roll back will do, in order."""
    intents = migration.intents.filter(state__in=_DID)
    deployed = migration.runs.filter(step="deploy").order_by("started_at").first()
    used = deployed is not None or intents.filter(key__startswith="hand-over/claim.create/").exists()
    gone = set(intents.filter(verb="staging.delete").values_list("namespace", "name"))
    made = [one for one in intents.filter(verb="claim.create") if (one.namespace, one.name) not in gone]
    lines = _jobs(intents)
    if used and made:
        lines.append(
            "Keep the volumes of the destination, on Retain, since the application may have written to them."
        )
    if deployed is not None:
        lines.append(_left_behind(migration, deployed.started_at))
        lines += _leave_destination(migration, intents)
    for intent in intents.filter(key__startswith="release/retain/").order_by("-id"):
        lines.append(
            f"Set volume {intent.name} back to reclaim policy {intent.before.get('reclaim_policy')}."
        )
    for intent in intents.filter(key__startswith="quiesce/scale/").order_by("-id"):
        lines.append(
            f"Scale {intent.kind} {intent.namespace}/{intent.name} back to {intent.before.get('replicas')}, if it is still at 0."
        )
    for intent in reversed(made):
        lines.append(f"Delete claim {intent.namespace}/{intent.name}, which this migration created.")
    if made and not used:
        lines.append("Let the volumes of those claims go with them, where the source is whole.")
    lines += [f"Resume {what}, unless somebody else has changed it since." for what in _suspended(intents)]
    return lines or ["Nothing was changed in the cluster, so there is nothing to put back."]


def _left_behind(migration: Migration, since: datetime) -> str:
    """What the application has written since Deploy is in the kept volumes alone."""
    when = f"{since:%Y-%m-%d %H:%M} UTC"
    if migration.within_namespace:
        return f"What was written to the destination claims since {when} will not be in the source claims: Roll back copies nothing back."
    there, back = migration.destination_namespace, migration.source_namespace
    return (
        f"The application stops in {there}. What was written there since {when} will not be in {back}: "
        "Roll back copies nothing back."
    )


def _leave_destination(migration: Migration, intents: QuerySet[Intent]) -> list[str]:
    """How the application leaves the claims that go."""
    if migration.within_namespace:
        pairs = [f"{t.destination_name} → {t.source_name}" for t in migration.transfers.all()]
        return [
            f"Wait until you have pointed the workload back at the source claims ({', '.join(pairs)}), in Git where Git declares it."
        ]
    where = migration.destination_namespace
    if not _declares(migration) or not migration.destination_owner:
        return [f"Wait until you have stopped what uses the claims in {where}."]
    if migration.git_mode == GitMode.MANUAL:
        return [
            f"Wait until you have taken the Deploy change out of Git, where it is in it, and nothing uses the claims in {where}.",
            _kept_still(migration),
        ]
    how = "by a branch that you merge, " if migration.git_mode == GitMode.BRANCH else ""
    pushed = intents.filter(key="deploy/git.push").exists()
    what = "what Deploy added" if pushed else "the Deploy change, where somebody made it,"
    lines = [f"Take {what} out of Git, {how}and wait until nothing uses the claims in {where}."]
    row = pushing.row_of(migration.cluster_id, migration.source_owner)
    if row is not None and (forbidden := pushing.too_much(row, migration.git_mode)):
        lines.append(f"{forbidden} Where that change is in Git still, Roll back asks you to take it out.")
    return [*lines, _kept_still(migration)]


def _kept_still(migration: Migration) -> str:
    """What happens instead of waiting with the application down."""
    owner = migration.destination_owner
    return (
        "Where Git cannot be read or does not take the change, and Flux has nothing of the application in "
        f"{migration.destination_namespace} yet: suspend Kustomization {owner['namespace']}/{owner['name']}, unless another one "
        "would resume it, go on with the lines below up to the replicas, and only then wait for Git. "
        "It is resumed when the change is out of Git."
    )


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
    intents = migration.intents.filter(state__in=_DID)
    whole = migration.evidence.filter(kind="released").exists()
    lines = _jobs(intents)
    for transfer in migration.transfers.all():
        where = f"{migration.source_namespace}/{transfer.source_name}"
        if whole:
            lines.append(f"Reserve the kept volume {transfer.source_volume} for {where}.")
            lines.append(f"Create claim {where} on it, protected, and wait until both sides are bound.")
        else:
            lines.append(
                f"Protect claim {where}, where it is still there on volume {transfer.source_volume}."
            )
            lines.append(
                f"Where it is gone, reserve that volume for {where}, and create the claim on it, protected."
            )
    lines += _let_flux_go(migration, intents)
    exempt = migration.release_path == ReleasePath.COMMITS and not whole
    for intent in intents.filter(key__startswith="release/retain/"):
        was = intent.before.get("reclaim_policy")
        unless = ", unless Git still lets Flux prune its claim" if exempt else ""
        lines.append(
            f"Set volume {intent.name} back to reclaim policy {was}, which it had before the release{unless}."
        )
    lines.append(f"Leave {migration.destination_namespace}, its claims and its application as they are.")
    if _declares(migration):
        lines.append(
            "Leave Git as it is. To declare the source again, revert the Release change afterwards: the page says how when Undo has ended."
        )
    return lines


def _let_flux_go(migration: Migration, intents: QuerySet[Intent]) -> list[str]:
    """The owner that a release which did not end left suspended."""
    if not _declares(migration):
        return [
            f"Resume {what}, unless somebody else has changed it since."
            for what in _suspended(intents, "Kustomization", "HelmRelease")
        ]
    return [
        f"Resume {what}, if Git does not declare the application in {migration.source_namespace} any more; else leave it suspended."
        for what in _suspended(intents, "Kustomization")
    ]


def _declares(migration: Migration) -> bool:
    return migration.git_mode != GitMode.NONE and migration.source_owner.get("kind") == "Kustomization"


def purge_plan(migration: Migration) -> list[str]:
    """What Purge will do."""
    where = migration.source_namespace
    return [
        f"Delete volume {t.source_volume} and the data in it, for good. It was {where}/{t.source_name}."
        for t in migration.transfers.all()
    ]


def _jobs(intents: QuerySet[Intent]) -> list[str]:
    made = intents.filter(verb="job.create").exists()
    return ["Delete the mover Jobs that are left, with their pods."] if made else []


def _suspended(intents: QuerySet[Intent], *kinds: str) -> list[str]:
    """What this migration has suspended and not resumed, in the order in which it is resumed."""
    found = intents.filter(key__startswith="quiesce/suspend/").order_by("-id")
    return [f"{one.kind} {one.namespace}/{one.name}" for one in found if not kinds or one.kind in kinds]
