"""Routes of the audit trail."""

from django.urls import path

from audit import views

urlpatterns = [
    path("audit/", views.trail, name="audit"),
    path("audit/export/", views.export_trail, name="audit-export"),
    path("audit/<int:sequence>/", views.event, name="audit-event"),
]
