"""Routes of accounts."""

from django.urls import path

from accounts.views import oidc, people, sessions

urlpatterns = [
    path("sign-in/", sessions.sign_in, name="sign-in"),
    path("sign-in/provider/", oidc.start, name="oidc-start"),
    path("sign-in/provider/callback/", oidc.callback, name="oidc-callback"),
    path("sign-out/", sessions.sign_out, name="sign-out"),
    path("held-form/", sessions.held_form, name="held-form"),
    path("account/", people.account, name="account"),
    path("people/", people.people, name="people"),
    path("people/<int:user_id>/", people.person, name="person"),
    path("people/<int:user_id>/grant/", people.grant, name="person-grant"),
    path("people/<int:user_id>/revoke/", people.revoke, name="person-revoke"),
    path("people/<int:user_id>/active/", people.set_active, name="person-active"),
]
