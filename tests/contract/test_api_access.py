"""Who may do what: tokens, roles, reviews, and the words of a refusal."""

import secrets

import pytest

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, Resource
from tests.contract.place import Place

pytestmark = pytest.mark.contract

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def someone() -> str:
    return f"outsider-{secrets.token_hex(4)}"


def acting(place: Place, user: str, method: str, path: str, body: Object | None = None) -> Object:
    return place.client.send(method, path, body, headers={"Impersonate-User": user}).json()


def allow(place: Place, user: str, verbs: list[str], resources: list[str], **more: list[str]) -> None:
    name = f"role-{secrets.token_hex(3)}"
    rule = {"apiGroups": [""], "resources": resources, "verbs": verbs, **more}
    place.create(ROLES, name, rules=[rule])
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    place.create(ROLE_BINDINGS, name, roleRef=reference, subjects=[subject])


def test_without_a_token_the_answer_is_401(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        place.client.send(
            "GET", CONFIG_MAPS.path(place.namespace), headers={"Authorization": "Bearer not-a-token"}
        )
    assert (caught.value.status, caught.value.reason) == (401, "Unauthorized")


def test_what_no_role_allows_is_refused_by_name(place: Place) -> None:
    user = someone()
    with pytest.raises(ApiError) as caught:
        acting(place, user, "DELETE", PERSISTENT_VOLUME_CLAIMS.path(place.namespace, "data"))
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert caught.value.message == (
        f'persistentvolumeclaims "data" is forbidden: User "{user}" cannot delete resource "persistentvolumeclaims"'
        f' in API group "" in the namespace "{place.namespace}"'
    )


def test_a_list_of_all_namespaces_is_refused_at_the_cluster_scope(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        acting(place, someone(), "GET", PERSISTENT_VOLUME_CLAIMS.path())
    assert caught.value.message.endswith("at the cluster scope")


def test_a_role_holds_in_its_namespace_alone(place: Place) -> None:
    user, other = someone(), place.another()
    allow(place, user, ["list"], ["configmaps"])
    assert "items" in acting(place, user, "GET", CONFIG_MAPS.path(place.namespace))
    with pytest.raises(ApiError):
        acting(place, user, "GET", CONFIG_MAPS.path(other.namespace))


def test_a_verb_allows_itself_alone(place: Place) -> None:
    user = someone()
    place.create(CONFIG_MAPS, "settings")
    allow(place, user, ["get"], ["configmaps"])
    acting(place, user, "GET", CONFIG_MAPS.path(place.namespace, "settings"))
    for method, path in (
        ("GET", CONFIG_MAPS.path(place.namespace)),
        ("DELETE", CONFIG_MAPS.path(place.namespace, "settings")),
        ("DELETE", CONFIG_MAPS.path(place.namespace)),
    ):
        with pytest.raises(ApiError) as caught:
            acting(place, user, method, path)
        assert caught.value.forbidden


def test_resource_names_narrow_a_rule(place: Place) -> None:
    user = someone()
    for name in ("mine", "other"):
        place.create(CONFIG_MAPS, name)
    allow(place, user, ["get"], ["configmaps"], resourceNames=["mine"])
    acting(place, user, "GET", CONFIG_MAPS.path(place.namespace, "mine"))
    with pytest.raises(ApiError):
        acting(place, user, "GET", CONFIG_MAPS.path(place.namespace, "other"))


def test_a_dry_run_delete_needs_the_right_to_delete(place: Place) -> None:
    user = someone()
    place.create(CONFIG_MAPS, "settings")
    allow(place, user, ["get"], ["configmaps"])
    with pytest.raises(ApiError) as caught:
        acting(place, user, "DELETE", CONFIG_MAPS.path(place.namespace, "settings") + "?dryRun=All")
    assert caught.value.forbidden


@pytest.mark.parametrize(("verb", "expected"), [("list", True), ("delete", False)])
def test_an_access_review_answers_for_the_caller(place: Place, verb: str, expected: bool) -> None:
    user = someone()
    allow(place, user, ["list"], ["configmaps"])
    attributes = {"namespace": place.namespace, "verb": verb, "resource": "configmaps"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    assert acting(place, user, "POST", REVIEW, body)["status"]["allowed"] is expected


def test_discovery_is_open_to_whoever_is_signed_in(contract_client: Client) -> None:
    found = contract_client.send("GET", "/apis", headers={"Impersonate-User": someone()}).json()
    assert "apps" in [group["name"] for group in found["groups"]]


def test_a_service_account_token_acts_as_its_account(place: Place) -> None:
    accounts = Resource("", "v1", "serviceaccounts", "ServiceAccount")
    place.create(accounts, "robot")
    path = accounts.path(place.namespace, "robot", "token")
    token = place.client.request("POST", path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    with pytest.raises(ApiError) as caught:
        place.client.send(
            "GET", CONFIG_MAPS.path(place.namespace), headers={"Authorization": f"Bearer {token}"}
        )
    assert f'User "system:serviceaccount:{place.namespace}:robot"' in caught.value.message
