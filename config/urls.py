"""Routes of the whole site."""

from django.urls import URLPattern, URLResolver, include, path

from config.health import healthz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("", include("accounts.urls")),
    path("", include("audit.urls")),
    path("", include("dashboard.urls")),
    path("", include("migrations_app.urls")),
]

handler500 = "dashboard.views.errors.server_error"
