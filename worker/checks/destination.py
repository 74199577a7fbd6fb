"""Checks of where the data goes."""

from collections.abc import Iterable

from cluster import errors
from worker import manifests
from worker.checks.check import Check, passed, stop, warn
from worker.context import Context
from worker.quantities import quantity


def namespace(context: Context) -> Iterable[Check]:
    title = "Destination namespace"
    name = context.migration.destination_namespace
    found = context.cluster.get_namespace(name)
    if found is None:
        yield stop(
            "destination-namespace",
            title,
            f"Namespace {name} does not exist.",
            "Create it through Git, as your other namespaces, then run the checks again.",
        )
    elif found.deleting or found.phase != "Active":
        yield stop(
            "destination-namespace", title, f"Namespace {name} is being deleted.", "Choose another one."
        )
    else:
        yield passed("destination-namespace", title, f"{name} exists and is active.")


def names(context: Context) -> Iterable[Check]:
    """A destination claim must not be there yet: data is never mixed into what somebody else wrote."""
    title = "Destination is empty"
    problems = []
    for transfer in context.transfers:
        found = context.cluster.get_claim(context.migration.destination_namespace, transfer.destination_name)
        if found is not None:
            problems.append(
                stop(
                    "destination-empty",
                    title,
                    f"Claim {found.namespace}/{found.name} exists already.",
                    "Choose another name, or remove that claim if it holds nothing you need.",
                    f"kubectl describe pvc -n {found.namespace} {found.name}",
                )
            )
    yield from problems or [passed("destination-empty", title, "No claim of these names exists there.")]


def sizes(context: Context) -> Iterable[Check]:
    title = "Destination is large enough"
    problems = [
        stop(
            "destination-size",
            title,
            f"{t.destination_name} would have {quantity(t.destination_bytes)}, {t.source_name} has {quantity(t.source_bytes)}.",
            "Choose a size of at least the source's.",
        )
        for t in context.transfers
        if t.destination_bytes < t.source_bytes
    ]
    yield from problems or [passed("destination-size", title, "Each is at least as large as its source.")]


def classes(context: Context) -> Iterable[Check]:
    title = "Storage classes"
    problems = []
    for name in sorted({t.destination_class for t in context.transfers}):
        if not name:
            problems.append(
                stop(
                    "storage-class",
                    title,
                    "A claim has no storage class.",
                    "Choose one on the Destination page.",
                )
            )
        elif context.cluster.get_storage_class(name) is None:
            problems.append(
                stop(
                    "storage-class",
                    title,
                    f"There is no storage class {name}.",
                    "Choose one that exists.",
                    "kubectl get storageclass",
                )
            )
    yield from problems or [passed("storage-class", title, "All exist.")]


def quotas(context: Context) -> Iterable[Check]:
    """Staging claims count in the source namespace, destination claims in theirs: the server answers for both."""
    title = "Quotas and admission"
    problems = []
    for transfer in context.transfers:
        rendered = [manifests.target_claim(context.migration, transfer)]
        if not context.migration.within_namespace:
            rendered.append(manifests.destination_claim(context.migration, transfer, volume_name=""))
        for manifest in rendered:
            where = f"{manifest.namespace}/{manifest.name}"
            try:
                context.cluster.dry_run_create(manifest)
            except errors.AlreadyExists:
                continue
            except errors.NotFound:
                continue
            except errors.QuotaExceeded as error:
                problems.append(
                    stop(
                        "quota",
                        title,
                        f"{where}: {error.happened}",
                        "Raise the quota, or choose a smaller size.",
                    )
                )
            except (errors.Denied, errors.Invalid, errors.Forbidden) as error:
                problems.append(stop("quota", title, f"{where}: {error.happened}", error.next))
    total = _storage_left(context)
    yield from problems or [*total, passed("quota", title, "The server accepts every claim in a dry run.")]


def _storage_left(context: Context) -> list[Check]:
    """A dry run asks for one claim at a time; together they may still be too much."""
    wanted = sum(t.destination_bytes for t in context.transfers)
    count = len(context.transfers)
    found = []
    for name in sorted({context.migration.source_namespace, context.migration.destination_namespace}):
        for quota in context.cluster.list_quotas(name):
            for key, need in (("requests.storage", wanted), ("persistentvolumeclaims", count)):
                hard, used = quota.hard.get(key), quota.used.get(key, 0)
                if hard is not None and used + need > hard:
                    found.append(
                        stop(
                            "quota",
                            "Quotas and admission",
                            f"Quota {name}/{quota.name}: {key} has {hard - used:.0f} left, all claims together need {need}.",
                            "Raise the quota, or move fewer claims at a time.",
                        )
                    )
                elif hard is not None and used + need > hard * 0.9:
                    found.append(
                        warn(
                            "quota",
                            "Quotas and admission",
                            f"Quota {name}/{quota.name}: {key} will be over 90 % used.",
                        )
                    )
    return found
