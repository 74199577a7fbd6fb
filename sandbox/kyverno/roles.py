"""Which roles a user holds, for clusterRoles and roles in match and exclude."""

from __future__ import annotations

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.kinds import Resource

_CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")


def roles_of(client: Client, user: Object) -> tuple[set[str], set[str]]:
    """Names of the ClusterRoles, and namespace:name of the Roles, that are bound to a user or its groups."""
    cluster_roles: set[str] = set()
    roles: set[str] = set()
    for binding in [*client.list(_CLUSTER_ROLE_BINDINGS), *client.list(_ROLE_BINDINGS)]:
        if not any(_is_bound(subject, user) for subject in binding.get("subjects") or []):
            continue
        reference = binding["roleRef"]
        if reference["kind"] == "ClusterRole":
            cluster_roles.add(reference["name"])
        else:
            roles.add(f"{binding['metadata']['namespace']}:{reference['name']}")
    return cluster_roles, roles


def _is_bound(subject: Object, user: Object) -> bool:
    name = subject.get("name")
    if subject.get("kind") == "Group":
        return name in (user.get("groups") or [])
    if subject.get("kind") == "ServiceAccount":
        name = f"system:serviceaccount:{subject.get('namespace')}:{name}"
    return bool(name == user.get("username"))
