"""Routes of migrations: the list, the wizard, one migration, its gates, the sign-off, its story."""

from django.urls import path

from migrations_app.views import acting, choosing, history, lists, live, signing, wizard

urlpatterns = [
    path("migrations/", lists.migrations, name="migrations"),
    path("migrations/new/", choosing.new, name="wizard-new"),
    path("migrations/<slug:reference>/draft/", wizard.enter, name="wizard"),
    path("migrations/<slug:reference>/draft/source/", wizard.source, name="wizard-source"),
    path("migrations/<slug:reference>/draft/destination/", wizard.destination, name="wizard-destination"),
    path("migrations/<slug:reference>/draft/options/", wizard.options, name="wizard-options"),
    path("migrations/<slug:reference>/draft/checks/", wizard.checks, name="wizard-checks"),
    path("migrations/<slug:reference>/draft/review/", wizard.review, name="wizard-review"),
    path("migrations/<slug:reference>/draft/start/", wizard.start, name="wizard-start"),
    path("migrations/<slug:reference>/draft/discard/", wizard.discard, name="wizard-discard"),
    path("migrations/<slug:reference>/", live.migration, name="migration"),
    path("migrations/<slug:reference>/plan/", live.plan, name="migration-plan"),
    path("migrations/<slug:reference>/logs/", live.logs, name="migration-logs"),
    path("migrations/<slug:reference>/evidence/", live.evidence, name="migration-evidence"),
    path("migrations/<slug:reference>/changes/", live.changes, name="migration-changes"),
    path("migrations/<slug:reference>/timeline/", live.timeline, name="migration-timeline"),
    path("migrations/<slug:reference>/story/", history.story, name="migration-story"),
    path("migrations/<slug:reference>/act/<slug:verb>/", acting.act, name="migration-act"),
    path("migrations/<slug:reference>/confirm-test/", acting.confirm_test, name="migration-confirm-test"),
    path("migrations/<slug:reference>/sign-off/", signing.sign_off, name="sign-off"),
    path("migrations/<slug:reference>/sign-off/decide/", signing.decide, name="sign-off-decide"),
    path("migrations/<slug:reference>/sign-off/answer/", signing.answer, name="sign-off-answer"),
    path("migrations/<slug:reference>/sign-off/ask-again/", signing.ask_again, name="sign-off-ask-again"),
    path(
        "migrations/<slug:reference>/sign-off/break-glass/", signing.break_glass, name="sign-off-break-glass"
    ),
]
