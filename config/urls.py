"""Routes of the whole site."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("audit.urls")),
    path("", include("migrations_app.urls")),
]
