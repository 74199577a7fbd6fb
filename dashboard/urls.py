"""Routes of the dashboard."""

from django.urls import path

from dashboard.views import claims, overview, protect, settings, validation

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("claims/", claims.claims, name="claims"),
    path("claims/<str:cluster>/<str:namespace>/<str:name>/", claims.claim, name="claim"),
    path("claims/<str:cluster>/<str:namespace>/<str:name>/protect/", protect.ask, name="claim-protect"),
    path("protections/<slug:reference>/", protect.change, name="protection"),
    path("protections/<slug:reference>/push/", protect.push, name="protection-push"),
    path("protections/<slug:reference>/withdraw/", protect.withdraw, name="protection-withdraw"),
    path("protections/<slug:reference>/patch/", protect.patch, name="protection-patch"),
    path("validation/", validation.validation, name="validation"),
    path("validation/<int:run_id>/", validation.validation_run, name="validation-run"),
    path("settings/repositories/", settings.repositories, name="repositories"),
    path("settings/repositories/<int:repository_id>/", settings.repository, name="repository"),
    path(
        "settings/repositories/<int:repository_id>/remove/",
        settings.repository_remove,
        name="repository-remove",
    ),
]
