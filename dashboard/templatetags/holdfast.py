"""Template tags: sizes, rates, times, icons, badges, query strings. All logic that templates would otherwise grow."""

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.http import QueryDict
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@register.filter
def size(value: float | str | None) -> str:
    """Bytes in the largest binary unit that leaves at least 1: 1536 → 1.5 KiB. A dash for None."""
    if value is None or value == "":
        return "–"
    amount = float(value)
    for unit in _UNITS:
        if abs(amount) < 1024 or unit == _UNITS[-1]:
            return (
                f"{amount:.0f} {unit}"
                if unit == "B" or amount >= 100 or amount == int(amount)
                else f"{amount:.1f} {unit}"
            )
        amount /= 1024
    return ""


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


@register.filter
def modes(value: str) -> str:
    """Access modes in kubectl's short words: ReadWriteOnce → RWO."""
    return ", ".join(_MODES.get(mode, mode) for mode in value.replace(",", " ").split())


@register.filter
def rate(value: float | None) -> str:
    """Bytes a second."""
    return f"{size(value)}/s" if value else "–"


@register.filter
def count(value: int | str | None) -> str:
    """A whole number with thin spaces between thousands."""
    return "–" if value is None or value == "" else f"{int(value):,}".replace(",", "\u2009")


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A span in its largest unit and the one below: 75 s → 1 min 15 s, 45 d 0 h 1 min → 45 d."""
    if value is None or value == "":
        return "–"
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    days, seconds = divmod(max(seconds, 0), 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"


def _moment(value: datetime | str | None) -> datetime | None:
    """A time from the database, or one that was kept as text in a fact. None for anything else."""
    found = parse_datetime(value) if isinstance(value, str) and value else value
    return found if isinstance(found, datetime) else None


@register.filter
def since(value: datetime | str | None) -> SafeString | str:
    """A time element: how long ago for people, the exact UTC time in the title and for machines."""
    at = _moment(value)
    if at is None:
        return "–"
    ago = timezone.now() - at
    words = f"{duration(ago)} ago" if ago >= timedelta(0) else f"in {duration(-ago)}"
    return format_html('<time data-ago datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at), words)


def _exact(at: datetime) -> str:
    return at.astimezone(timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M:%S UTC")


@register.filter
def utc(value: datetime | str | None) -> SafeString | str:
    """A time element with the exact time."""
    at = _moment(value)
    return "–" if at is None else format_html('<time datetime="{}">{}</time>', at.isoformat(), _exact(at))


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of static/icons.svg. Without a label it is decoration: a word stands beside it."""
    href = static("icons.svg")
    extra = " icon--spinner" if name == "spinner" else ""
    if label:
        return format_html(
            '<svg class="icon{}" role="img" aria-label="{}"><use href="{}#{}"/></svg>',
            extra,
            label,
            href,
            name,
        )
    return format_html('<svg class="icon{}" aria-hidden="true"><use href="{}#{}"/></svg>', extra, href, name)


@register.simple_tag
def badge(value: Any, text: str = "") -> SafeString:
    """A status from an enum with `label` and `tone` (or `colour`): shape, word and colour."""
    tone = getattr(value, "tone", "") or _TONES.get(getattr(value, "colour", ""), "neutral")
    shape = getattr(value, "icon", "") or _SHAPES[tone]
    return format_html('<span class="badge tone-{}">{}{}</span>', tone, icon(shape), text or value.label)


# Colours of dashboard.states in the words of the style sheet, and a shape for each tone.
_TONES = {"good": "good", "warn": "attention", "bad": "danger", "info": "neutral", "quiet": "neutral"}
_SHAPES = {"good": "check", "attention": "warn", "danger": "cross", "busy": "spinner", "neutral": "circle"}


@register.simple_tag
def bar(parts: list[tuple[str, int]]) -> SafeString:
    """Shares of a whole as one line: (colour, number) from left to right. Numbers stand beside it, so it is decoration."""
    whole = sum(number for _, number in parts) or 1
    at, rects = 0.0, []
    for colour, number in parts:
        width = 100 * number / whole
        rects.append((_TONES.get(colour, "neutral"), f"{at:.2f}", f"{width:.2f}"))
        at += width
    inside = format_html_join("", '<rect class="bar-{}" x="{}" y="0" width="{}" height="6"/>', rects)
    return format_html(
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        inside,
    )


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """The page's query string with `changes`; None or an empty text drops a key. A change drops the page number."""
    found: QueryDict = context["request"].GET.copy()
    if "page" not in changes:
        found.pop("page", None)
    for key, value in changes.items():
        if value in (None, ""):
            found.pop(key, None)
        else:
            found[key] = str(value)
    return f"?{found.urlencode()}" if found else "?"


@register.filter
def diff_lines(text: str) -> list[tuple[str, str]]:
    """Lines of a unified diff as (class, line)."""
    return [(_diff_class(line), line) for line in text.splitlines()]


def _diff_class(line: str) -> str:
    if line.startswith(("--- ", "+++ ", "diff ")):
        return "file"
    if line.startswith("@@"):
        return "at"
    return {"+": "add", "-": "del"}.get(line[:1], "same")


@register.filter
def revision(value: str) -> str:
    """A revision of Flux as people read it: main@sha1:0123456789abcdef → main@0123456789ab."""
    branch, _, commit = value.rpartition("@")
    return f"{branch}@{commit.rpartition(':')[2][:12]}" if branch else value.rpartition(":")[2][:12]


@register.filter
def get(mapping: dict[str, Any], key: str) -> Any:
    """An entry of a dictionary, or None."""
    return mapping.get(key)


@register.filter
def plainly(value: Any) -> str:
    """A value of a fact on one line: a command as it is typed, a mapping as JSON, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


@register.filter
def pretty(value: Any) -> str:
    """JSON with indentation."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
