"""What the overview counts is what its links show: nothing is in a bar and not in the list behind it."""

import itertools

import pytest

from dashboard import standing
from dashboard.models import DELETION_PATHS, Claim
from dashboard.states import Drift, Owner, Protection
from tests.pages.conftest import SignedIn
from tests.pages.making import claim
from tests.pages.test_claims_list import exported

pytestmark = pytest.mark.django_db


def test_each_number_is_that_of_the_list_behind_it(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    states, paths = list(Protection), [path for path, _ in DELETION_PATHS]
    odd = itertools.cycle(
        [
            {"phase": "Lost"},
            {"deleting": True, "drift": Drift.GIT_ONLY},
            {"drift": Drift.CLUSTER_ONLY, "weakest": Protection.UNKNOWN},
            {"owner_kind": Owner.ORPHAN},
            {},
        ]
    )
    for number in range(23):
        # Each path goes through the states at a pace of its own, so that no two have the same numbers.
        guards = {path: states[number // (at + 1) % len(states)] for at, path in enumerate(paths)}
        claim(f"data-{number:02}", **{**guards, **next(odd)})
    present = Claim.objects.present()
    for line in standing.by_path(present):
        assert sum(share.count for share in line.shares) == 23
        for share in line.shares:
            rows = exported(viewer, f"&{share.query}")
            assert len(rows) == share.count
            assert {row[line.title] for row in rows} == {share.state.value}
    risks = standing.other_risks(present)
    assert [risk["count"] for risk in risks] == [5, 5, 5, 5, 4, 5]
    for risk in risks:
        assert len(exported(viewer, f"&{risk['query']}")) == risk["count"], risk["text"]
