"""The three checks of a cluster, on demand, with history."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import needs
from accounts.permissions import can, visible
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
    results = ValidationResult.objects.none()
    answer = request.GET.get("answer", "")
    if run is not None:
        rows = visible(request.user, run.results.exclude(namespace=""), "namespace", permission="claims.view")
        results = run.results.filter(pk__in=rows.values("pk")) | run.results.filter(namespace="")
        if answer in Answer.values:
            results = results.filter(answer=answer)
    page = Paginator(results.order_by("check_kind", "id"), 100).get_page(request.GET.get("page"))
    context = {
        "run": run,
        "answer": Answer(run.answer) if run and run.state in {RunState.FINISHED, RunState.FAILED} else None,
        "state": RunState(run.state) if run else None,
        "open": run is not None and run.state in {RunState.REQUESTED, RunState.RUNNING},
        "page": page,
        "rows": [(Answer(r.answer), CheckKind(r.check_kind), r) for r in page],
        "history": [(Answer(r.answer), RunState(r.state), r) for r in ValidationRun.objects.all()[:20]],
        "answers": Answer.choices,
        "chosen": answer,
        "may_run": can(request.user, "validation.run"),
    }
    return render(request, template, context)
