"""Reads of Flux objects and of admission. Lists are empty where the kind is not served."""

from __future__ import annotations

from cluster.flux import GitSource, HelmRelease, Kustomization
from cluster.policies import Admission
from cluster.transport import Transport


class GitReads(Transport):
    def get_kustomization(self, namespace: str, name: str) -> Kustomization | None:
        raise NotImplementedError

    def list_kustomizations(self, *, fresh: bool = True) -> list[Kustomization]:
        raise NotImplementedError

    def get_helm_release(self, namespace: str, name: str) -> HelmRelease | None:
        raise NotImplementedError

    def list_helm_releases(self, *, fresh: bool = True) -> list[HelmRelease]:
        raise NotImplementedError

    def get_git_source(self, namespace: str, name: str, kind: str = "GitRepository") -> GitSource | None:
        raise NotImplementedError

    def list_git_sources(self, kind: str = "GitRepository", *, fresh: bool = True) -> list[GitSource]:
        raise NotImplementedError

    def admission(self) -> Admission:
        """Policies, bindings, webhooks and exceptions; kinds that we may not list are named in `unreadable`."""
        raise NotImplementedError
