"""The list of claims: what it costs, what it shows, what it exports, for whom."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.states import Protection
from tests.pages.conftest import SignedIn
from tests.pages.making import claim

pytestmark = pytest.mark.django_db


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    response: Any = client.get(f"/claims/?format=csv{query}")
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_it_asks_the_database_as_often_for_five_hundred_claims_as_for_fifty(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    for number in range(50):
        claim(f"data-{number}")
    viewer.get("/claims/")
    few = queries(viewer, "/claims/")
    for number in range(50, 500):
        claim(f"data-{number}")
    assert queries(viewer, "/claims/") == few <= 16


def test_the_file_holds_exactly_what_is_filtered_beyond_the_page(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    for number in range(60):
        claim(f"data-{number:02}")
    claim("other", "office")
    rows = exported(viewer, "&namespace=media&page=2")
    assert [row["claim"] for row in rows] == [f"data-{number:02}" for number in range(60)]
    assert len(exported(viewer, "&q=office")) == 1
    assert len(exported(viewer)) == 61


def test_a_cell_that_a_spreadsheet_would_run_is_text(signed_in: SignedIn) -> None:
    claim("data", owner_name='=HYPERLINK("http://x","y")', storage_class="@SUM(A1)", volume_name="-1+1")
    (row,) = exported(signed_in("viewer"))
    assert row["owner"] == '\'=HYPERLINK("http://x","y")'
    assert (row["class"], row["volume"]) == ("'@SUM(A1)", "'-1+1")


def test_filters_live_in_the_url_and_in_every_link_of_the_page(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    for number in range(60):
        claim(f"data-{number:02}", weakest=Protection.UNPROTECTED)
    claim("safe", weakest=Protection.PROTECTED)
    page = viewer.get("/claims/?namespace=media&state=unprotected&sort=size&down=1").content.decode()
    assert "<strong>60</strong>" in page and ">safe<" not in page
    for link in ("page=2", "format=csv", "sort=owner"):
        href = next(part for part in page.split('href="')[1:] if link in part.split('"')[0]).split('"')[0]
        assert "namespace=media" in href and "state=unprotected" in href
    assert (
        "page=" not in next(p for p in page.split('href="') if "sort=owner" in p.split('"')[0]).split('"')[0]
    )


def test_unknown_filters_are_dropped_so_that_old_links_work(signed_in: SignedIn) -> None:
    claim("data")
    answer = signed_in("viewer").get(
        "/claims/?state=green&sort=;drop&path=no&page=many&risk=all&phase=x&down=3"
    )
    assert answer.status_code == 200 and b">data<" in answer.content


def test_htmx_gets_the_part_and_going_back_gets_the_page(signed_in: SignedIn) -> None:
    claim("data")
    viewer = signed_in("viewer")
    part = viewer.get("/claims/", headers={"HX-Request": "true"})
    assert b"<html" not in part.content and b">data<" in part.content
    restored = viewer.get("/claims/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert b"<html" in restored.content
    assert "HX-Request" in part["Vary"] and "HX-Request" in restored["Vary"]


def test_a_namespace_that_one_may_not_see_is_not_there(signed_in: SignedIn) -> None:
    claim("data", "media")
    claim("ledger", "finance")
    viewer = signed_in("viewer", "media")
    page = viewer.get("/claims/").content.decode()
    assert ">data<" in page and "ledger" not in page and "finance" not in page
    assert [row["claim"] for row in exported(viewer)] == ["data"]
    assert viewer.get("/claims/demo-east/finance/ledger/").status_code == 404
    assert viewer.get("/claims/demo-east/media/data/").status_code == 200
    assert "ledger" not in viewer.get("/").content.decode()
