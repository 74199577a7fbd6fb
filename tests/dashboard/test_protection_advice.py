"""What is advised fits who owns the claim: what Flux never touches is not sent to Flux, nor to a Git that does not declare it."""

import pytest
from django.utils import timezone

from cluster.policies import ProbeAnswer
from dashboard.models import Claim, Cluster
from dashboard.protecting import advice_for
from dashboard.states import Owner, Protection
from dashboard.validation import probe_finding, protection_findings

pytestmark = pytest.mark.django_db
BAD, NONE = Protection.UNPROTECTED, Protection.NOT_APPLICABLE


def a_claim(owner: Owner, flux_prune: Protection = BAD, **fields: object) -> Claim:
    return Claim.objects.create(
        cluster=Cluster.objects.create(name="production"),
        uid="u-1",
        namespace="ci",
        name="artifacts",
        owner_kind=owner,
        flux_prune=flux_prune,
        kubectl_delete=BAD,
        namespace_delete=BAD,
        volume_reclaim=BAD,
        weakest=BAD,
        seen_at=timezone.now(),
        **fields,
    )


@pytest.mark.parametrize(
    ("owner", "prune", "title", "says"),
    [
        (Owner.KUSTOMIZATION, BAD, "Flux prune: unprotected", "Protect it in Git"),
        (
            Owner.HELM_RELEASE,
            BAD,
            "Helm uninstall or upgrade: unprotected",
            "post-renderer to its HelmRelease",
        ),
        (Owner.HELM, BAD, "Helm uninstall or upgrade: unprotected", "its chart"),
        (Owner.ARGO_CD, BAD, "Argo CD prune: unprotected", "argocd.argoproj.io/sync-options: Prune=false"),
        (Owner.NOBODY, NONE, "kubectl delete: unprotected", "Annotate the live claim"),
        (Owner.STATEFUL_SET, NONE, "kubectl delete: unprotected", "Annotate the live claim"),
        (Owner.KUSTOMIZATION, Protection.PROTECTED, "kubectl delete: unprotected", "have a policy deny"),
    ],
    ids=str,
)
def test_a_finding_advises_what_its_owner_honours(
    owner: Owner, prune: Protection, title: str, says: str
) -> None:
    (found,) = protection_findings([a_claim(owner, prune)])
    assert found.title.startswith(title) and says in found.next
    assert ("in Git" in found.next) is (says == "Protect it in Git")


@pytest.mark.parametrize("owner", list(Owner))
def test_the_probe_sends_nobody_to_a_git_that_does_not_declare_it(owner: Owner) -> None:
    found = probe_finding(a_claim(owner), ProbeAnswer(verdict="unprotected", status=200))
    assert found is not None
    assert ("Protect it in Git" in found.next) is (owner in {Owner.KUSTOMIZATION, Owner.HELM_RELEASE})


def test_a_release_of_helm_alone_is_not_told_of_a_helm_release() -> None:
    what, by_hand = advice_for(a_claim(Owner.HELM))
    assert "post-renderer to the HelmRelease" not in what and "helm.sh/resource-policy: keep" in by_hand


def test_a_claim_of_argo_cd_is_told_its_option() -> None:
    what, by_hand = advice_for(a_claim(Owner.ARGO_CD))
    assert "argocd.argoproj.io/sync-options: Prune=false,Delete=false" in what and "Prune=false" in by_hand
