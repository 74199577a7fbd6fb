"""Who has no role sees their own account, and nothing of the clusters."""

import pytest

from tests.pages.conftest import SignedIn
from tests.pages.making import cluster

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/account/", "/", "/claims/", "/migrations/", "/no-such-page/"])
def test_an_outsider_reads_no_name_of_a_cluster(signed_in: SignedIn, path: str) -> None:
    name = cluster().name
    page = signed_in("").get(path).content.decode()
    assert 'id="clusters"' in page
    assert name not in page and "as of" not in page


def test_whoever_has_a_role_sees_the_clusters_and_since_when(signed_in: SignedIn) -> None:
    name = cluster().name
    page = signed_in("viewer", "one-namespace").get("/account/").content.decode()
    assert name in page and "as of" in page
