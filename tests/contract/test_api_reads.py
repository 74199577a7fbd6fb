"""What lists and watches promise: pages of one moment, selectors, no lost change, 410 when it is too late."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from sandbox.answers import ApiError, WatchEvent
from sandbox.client import Client
from sandbox.kinds import CONFIG_MAPS, EVENTS, PERSISTENT_VOLUME_CLAIMS
from tests.contract.place import Place

pytestmark = pytest.mark.contract

MINE = "example.com/mine"


def make(place: Place, *names: str, **labels: str) -> None:
    for name in names:
        place.create(CONFIG_MAPS, name, metadata={"labels": {"mine": "yes", **labels}})


def page(place: Place, **params: str) -> dict:
    query = {"labelSelector": "mine=yes", **params}
    return place.client.request("GET", CONFIG_MAPS.path(place.namespace), params=query)


def names(found: dict) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


def test_pages_join_to_the_whole_list(place: Place) -> None:
    make(place, "a", "b", "c", "d", "e")
    first = page(place, limit="2")
    second = page(place, limit="2", **{"continue": first["metadata"]["continue"]})
    third = page(place, limit="2", **{"continue": second["metadata"]["continue"]})
    assert names(first) + names(second) + names(third) == ["a", "b", "c", "d", "e"]
    assert "continue" not in third["metadata"]


def test_later_pages_show_the_moment_of_the_first(place: Place) -> None:
    make(place, "a", "b", "c")
    first = page(place, limit="1")
    make(place, "bb")
    place.client.delete(CONFIG_MAPS, "c", place.namespace)
    rest = page(place, **{"continue": first["metadata"]["continue"]})
    assert names(rest) == ["b", "c"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_list_of_a_built_in_kind_carries_the_kind_once(place: Place) -> None:
    make(place, "a")
    found = page(place)
    assert found["kind"] == "ConfigMapList"
    assert not {"apiVersion", "kind"} & found["items"][0].keys()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("color=red", ["a"]),
        ("color!=red", ["b", "c"]),
        ("color in (red, blue)", ["a", "b"]),
        ("color notin (red)", ["b", "c"]),
        ("color", ["a", "b"]),
        ("!color", ["c"]),
        ("color in (red,blue),size=1", ["b"]),
    ],
)
def test_label_selectors(place: Place, selector: str, expected: list[str]) -> None:
    make(place, "a", color="red", size="2")
    make(place, "b", color="blue", size="1")
    make(place, "c", size="1")
    assert names(page(place, labelSelector=f"mine=yes,{selector}")) == expected


def test_a_field_selector_finds_events_of_one_object(place: Place) -> None:
    for number, name in enumerate(("one", "two")):
        place.create(
            EVENTS,
            f"event-{number}",
            involvedObject={"kind": "ConfigMap", "namespace": place.namespace, "name": name},
            reason="Tested",
            type="Normal",
        )
    selector = "involvedObject.name=two,type=Normal,reason=Tested"
    found = place.client.list(EVENTS, place.namespace, field_selector=selector)
    assert [item["metadata"]["name"] for item in found] == ["event-1"]


def test_a_field_that_cannot_be_selected_is_refused(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        place.client.list(PERSISTENT_VOLUME_CLAIMS, place.namespace, field_selector="spec.volumeName=a")
    assert caught.value.status == 400
    assert "field label not supported" in caught.value.message


def once(place: Place, version: str, **params: str) -> Iterator[WatchEvent]:
    query = {"labelSelector": "mine=yes", **params}
    return place.client.watch_once(CONFIG_MAPS, place.namespace, query, version)


def shown(events: Iterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    changes = (event for event in events if event.type != "BOOKMARK")
    return [(event.type, event.object["metadata"]["name"]) for event in itertools.islice(changes, count)]


def test_a_watch_from_a_list_misses_nothing(place: Place) -> None:
    make(place, "a")
    version = page(place)["metadata"]["resourceVersion"]
    make(place, "b")
    place.client.patch(CONFIG_MAPS, "a", {"data": {"x": "y"}}, place.namespace)
    place.client.delete(CONFIG_MAPS, "b", place.namespace)
    expected = [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert shown(once(place, version), 3) == expected


def test_a_watch_delivers_what_happens_later(place: Place) -> None:
    version = page(place)["metadata"]["resourceVersion"]
    seen: list[tuple[str, str]] = []
    reader = threading.Thread(target=lambda: seen.extend(shown(once(place, version), 1)), daemon=True)
    reader.start()
    make(place, "later")
    reader.join(timeout=10)
    assert seen == [("ADDED", "later")]


def test_leaving_the_selection_is_a_deletion_to_a_watch(place: Place) -> None:
    make(place, "a")
    version = page(place)["metadata"]["resourceVersion"]
    place.client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"mine": "no"}}}, place.namespace)
    place.client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"mine": "yes"}}}, place.namespace)
    assert shown(once(place, version), 2) == [("DELETED", "a"), ("ADDED", "a")]


def test_a_watch_ends_at_its_timeout(place: Place) -> None:
    query = {"watch": "true", "timeoutSeconds": "1", "fieldSelector": "metadata.name=nothing"}
    answer = place.client.send("GET", CONFIG_MAPS.path(place.namespace), params=query)
    assert answer.status_code == 200


def test_a_watch_can_begin_with_the_present_state_and_mark_its_end(place: Place) -> None:
    make(place, "a", "b")
    initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    events = list(itertools.islice(once(place, "", **initial), 3))
    assert [event.type for event in events] == ["ADDED", "ADDED", "BOOKMARK"]
    assert events[2].object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_from_the_distant_past_is_gone(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        next(once(place, "1"))
    assert (caught.value.status, caught.value.reason) == (410, "Expired")


def test_metadata_alone_can_be_asked_for(contract_client: Client, place: Place) -> None:
    make(place, "a")
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    found = contract_client.send("GET", CONFIG_MAPS.path(place.namespace, ""), headers=accept).json()
    assert found["kind"] == "PartialObjectMetadataList"
    assert all(set(item) <= {"kind", "apiVersion", "metadata"} for item in found["items"])


def test_a_table_has_the_columns_that_people_know(place: Place) -> None:
    place.claim("data", storageClassName="no-such-class")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    found = place.client.send("GET", PERSISTENT_VOLUME_CLAIMS.path(place.namespace), headers=accept).json()
    columns = [column["name"] for column in found["columnDefinitions"]]
    assert columns[:6] == ["Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass"]
    assert found["rows"][0]["cells"][:2] == ["data", "Pending"]
