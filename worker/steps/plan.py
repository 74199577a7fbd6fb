"""Plan: everything that will be created, changed or deleted, rendered before anything happens, with a digest.

The digest covers what will be done, not when: planned twice on an unchanged cluster and repository it is the same.
"""

from typing import Any

from migrations_app.models import GitMode, Migration, Transfer
from migrations_app.models.evidence import digest_of
from migrations_app.states import State
from worker import gitside, manifests, releasing, suspension
from worker.context import Context
from worker.outcomes import Done, Outcome, Wait
from worker.releasing.rows import changed
from worker.workload_list import all_workloads

# Bytes a second that the outage is predicted with when nothing was measured yet; said so beside the number.
ASSUMED_RATE = 60 * 1024 * 1024
# A limit counts the mover's reading and its writing, of at most this much at a time (mover.reading.BUFFER_BYTES).
_OPERATION_BYTES = 1024 * 1024


def tick(context: Context) -> Outcome:
    migration = context.migration
    if context.memory.get("go_by"):
        if migration.plan_digest == migration.started_plan_digest:
            return Done(f"{context.memory['go_by']} accepted the plan as it is now.")
        # Accepted was another one than there is: it is shown again.
        context.memory.pop("go_by")
    git = gitside.changes(context, releasing.of(migration).changes(migration))
    body = {
        "objects": objects(migration, context.transfers),
        "git": _git(migration, git),
        "covers": _covers(migration, context.transfers),
    }
    digest = digest_of(body)
    migration.plan = {
        **body,
        "checks": migration.plan.get("checks", []),
        "outage": predicted_outage(migration, context.transfers),
        "git_commit": git.commit,
        "git_blind": git.blind,
    }
    migration.plan_digest = digest
    context.keep("plan", "plan_digest")
    context.evidence("plan", {"digest": digest, **body})
    if migration.state != State.PREPARING and digest != migration.started_plan_digest:
        return Wait(
            "The plan is not the one that was reviewed: the cluster or Git has changed since. Review it as it is now, then continue.",
            "migrations.edit",
            after_s=30,
        )
    return Done(f"{len(body['objects'])} objects, {len(body['git'])} Git changes.")


def _covers(migration: Migration, transfers: list[Transfer]) -> dict[str, Any]:
    """What is not in an object and still part of what was agreed."""
    return {
        "source": [
            {
                "claim": t.source_name,
                "uid": t.source_uid,
                "volume": t.source_volume,
                "volume_uid": t.source_volume_uid,
            }
            for t in transfers
        ],
        "options": {
            "strategy": str(migration.strategy),
            "git_mode": str(migration.git_mode),
            "release_path": str(migration.release_path),
            "warm_passes": migration.warm_passes,
            "retention_days": migration.retention_days,
            "limits": migration.limits,
        },
    }


def _git(migration: Migration, found: gitside.Changes) -> list[dict[str, Any]]:
    if migration.git_mode == GitMode.NONE:
        return []
    made = [("deploy", "deploy", found.deploy)] if found.deploy else []
    made += [("release", wanted.key, change) for wanted, change in found.release]
    return [
        {
            "step": step,
            "key": key,
            "summary": change.summary,
            "diff": change.diff,
            "effect": change.effect,
            "notes": list(change.notes),
        }
        for step, key, change in made
        if change.edits
    ]


def objects(migration: Migration, transfers: list[Transfer]) -> list[dict[str, Any]]:
    """Every object of the cluster that the migration touches, in order: step, verb, what, manifest, kubectl equivalent."""
    found: list[dict[str, Any]] = []
    path = releasing.of(migration)
    source, destination = migration.source_namespace, migration.destination_namespace
    for t in transfers:
        found.append(_created("stage", manifests.target_claim(migration, t)))
    for t in transfers:
        if migration.warm_passes:
            found.append(
                _created(
                    "warm-copy", manifests.mover_job(migration, t, purpose="warm", attempt=1, final=False)
                )
            )
    found += _quiesced(migration, transfers)
    for purpose, step in (("copy", "copy"), ("verify", "verify")):
        found += [
            _created(step, manifests.mover_job(migration, t, purpose=purpose, attempt=1)) for t in transfers
        ]
    if not migration.within_namespace:
        for t in transfers:
            staging = manifests.staging_name(migration, t)
            found.append(
                changed(
                    "hand-over",
                    "set to Retain",
                    "PersistentVolume",
                    "",
                    f"the volume of {staging}",
                    'kubectl patch pv <volume> -p \'{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}\'',
                )
            )
            found.append(
                changed(
                    "hand-over",
                    "delete",
                    "PersistentVolumeClaim",
                    source,
                    staging,
                    f"kubectl delete pvc -n {source} {staging}",
                )
            )
            found.append(
                _created(
                    "hand-over",
                    manifests.destination_claim(migration, t, volume_name="<volume of the staging claim>"),
                )
            )
            # Which policy it was nobody knows yet: the volume is made by its class when the mover runs.
            found.append(
                changed(
                    "hand-over",
                    "set back from Retain",
                    "PersistentVolume",
                    "",
                    f"the volume of {t.destination_name}",
                    'kubectl patch pv <volume> -p \'{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}\''
                    "  # what it was before Hand over, as a rule Delete; once claim and volume hold each other",
                )
            )
    # Within one namespace the owner that rests is the one that Deploy needs.
    at_deploy = migration.within_namespace and migration.git_mode != GitMode.NONE
    if at_deploy:
        found += _resumed(migration, "deploy")
    for t in transfers:
        found.append(_created("release", manifests.mover_job(migration, t, purpose="digest", attempt=1)))
        found.append(
            changed(
                "release",
                "set to Retain",
                "PersistentVolume",
                "",
                t.source_volume,
                f'kubectl patch pv {t.source_volume} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\'',
            )
        )
        found += path.planned(migration, t)
    if not at_deploy:
        found += _resumed(migration, "release")
    found.append(
        changed(
            "retain",
            "keep",
            "PersistentVolume",
            "",
            ", ".join(t.source_volume for t in transfers),
            f"# for {migration.retention_days} days; claims then live in {destination}",
        )
    )
    return found


def _quiesced(migration: Migration, transfers: list[Transfer]) -> list[dict[str, Any]]:
    found = []
    for owner in suspension.chain(migration.source_owner):
        kind, where = owner["kind"], f"-n {owner['namespace']} {owner['name']}"
        command = f"flux suspend {kind.lower()} {where}"
        found.append(changed("quiesce", "suspend", kind, owner["namespace"], owner["name"], command))
    for w in all_workloads(transfers):
        if w["kind"] == "CronJob":
            command = (
                f'kubectl patch cronjob -n {w["namespace"]} {w["name"]} -p \'{{"spec":{{"suspend":true}}}}\''
            )
            found.append(changed("quiesce", "suspend", w["kind"], w["namespace"], w["name"], command))
        else:
            command = f"kubectl scale {w['kind'].lower()} -n {w['namespace']} {w['name']} --replicas=0"
            found.append(
                changed(
                    "quiesce",
                    f"scale from {w['replicas']} to 0",
                    w["kind"],
                    w["namespace"],
                    w["name"],
                    command,
                )
            )
    return found


def _resumed(migration: Migration, step: str) -> list[dict[str, Any]]:
    """What Quiesce suspends of Flux runs again, the parents last."""
    found = []
    for owner in reversed(suspension.chain(migration.source_owner)):
        kind, namespace, name = owner["kind"], owner["namespace"], owner["name"]
        command = f"flux resume {kind.lower()} -n {namespace} {name}"
        found.append(changed(step, "resume", kind, namespace, name, command))
    return found


def _created(step: str, manifest: Any) -> dict[str, Any]:
    return {
        "step": step,
        "verb": "create",
        "kind": manifest.kind,
        "namespace": manifest.namespace,
        "name": manifest.name,
        "yaml": manifest.yaml(),
        "command": f"kubectl create -f {manifest.name}.yaml",
    }


def predicted_outage(migration: Migration, transfers: list[Transfer]) -> dict[str, Any]:
    """Seconds from the first scaling to a running destination, as a range, and what it rests on."""
    capacity = sum(t.source_bytes for t in transfers)
    # The final pass and verify both read everything once; claims run side by side, the sum is the careful end.
    reading_s = capacity / ASSUMED_RATE
    copying_s, limited = reading_s, ""
    if rate := _limited_rate(migration.limits):
        # Each mover has the limit to itself, and verify has none.
        copying_s = max(copying_s, max((t.source_bytes for t in transfers), default=0) / rate)
        limited = f"; each mover copies {rate / 1024**2:.3g} MiB/s at most by its limits, small files slower"
    return {
        "least_s": 30,
        "most_s": int(60 + copying_s + reading_s),
        "basis": f"claims of {capacity / 1024**3:.3g} GiB in all, read twice at {ASSUMED_RATE // 1024**2} MiB/s if they are full{limited}; less after a warm pass",
    }


def _limited_rate(limits: dict[str, int]) -> float:
    """Bytes a second that the limits let one mover copy, in large files; 0 without a limit."""
    rates: list[float] = []
    if bandwidth := limits.get("bandwidth"):
        rates.append(bandwidth)
    if operations := limits.get("iops"):
        rates.append(operations / 2 * _OPERATION_BYTES)
    return min(rates, default=0)
