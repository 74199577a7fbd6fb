"""The claims list as a question: what the URL asks for, as a queryset. Page and CSV ask the same one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Concat
from django.http import QueryDict

from accounts.permissions import Person, visible
from dashboard.models import DELETION_PATHS, Claim, GitOpsFact, NamespaceFact
from dashboard.states import AT_RISK, Drift, Owner, Protection

PATHS = dict(DELETION_PATHS)
PHASES = ("Bound", "Pending", "Lost", "Terminating")


def _worst_first(field: str) -> Case:
    """States of protection in the order in which they need a person."""
    return Case(*(When(**{field: state}, then=Value(state.rank)) for state in Protection), default=Value(9))


SORTS: dict[str, tuple[Any, ...]] = {
    **{path: (_worst_first(path), "namespace", "name") for path in PATHS},
    "claim": ("namespace", "name"),
    "size": ("size_bytes", "namespace", "name"),
    "class": ("storage_class", "namespace", "name"),
    "owner": ("owner_kind", "owner_name", "namespace", "name"),
    "weakest": (_worst_first("weakest"), "namespace", "name"),
    "consumers": ("consumer_count", "namespace", "name"),
    "snapshot": (F("snapshot_at"), "namespace", "name"),
    "created": ("created_at", "namespace", "name"),
}


@dataclass(frozen=True)
class Filters:
    """What the URL asks for; unknown values are dropped, so that an old link still works."""

    text: str = ""
    namespace: str = ""
    owner: str = ""
    storage_class: str = ""
    phase: str = ""
    path: str = ""
    state: str = ""
    risk: str = ""
    drift: str = ""
    sort: str = "claim"
    down: bool = False

    @classmethod
    def of(cls, query: QueryDict) -> "Filters":
        query = query.copy()
        for key, value in list(query.items()):
            query[key] = str(value).replace("\x00", "")  # the one character that PostgreSQL refuses
        sort = query.get("sort", "claim")
        return cls(
            text=query.get("q", "").strip()[:200],
            namespace=query.get("namespace", "")[:253],
            owner=_known(query.get("owner", ""), Owner.values),
            storage_class=query.get("class", "")[:253],
            phase=_known(query.get("phase", ""), PHASES),
            path=_known(query.get("path", ""), list(PATHS)),
            state=_known(query.get("state", ""), Protection.values),
            drift=_known(query.get("drift", ""), Drift.values),
            risk=_known(query.get("risk", ""), ["any", "orphan", "moving"]),
            sort=sort if sort in SORTS else "claim",
            down=query.get("down") == "1",
        )

    @property
    def any(self) -> bool:
        return any(
            [
                self.text,
                self.namespace,
                self.owner,
                self.storage_class,
                self.phase,
                self.state,
                self.risk,
                self.drift,
            ]
        )


def visible_gitops(user: Person, *, permission: str = "claims.view") -> QuerySet[GitOpsFact]:
    """Flux objects that `user` may know of: in their namespaces, or the owners of their claims and namespaces.

    They often live in one namespace for all teams, so their own namespace alone says too little.
    """
    rows = GitOpsFact.objects.filter(gone_at__isnull=True)
    mine = visible(user, rows, "namespace", permission=permission)
    claims = visible(user, Claim.objects.present(), "namespace", permission=permission)
    namespaces = visible(
        user, NamespaceFact.objects.filter(gone_at__isnull=True), "name", permission=permission
    )
    owners = claims.filter(
        cluster=OuterRef("cluster"), owner_namespace=OuterRef("namespace"), owner_name=OuterRef("name")
    )
    holders = namespaces.filter(
        cluster=OuterRef("cluster"), owner_name=Concat(OuterRef("namespace"), Value("/"), OuterRef("name"))
    )
    return rows.filter(Q(pk__in=mine.values("pk")) | Exists(owners) | Exists(holders))


def _known(value: str, values: Sequence[str]) -> str:
    return value if value in values else ""


def find(rows: QuerySet[Claim], filters: Filters, *, moving: QuerySet[Any]) -> QuerySet[Claim]:
    """`rows` as the filters ask. `moving` are transfers of live migrations, correlated by namespace and name."""
    if filters.text:
        for word in filters.text.split():
            rows = rows.filter(
                Q(name__icontains=word)
                | Q(namespace__icontains=word)
                | Q(owner_name__icontains=word)
                | Q(volume_name__icontains=word)
            )
    plain = {
        "namespace": filters.namespace,
        "owner_kind": filters.owner,
        "storage_class": filters.storage_class,
    }
    rows = rows.filter(**{key: value for key, value in plain.items() if value})
    if filters.phase:
        rows = (
            rows.filter(deleting=True) if filters.phase == "Terminating" else rows.filter(phase=filters.phase)
        )
    if filters.state:
        rows = rows.filter(**{filters.path or "weakest": filters.state})
    if filters.drift:
        rows = rows.filter(drift=filters.drift)
    if filters.risk == "any":
        rows = rows.filter(weakest__in=AT_RISK)
    elif filters.risk == "orphan":
        rows = rows.filter(owner_kind=Owner.ORPHAN)
    elif filters.risk == "moving":
        here = moving.filter(migration__source_namespace=OuterRef("namespace"), source_name=OuterRef("name"))
        rows = rows.filter(Exists(here))
    first, *rest = SORTS[filters.sort]
    column = F(first) if isinstance(first, str) else first
    # What has none comes last, whichever way: no snapshot is neither the oldest nor the newest.
    order = column.desc(nulls_last=True) if filters.down else column.asc(nulls_last=True)
    return rows.order_by(order, *rest)
