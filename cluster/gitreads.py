"""Reads of Flux objects and of admission. Lists are empty where the kind is not served."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from msgspec import Struct, field

from cluster import decode_flux, decode_policies
from cluster.answers import Asked
from cluster.base import Ref
from cluster.decode_policies import PolicyW, WebhooksW
from cluster.errors import ClusterError, Forbidden, NotFound
from cluster.flux import GitSource, HelmRelease, Kustomization
from cluster.listing import Noun, W
from cluster.policies import Admission
from cluster.reads import Reads

V = TypeVar("V")


class ManagerW(Struct, rename="camel"):
    manager: str = ""
    fields_v1: dict[str, Any] | None = field(default=None, name="fieldsV1")


class ManagedMetaW(Struct, rename="camel"):
    managed_fields: list[ManagerW] | None = None


class ManagedW(Struct):
    metadata: ManagedMetaW = field(default_factory=ManagedMetaW)


KUSTOMIZATION = Noun("Kustomization", decode_flux.KustomizationW, decode_flux.kustomization)
HELM_RELEASE = Noun("HelmRelease", decode_flux.HelmReleaseW, decode_flux.helm_release)
SOURCE = Noun("GitRepository", decode_flux.SourceW, decode_flux.source)
CLUSTER_POLICY = Noun("ClusterPolicy", PolicyW, decode_policies.kyverno_policy)
POLICY = Noun("Policy", PolicyW, decode_policies.kyverno_policy)
VALIDATING_POLICY = Noun("ValidatingPolicy", PolicyW, decode_policies.validating_policy)
NATIVE_POLICY = Noun("ValidatingAdmissionPolicy", PolicyW, decode_policies.native_policy)
NATIVE_BINDING = Noun("ValidatingAdmissionPolicyBinding", PolicyW, decode_policies.binding)
WEBHOOKS = Noun("ValidatingWebhookConfiguration", WebhooksW, decode_policies.webhooks)
EXCEPTION = Noun("PolicyException", PolicyW, decode_policies.exception)
CEL_EXCEPTION = Noun("PolicyException", PolicyW, decode_policies.exception, "policies.kyverno.io")
ADMISSION_CONTROLLER = "app.kubernetes.io/component=admission-controller,app.kubernetes.io/part-of=kyverno"


class GitReads(Reads):
    """Flux and admission."""

    def get_kustomization(self, namespace: str, name: str) -> Kustomization | None:
        return self._get(KUSTOMIZATION, namespace, name)

    def list_kustomizations(self, *, fresh: bool = True) -> list[Kustomization]:
        return self._list(KUSTOMIZATION, fresh=fresh)

    def get_helm_release(self, namespace: str, name: str) -> HelmRelease | None:
        return self._get(HELM_RELEASE, namespace, name)

    def list_helm_releases(self, *, fresh: bool = True) -> list[HelmRelease]:
        return self._list(HELM_RELEASE, fresh=fresh)

    def suspend_stated_by(self, kind: str, namespace: str, name: str) -> tuple[str, ...]:
        """The field managers that state spec.suspend of a Kustomization or HelmRelease, by managedFields; empty when none or gone.

        Flux's `kustomize-controller` among them: Git states the field, and the next pass of the parent sets it again (A4).
        """
        resource = self.resource(kind)
        ref = Ref(resource.api_version, kind, namespace, name)
        try:
            found = self._read(resource.path(namespace, name), {}, ManagedW, Asked("get", ref))
        except NotFound:
            return ()
        owners = found.metadata.managed_fields or []
        stating = [one for one in owners if "f:suspend" in ((one.fields_v1 or {}).get("f:spec") or {})]
        return tuple(dict.fromkeys(one.manager for one in stating))

    def get_git_source(self, namespace: str, name: str, kind: str = "GitRepository") -> GitSource | None:
        """A source of the source controller; kind: GitRepository, OCIRepository or Bucket."""
        return self._get(SOURCE, namespace, name, kind=kind)

    def list_git_sources(self, kind: str = "GitRepository", *, fresh: bool = True) -> list[GitSource]:
        return self._list(SOURCE, fresh=fresh, kind=kind)

    def admission(self) -> Admission:
        """Policies, bindings, webhooks and exceptions; kinds that we may not list are named in `unreadable`."""
        unreadable: list[str] = []
        bindings = self._attempt(NATIVE_BINDING, unreadable)
        native = [decode_policies.bound(p, bindings) for p in self._attempt(NATIVE_POLICY, unreadable)]
        kyverno = [
            p for noun in (CLUSTER_POLICY, POLICY, VALIDATING_POLICY) for p in self._attempt(noun, unreadable)
        ]
        settings = self._kyverno_settings(unreadable)
        return Admission(
            policies=(*kyverno, *native),
            bindings=tuple(bindings),
            webhooks=tuple(hook for hooks in self._attempt(WEBHOOKS, unreadable) for hook in hooks),
            exceptions=(
                *self._attempt(EXCEPTION, unreadable),
                *self._attempt(CEL_EXCEPTION, unreadable),
            ),
            kyverno_served=self._lookup("kyverno.io", "ClusterPolicy") is not None,
            kyverno_ready_replicas=self._kyverno_ready(unreadable),
            excluded_groups=_words(settings, "excludeGroups") if settings is not None else None,
            excluded_usernames=_words(settings or {}, "excludeUsernames"),
            excluded_roles=(
                *_words(settings or {}, "excludeRoles"),
                *_words(settings or {}, "excludeClusterRoles"),
            ),
            resource_filters=tuple(re.findall(r"\[[^\]]*\]", (settings or {}).get("resourceFilters", ""))),
            unreadable=tuple(unreadable),
        )

    def _attempt(self, noun: Noun[W, V], unreadable: list[str]) -> list[V]:
        try:
            return self._list(noun)
        except Forbidden:
            unreadable.append(f"{noun.kind} of {noun.group}" if noun.group else noun.kind)
            return []

    def _kyverno_ready(self, unreadable: list[str]) -> int | None:
        try:
            found = self.list_workloads("Deployment", None, ADMISSION_CONTROLLER)
        except Forbidden:
            unreadable.append("Deployment")
            return None
        return sum(w.ready_replicas for w in found) if found else None

    def _kyverno_settings(self, unreadable: list[str]) -> dict[str, str] | None:
        """Data of ConfigMap kyverno/kyverno; None when it is not there or not readable."""
        path = self.resource("ConfigMap").path("kyverno", "kyverno")
        try:
            data = self._read(path, {}, dict, Asked("get", Ref("v1", "ConfigMap", "kyverno", "kyverno")))
        except Forbidden:
            unreadable.append("ConfigMap kyverno/kyverno")
            return None
        except ClusterError:
            return None
        return {str(key): str(value) for key, value in (data.get("data") or {}).items()}


def _words(settings: dict[str, str], key: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in settings.get(key, "").split(",") if word.strip())
