"""The pages of the wizard as forms. Every error says what is wrong and what fits."""

import re
from collections.abc import Sequence
from typing import Any

from django import forms

from dashboard.models import Claim, GitOpsFact, GitRepository
from migrations_app.models import GitMode, Migration, ReleasePath
from migrations_app.rules import pushing

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SIZE = re.compile(r"(\d{1,15})\s*(Ki|Mi|Gi|Ti)?B?", re.IGNORECASE)
_SIZE_LENGTH = 20
_MOST_BYTES = 2**63 - 1  # what a column holds
_UNIT = {"": 1, "ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


def size_bytes(text: str) -> int:
    """`20Gi` → bytes; 0 for an empty text (as large as the source). Raises ValidationError with what fits."""
    text = text.strip()
    if not text:
        return 0
    found = _SIZE.fullmatch(text)
    if not found:
        raise forms.ValidationError(
            f"{text!r} is not a size. Write 20Gi, 500Mi, or leave it empty for the source's size."
        )
    size = int(found[1]) * _UNIT[(found[2] or "").lower()]
    if size > _MOST_BYTES:
        raise forms.ValidationError(f"{text} is more than any volume holds.")
    return size


class SourceForm(forms.Form):
    """Which claims of one namespace."""

    application = forms.CharField(
        max_length=100,
        label="Application",
        help_text="A name for people; it appears in messages and commits.",
    )
    claims = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="Claims",
        error_messages={
            "required": "Choose at least one claim.",
            "invalid_choice": "%(value)s is not a claim of this namespace any more. Choose again.",
        },
    )

    def __init__(self, *args: Any, claims: list[Claim], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["claims"].choices = [(claim.name, claim.name) for claim in claims]  # type: ignore[attr-defined]


class DestinationForm(forms.Form):
    """Where the claims go: one namespace, and for each claim a name, a class, a size."""

    namespace = forms.CharField(
        max_length=63,
        label="Namespace",
        help_text="It has to exist already. The same namespace is possible, under new claim names.",
        widget=forms.TextInput(
            attrs={
                "list": "namespaces",
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    owner = forms.ChoiceField(
        required=False,
        label="Kustomization that applies the destination",
        help_text="Deploy puts the claims and workloads into its path.",
    )

    def __init__(
        self,
        *args: Any,
        migration: Migration,
        kustomizations: list[GitOpsFact],
        classes: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.migration = migration
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ChoiceField)  # noqa: S101 - declared above
        owner.choices = [("", "None: the destination is not in Git")] + [
            (f"{k.namespace}/{k.name}", f"{k.namespace}/{k.name} ({k.path})") for k in kustomizations
        ]
        # By the source's name: numbers, and rows, are given anew when claims are chosen anew.
        for transfer in migration.transfers.all():
            source = transfer.source_name
            self.fields[f"name_{source}"] = forms.CharField(
                max_length=253, label="Name", initial=transfer.destination_name
            )
            self.fields[f"class_{source}"] = forms.ChoiceField(
                required=False,
                label="Storage class",
                initial=transfer.destination_class,
                choices=[("", "As the source"), *((c, c) for c in classes)],
            )
            self.fields[f"size_{source}"] = forms.CharField(
                required=False,
                max_length=_SIZE_LENGTH,
                label="Size",
                initial=shown_size(transfer.destination_bytes),
                widget=forms.TextInput(attrs={"placeholder": "As the source"}),
            )

    def rows(self) -> list[dict[str, Any]]:
        """For the template: each transfer with its three fields."""
        return [
            {"transfer": t, **{key: self[f"{key}_{t.source_name}"] for key in ("name", "class", "size")}}
            for t in self.migration.transfers.all()
        ]

    def clean_namespace(self) -> str:
        name = str(self.cleaned_data["namespace"]).strip()
        if not _NAMESPACE.fullmatch(name):
            raise forms.ValidationError(
                "Not a namespace's name: lower-case letters, digits and hyphens, at most 63."
            )
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        names: dict[str, str] = {}
        for transfer in self.migration.transfers.all():
            key = f"name_{transfer.source_name}"
            name = str(cleaned.get(key, "")).strip()
            if name and not _NAME.fullmatch(name):
                self.add_error(key, "Not a claim's name: lower-case letters, digits, hyphens and dots.")
            if name and name in names:
                self.add_error(key, f"{names[name]} gets this name already.")
            if name == transfer.source_name and cleaned.get("namespace") == self.migration.source_namespace:
                self.add_error(key, "That is the source itself. Choose another name or another namespace.")
            names[name] = transfer.source_name
            try:
                cleaned[f"size_{transfer.source_name}"] = size_bytes(
                    str(cleaned.get(f"size_{transfer.source_name}") or "")
                )
            except forms.ValidationError as error:
                self.add_error(f"size_{transfer.source_name}", error)
        return cleaned

    def chosen(self) -> dict[str, tuple[str, str, int]]:
        """Source name → (destination name, class or "", bytes or 0)."""
        data = self.cleaned_data
        return {
            t.source_name: (
                data[f"name_{t.source_name}"].strip(),
                data[f"class_{t.source_name}"],
                data[f"size_{t.source_name}"],
            )
            for t in self.migration.transfers.all()
        }

    def chosen_owner(self) -> dict[str, str]:
        namespace, _, name = str(self.cleaned_data["owner"]).partition("/")
        return {"namespace": namespace, "name": name} if name else {}


def shown_size(size: int) -> str:
    for unit, factor in (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size) if size else ""


# When to take each path of release.
RELEASE_WHEN = {
    ReleasePath.ORPHAN: "Take this unless you have a reason not to. The claim is protected until Flux has forgotten it, so at no moment can "
    "anything but Holdfast delete it.",
    ReleasePath.COMMITS: "Take this where every deletion has to come from Git. The first commit takes the workloads out and lifts the claim's "
    "protection, the second takes the claim out; both can be reviewed.",
    ReleasePath.SUSPEND: "Take this where Flux has to delete, and the protection cannot be lifted in Git for one claim alone. Holdfast lifts it "
    "while the Kustomization is suspended, and resumes it on the removal.",
}


class OptionsForm(forms.Form):
    """How the move is made."""

    warm_passes = forms.IntegerField(
        min_value=0,
        max_value=10,
        label="Warm passes",
        help_text="Copies while the application runs. One is enough as a rule; 0 makes the outage as long as the whole copy.",
    )
    pause_before_quiesce = forms.BooleanField(
        required=False,
        label="Wait for me before the outage",
        help_text="It stops before the application is scaled down, until you continue.",
    )
    git_mode = forms.ChoiceField(
        widget=forms.RadioSelect,
        label="Changes to Git",
        help_text="The diff is shown on the review page before anything is pushed.",
        error_messages={"invalid_choice": "The repository does not allow this. Choose another way."},
    )
    release_path = forms.ChoiceField(
        choices=ReleasePath.choices,
        widget=forms.RadioSelect,
        label="How the source claims leave Git and the cluster",
        help_text="After sign-off, where a Kustomization applies them. Their volumes are kept on every path. Claims outside of Git are deleted by Holdfast.",
    )
    retention_days = forms.IntegerField(
        min_value=0,
        max_value=365,
        label="Days to keep the source volume",
        help_text="Undo is possible until it is purged. 0 lets a person purge it at once.",
    )
    bandwidth = forms.CharField(
        required=False,
        max_length=_SIZE_LENGTH,
        label="Bandwidth limit per mover and second",
        help_text="Such as 50Mi. Empty: as fast as the storage gives.",
    )
    iops = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000,
        label="I/O operations limit per mover and second",
        help_text="Empty: no limit.",
    )
    test_note = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="What will be tested",
        help_text="Shown at the test gate and to the approver.",
    )

    def __init__(self, *args: Any, repositories: Sequence[GitRepository], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["git_mode"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [(mode.value, mode.label) for mode in pushing.modes(repositories)]
        if len(field.choices) < len(GitMode):
            names = ", ".join(row.name for row in repositories)
            field.help_text = f"{field.help_text} An admin allows no more for {names}."

    def release_paths(self) -> list[tuple[Any, str]]:
        """For the template: each choice with the sentence that says when to take it."""
        return list(zip(self["release_path"], RELEASE_WHEN.values(), strict=True))

    def clean_bandwidth(self) -> int:
        text = str(self.cleaned_data.get("bandwidth") or "").strip()
        rate = size_bytes(text)
        if text and "i" not in text.lower() and rate < _UNIT["mi"]:
            # A unit that was forgotten: the outage would never end.
            raise forms.ValidationError(
                f"{text} means {rate} bytes a second. Write the unit too: 50Mi for 50 MiB a second."
            )
        return rate

    def limits(self) -> dict[str, int]:
        return {key: value for key in ("bandwidth", "iops") if (value := self.cleaned_data.get(key))}
