"""ConfigMap kyverno/kyverno: what the engine never looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sandbox.answers import Object

NAMESPACE = "kyverno"
CONFIG_NAME = "kyverno"

DEFAULT_DATA = {
    "enableDefaultRegistryMutation": "true",
    "defaultRegistry": "docker.io",
    "generateSuccessEvents": "false",
    "excludeGroups": "system:nodes",
    "resourceFilters": "[Event,*,*] [*/*,kube-system,*] [*/*,kube-public,*] [*/*,kube-node-lease,*] [Node,*,*] "
    "[Node/*,*,*] [APIService,*,*] [TokenReview,*,*] [SubjectAccessReview,*,*] [SelfSubjectAccessReview,*,*] "
    "[Binding,*,*] [Pod/binding,*,*] [ReplicaSet,*,*] [EphemeralReport,*,*] [ConfigMap,kyverno,kyverno]",
    "webhooks": '{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn",'
    '"values":["kube-system"]},{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kyverno"]}]}}',
}
_FILTER = re.compile(r"\[([^,\]]*),?([^,\]]*),?([^\]]*)\]")


@dataclass(frozen=True)
class Config:
    """`filters` are (kind, namespace, name) patterns; groups and user names may hold wildcards."""

    filters: tuple[tuple[str, str, str], ...] = ()
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @classmethod
    def read(cls, config_map: Object | None) -> Config:
        """Without the ConfigMap nothing is excluded."""
        data = (config_map or {}).get("data") or {}
        found = _FILTER.findall(str(data.get("resourceFilters") or ""))
        return cls(
            tuple(
                (kind.strip(), namespace.strip() or "*", name.strip() or "*")
                for kind, namespace, name in found
            ),
            _words(data.get("excludeGroups")),
            _words(data.get("excludeUsernames")),
        )

    def excludes(self, request: Object) -> bool:
        """Whether a request passes without being looked at."""
        user = request.get("userInfo") or {}
        if any(fnmatchcase(group, one) for group in user.get("groups") or [] for one in self.groups):
            return True
        if any(fnmatchcase(str(user.get("username", "")), one) for one in self.users):
            return True
        return any(self._is_filtered(entry, request) for entry in self.filters)

    def _is_filtered(self, entry: tuple[str, str, str], request: Object) -> bool:
        kind, namespace, name = entry
        own = request["kind"]["kind"]
        sub = request.get("subResource") or ""
        wanted = kind.split("/")
        pattern = wanted[0] if wanted[0] != "*" else "*"
        if not fnmatchcase(own, pattern) or (sub and len(wanted) == 1):
            return False
        scope = (request.get("name") or "") if own == "Namespace" else (request.get("namespace") or "")
        return fnmatchcase(scope, namespace) and fnmatchcase(request.get("name") or "", name)


def _words(text: object) -> tuple[str, ...]:
    return tuple(one.strip() for one in str(text or "").split(",") if one.strip())
