"""The three checks of a cluster, on demand, with history."""

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import needs
from accounts.permissions import can, patterns_for, visible, why_not
from audit.trail import Actor
from dashboard import validation as rules
from dashboard.models import Cluster, ValidationResult, ValidationRun
from dashboard.states import Answer, CheckKind, RunState


@needs("claims.view", write="validation.run")
@require_http_methods(["GET", "HEAD", "POST"])
def validation(request: HttpRequest) -> HttpResponse:
    """GET shows the history and the newest run; POST asks for another run."""
    cluster = Cluster.objects.first()
    if request.method == "POST":
        if cluster is None:
            messages.error(request, "No cluster has been seen yet. Start the watcher.")
        else:
            try:
                rules.request(cluster, by=Actor.of(request))
            except rules.AlreadyOpen as open_already:
                messages.info(request, str(open_already))
        return HttpResponseRedirect(reverse("validation"), status=303)
    newest = ValidationRun.objects.first()
    return _show(request, newest, "dashboard/validation.html")


@needs("claims.view")
@require_safe
def validation_run(request: HttpRequest, run_id: int) -> HttpResponse:
    return _show(request, get_object_or_404(ValidationRun, pk=run_id), "dashboard/validation.html")


def _show(request: HttpRequest, run: ValidationRun | None, template: str) -> HttpResponse:
    results = _visible_results(request, run)
    kind, answer = request.GET.get("check", ""), request.GET.get("answer", "")
    if kind in CheckKind.values:
        results = results.filter(check_kind=kind)
    counts = dict(results.order_by().values_list("answer").annotate(Count("pk")))
    if answer in Answer.values:
        results = results.filter(answer=answer)
    runs = list(ValidationRun.objects.all()[:20])
    found = what_was_found(request, [*runs, *([run] if run else [])])
    page = Paginator(results.order_by(_WORST_FIRST, "check_kind", "id"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    context = {
        "run": run,
        "summary": found[run.pk].summary if run else "",
        "limited": not _sees_all(request),
        "answer": found[run.pk].answer if run and run.state in {RunState.FINISHED, RunState.FAILED} else None,
        "state": RunState(run.state) if run else None,
        "open": run is not None and run.state in {RunState.REQUESTED, RunState.RUNNING},
        "page": page,
        "rows": [(Answer(r.answer), CheckKind(r.check_kind), _claim_url(run, r), r) for r in page],
        "history": [(found[r.pk].answer, RunState(r.state), r) for r in runs],
        "answers": [(a, counts.get(a.value, 0)) for a in sorted(Answer, key=lambda each: each.rank)],
        "all": sum(counts.values()),
        "chosen": answer if answer in Answer.values else "",
        "kinds": CheckKind.choices,
        "kind": kind,
        "may_run": can(request.user, "validation.run"),
        "why_not": why_not("validation.run", ""),
    }
    return render(request, template, context)


PAGE_SIZE = 50
_WORST_FIRST = Case(*(When(answer=each, then=Value(each.rank)) for each in Answer), default=Value(9))


def _visible_results(request: HttpRequest, run: ValidationRun | None) -> QuerySet[ValidationResult]:
    """What the run says about the cluster, and about claims that this person may see."""
    return ValidationResult.objects.none() if run is None else _seen(request, run.results.all())


def _seen(request: HttpRequest, results: QuerySet[ValidationResult]) -> QuerySet[ValidationResult]:
    if _sees_all(request):
        return results
    rows = visible(request.user, results, "namespace", permission="claims.view")
    # Older runs kept no namespace with an exception, which is somebody's own object.
    of_the_cluster = Q(namespace="") & ~Q(title__startswith=rules.EXCEPTION_FROM)
    return results.filter(Q(pk__in=rows.values("pk")) | of_the_cluster)


def _sees_all(request: HttpRequest) -> bool:
    return "*" in patterns_for(request.user, "claims.view")


class Found(NamedTuple):
    """What a run found, as far as somebody may see it."""

    answer: Answer
    summary: str


def what_was_found(request: HttpRequest, runs: Iterable[ValidationRun]) -> dict[int, Found]:
    """The worst answer and the counts of each run, by its key; over what this person may see, not over other teams' claims."""
    by_key = {run.pk: run for run in runs}
    if _sees_all(request):
        return {key: Found(Answer(run.answer), run.summary) for key, run in by_key.items()}
    results = _seen(request, ValidationResult.objects.filter(run__in=by_key)).order_by()
    counts: dict[int, dict[Answer, int]] = {key: {} for key in by_key}
    for key, answer, number in results.values_list("run", "answer").annotate(Count("pk")):
        counts[key][Answer(answer)] = number
    return {
        key: Found(min(each, key=lambda a: a.rank, default=Answer.PASS), rules.summary_of(each))
        for key, each in counts.items()
    }


def _claim_url(run: ValidationRun | None, result: ValidationResult) -> str:
    """The page of the claim that an answer is about; empty for policies and the cluster."""
    namespace, _, name = result.subject.partition("/")
    if (
        run is None
        or result.check_kind == CheckKind.POLICY
        or not result.namespace
        or namespace != result.namespace
        or not name
    ):
        return ""
    return reverse("claim", args=[run.cluster.name, namespace, name])
