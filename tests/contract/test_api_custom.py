"""Custom resources: served as soon as they are defined, pruned, defaulted, validated, with a status of their own."""

import secrets
from collections.abc import Iterator

import pytest

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import CUSTOM_RESOURCE_DEFINITIONS, Resource
from tests.contract.place import Place
from tests.support.waiting import until

pytestmark = pytest.mark.contract

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["path"],
            "properties": {
                "path": {"type": "string"},
                "interval": {"type": "string", "default": "1m"},
                "suspend": {"type": "boolean"},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


@pytest.fixture(scope="module")
def widgets(contract_client: Client) -> Iterator[Resource]:
    group = f"g{secrets.token_hex(3)}.example.com"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": "Path", "type": "string", "jsonPath": ".spec.path"}],
    }
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [version],
    }
    definition = {"metadata": {"name": f"widgets.{group}"}, "spec": spec}
    contract_client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    resource = Resource(group, "v1", "widgets", "Widget")

    def served() -> bool:
        try:
            contract_client.list(resource)
        except ApiError as error:
            assert error.not_found
            return False
        return True

    until(served, timeout_s=15, what="the new kind")
    yield resource
    contract_client.delete(CUSTOM_RESOURCE_DEFINITIONS, f"widgets.{group}")


def widget(place: Place, widgets: Resource, **spec: object) -> Object:
    return place.create(widgets, "one", spec={"path": "./apps", **spec})


def test_discovery_finds_the_kind(contract_client: Client, widgets: Resource) -> None:
    assert contract_client.mapping(widgets.api_version, "Widget") == widgets


def test_defaults_are_filled_in_and_unknown_fields_dropped(place: Place, widgets: Resource) -> None:
    assert widget(place, widgets, colour="blue")["spec"] == {"path": "./apps", "interval": "1m"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"suspend": "yes"}, "spec.suspend in body must be of type boolean"),
        ({"mode": "medium"}, 'spec.mode: Unsupported value: "medium"'),
        ({"path": None}, "spec.path"),
    ],
)
def test_the_schema_is_enforced(place: Place, widgets: Resource, change: Object, complaint: str) -> None:
    with pytest.raises(ApiError) as caught:
        widget(place, widgets, **change)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert complaint in caught.value.message


def test_spec_and_status_are_written_apart(place: Place, widgets: Resource) -> None:
    made = widget(place, widgets)
    generation = made["metadata"]["generation"]
    both = {"spec": {"suspend": True}, "status": {"ready": True}}
    through_status = place.client.patch(widgets, "one", both, place.namespace, subresource="status")
    assert through_status["status"] == {"ready": True}
    assert "suspend" not in through_status["spec"]
    assert through_status["metadata"]["generation"] == generation
    plain = place.client.patch(
        widgets, "one", {"spec": {"suspend": True}, "status": {"ready": False}}, place.namespace
    )
    assert plain["status"] == {"ready": True}
    assert plain["metadata"]["generation"] == generation + 1


def test_a_strategic_patch_is_not_for_custom_resources(place: Place, widgets: Resource) -> None:
    widget(place, widgets)
    with pytest.raises(ApiError) as caught:
        place.client.patch(widgets, "one", {"spec": {}}, place.namespace, type="strategic")
    assert (caught.value.status, caught.value.reason) == (415, "UnsupportedMediaType")


def test_items_of_a_list_carry_their_kind(place: Place, widgets: Resource) -> None:
    widget(place, widgets)
    found = place.client.request("GET", widgets.path(place.namespace))
    assert found["kind"] == "WidgetList"
    assert found["items"][0]["kind"] == "Widget"


def test_a_table_shows_the_printer_columns(place: Place, widgets: Resource) -> None:
    widget(place, widgets)
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    found = place.client.send("GET", widgets.path(place.namespace), headers=accept).json()
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Path"]
    assert found["rows"][0]["cells"] == ["one", "./apps"]
