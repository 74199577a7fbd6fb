"""The three checks of a cluster, on demand, with history."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Count, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import needs
from accounts.permissions import can, visible, why_not
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
    page = Paginator(results.order_by(_WORST_FIRST, "check_kind", "id"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    context = {
        "run": run,
        "answer": Answer(run.answer) if run and run.state in {RunState.FINISHED, RunState.FAILED} else None,
        "state": RunState(run.state) if run else None,
        "open": run is not None and run.state in {RunState.REQUESTED, RunState.RUNNING},
        "page": page,
        "rows": [(Answer(r.answer), CheckKind(r.check_kind), _claim_url(run, r), r) for r in page],
        "history": [(Answer(r.answer), RunState(r.state), r) for r in ValidationRun.objects.all()[:20]],
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
    if run is None:
        return ValidationResult.objects.none()
    rows = visible(request.user, run.results.exclude(namespace=""), "namespace", permission="claims.view")
    return run.results.filter(pk__in=rows.values("pk")) | run.results.filter(namespace="")


def _claim_url(run: ValidationRun | None, result: ValidationResult) -> str:
    """The page of the claim that an answer is about; empty for policies and the cluster."""
    namespace, _, name = result.subject.partition("/")
    if run is None or not result.namespace or namespace != result.namespace or not name:
        return ""
    return reverse("claim", args=[run.cluster.name, namespace, name])
