"""What is asked for, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRUNE_KEY = "kustomize.toolkit.fluxcd.io/prune"
RECONCILE_KEY = "kustomize.toolkit.fluxcd.io/reconcile"
SSA_KEY = "kustomize.toolkit.fluxcd.io/ssa"
CLAIM = "PersistentVolumeClaim"
WORKLOADS = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod"}
)


@dataclass(frozen=True)
class ObjectRef:
    """An object by kind and live name (after every prefix, suffix, namespace and variable)."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def claim(cls, namespace: str, name: str) -> ObjectRef:
        return cls(CLAIM, namespace, name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class FluxPath:
    """What a Flux Kustomization applies: ``spec.path`` and the options of it that change names and annotations.

    ``substitute`` holds ``spec.postBuild`` variables, which win over those of ``substituteFrom``. ``substitute_from`` names the
    ConfigMaps and Secrets of the latter: their variables are not known here, so not even a default of one is certain.
    ``source`` is the name in ``spec.sourceRef``: with it, Flux Kustomizations whose source is stated with the URL of another
    repository are not taken for users of the same directory. ``patches`` are the bodies of ``spec.patches`` as (target, patch text); ``common_annotations`` and
    ``common_labels`` those of ``spec.commonMetadata``.
    """

    path: str
    target_namespace: str = ""
    name_prefix: str = ""
    name_suffix: str = ""
    substitute: Mapping[str, str] = field(default_factory=dict)
    substitute_from: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    patches: tuple[tuple[Mapping[str, str], str], ...] = ()
    common_annotations: Mapping[str, str] = field(default_factory=dict)
    common_labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Stamp:
    """A place that sets one protection key on the object after its own document: ``file`` and how.

    ``level`` is the position in the declaration's chain of the kustomization during whose build it happens.
    """

    file: str
    stage: str  # patch | json-patch | commonAnnotations | labels | transformer (or component-...) | flux-patch | flux
    key: str
    value: str
    where: str  # annotations | labels
    level: int = 0


@dataclass(frozen=True)
class Declaration:
    """Where an object is declared.

    ``start`` and ``end`` are byte offsets of its document in ``path``; ``item`` is its position in a List document,
    else None. ``chain`` names the kustomization files from the one that lists the file up to the top ("" for a
    level that Flux makes up because the directory has none). ``shared_with`` names other kustomizations that use
    the same file; ``owner_level`` is the position in ``chain`` of the lowest kustomization that nobody else uses
    (-1: the file itself is used by this object alone; None: even the top is used elsewhere).
    """

    ref: ObjectRef
    path: str
    document: int
    start: int
    end: int
    item: int | None
    written_name: str
    written_namespace: str
    chain: tuple[str, ...]
    shared_with: tuple[str, ...]
    owner_level: int | None
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    stamps: tuple[Stamp, ...]
    notes: tuple[str, ...] = ()
