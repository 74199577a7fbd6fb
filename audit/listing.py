"""Finds events for the pages and exports: filters from the URL, and pages by sequence that stay quick however long the trail."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from accounts.models import User
from accounts.permissions import patterns_for, visible
from audit.models import Event

PAGE_SIZE = 50
LONGEST = 500  # characters of a filter: the longest object that an event names
MOST_WORDS = 8  # each is a search of its own
_PUNCTUATION = re.compile(r"[\s!\"#%&'()*+,\-./:;<=>?@\[\]^_`{|}~\\$\x00]+")


class BadFilter(ValueError):
    """A filter in the URL cannot be read; the text says which and how to write it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the reader asks for; empty means any. `verb` may end in `.*`; times are UTC."""

    actor: str = ""
    verb: str = ""
    kind: str = ""
    key: str = ""
    namespace: str = ""
    since: str = ""
    until: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filters":
        """From the query of a URL. Raises `BadFilter`, also for what is too long: cut, it would find more than was asked for."""
        values = {name: query.get(name, "").strip().replace("\x00", "") for name in cls.__dataclass_fields__}
        for name, value in values.items():
            if len(value) > LONGEST:
                raise BadFilter(f"{name}: {len(value)} characters are more than {LONGEST}. Write less.")
        filters = cls(**values)
        if len(_words(filters.text)) > MOST_WORDS:
            raise BadFilter(
                f"text: {len(_words(filters.text))} words are more than {MOST_WORDS}; - . / and : part words, too. Name fewer."
            )
        moment(filters.since, "since")
        moment(filters.until, "until", end=True)
        return filters

    @property
    def by_time(self) -> bool:
        """Whether a time bounds them: then pages go by time, so that the beginning of a long trail is as near as its end."""
        return bool(self.since or self.until)

    def as_query(self) -> str:
        """The same filters for a URL."""
        return urlencode(
            {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name))}
        )


def moment(text: str, name: str, *, end: bool = False) -> datetime | None:
    """`text` as UTC; a day alone means its start, or its end for `end`. Raises `BadFilter`."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadFilter(
            f"{name}: {text[:40]!r} is not a time. Write 2026-01-31 or 2026-01-31T09:30 (UTC)."
        ) from error
    if end and len(text) == len("2026-01-31"):
        try:
            found += timedelta(days=1)
        except OverflowError as error:
            raise BadFilter(f"{name}: {text!r} is too far away.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# What an application takes away from those who may not read everything: (events, reader, permission) -> events.
Narrow = Callable[[QuerySet[Event], User, str], QuerySet[Event]]
_NARROW: list[Narrow] = []


def narrow_by(narrow: Narrow) -> None:
    """Called as an application starts whose events stand under one namespace and name others, too."""
    _NARROW.append(narrow)


def readable(reader: User, permission: str = "audit.view") -> QuerySet[Event]:
    """The events that `reader` may see: those of their namespaces, without those that name what is hidden from them."""
    found = visible(reader, Event.objects.all(), "namespace", permission=permission)
    if "*" in patterns_for(reader, permission):
        return found
    for narrow in _NARROW:
        found = narrow(found, reader, permission)
    return found


def scope_of(reader: User, permission: str) -> list[str]:
    """The namespace patterns to which `readable` limits this person; `["*"]` alone is the whole trail."""
    patterns = patterns_for(reader, permission)
    return ["*"] if "*" in patterns else sorted(patterns)


def matching(filters: Filters, reader: User, *, permission: str = "audit.view") -> QuerySet[Event]:
    """The events that fit, as far as `reader` may see them, or export them by `permission`."""
    found = readable(reader, permission)
    exact = {
        name: value for name in ("actor", "kind", "key", "namespace") if (value := getattr(filters, name))
    }
    found = found.filter(**exact)
    if filters.verb.endswith(".*"):
        found = found.filter(verb__startswith=filters.verb[:-1])
    elif filters.verb:
        found = found.filter(verb=filters.verb)
    if since := moment(filters.since, "since"):
        found = found.filter(at__gte=since)
    if until := moment(filters.until, "until", end=True):
        found = found.filter(at__lt=until)
    return _with_words(found, filters.text)


def _words(text: str) -> list[str]:
    """The words of `text`, each once."""
    return list(dict.fromkeys(word for word in _PUNCTUATION.split(text.lower()) if word))


def _with_words(found: QuerySet[Event], text: str) -> QuerySet[Event]:
    words = _words(text)
    if not words:
        return found
    asked = " & ".join(f"'{word}':*" for word in words)  # they hold no quote: it parts words
    return found.filter(
        sequence__in=RawSQL(
            "SELECT sequence FROM audit_event WHERE audit_words(actor, verb, kind, key, namespace, note) @@ %s::tsquery",
            [asked],
        )
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first, and where the neighbouring pages start (None where there is none)."""

    events: list[Event]
    older_than: int | None
    newer_than: int | None


def page(
    found: QuerySet[Event],
    *,
    older_than: int | None = None,
    newer_than: int | None = None,
    by_time: bool = False,
    size: int = PAGE_SIZE,
) -> Page:
    """One page of `found`: the events just before event `older_than`, or just after `newer_than`, or the newest.

    `by_time` orders by the clock, which may step back, and by number only where it stood still.
    """
    order = ("at", "sequence") if by_time else ("sequence",)
    if newer_than is not None:
        events = list(_beyond(found, newer_than, by_time, "gt").order_by(*order)[: size + 1])
        more = len(events) > size
        shown = events[:size][::-1]
        if not shown:
            return page(found, by_time=by_time, size=size)
        return Page(shown, shown[-1].sequence, shown[0].sequence if more else None)
    limited = found if older_than is None else _beyond(found, older_than, by_time, "lt")
    events = list(limited.order_by(*(f"-{name}" for name in order))[: size + 1])
    shown = events[:size]
    older = shown[-1].sequence if len(events) > size else None
    return Page(shown, older, shown[0].sequence if shown and older_than is not None else None)


def _beyond(found: QuerySet[Event], sequence: int, by_time: bool, side: str) -> QuerySet[Event]:
    """The events on one `side` (gt, lt) of event `sequence`."""
    at = Event.objects.filter(sequence=sequence).values_list("at", flat=True).first() if by_time else None
    if at is None:
        return found.filter(**{f"sequence__{side}": sequence})
    beyond = Q(**{f"at__{side}": at}) | Q(at=at, **{f"sequence__{side}": sequence})
    return found.filter(beyond, **{f"at__{side}e": at})  # the second says the same to the index


def story(kind: str, key: str) -> list[Event]:
    """Everything that happened to one object, oldest first, for its printable page. The caller has checked who may see it."""
    return list(Event.objects.filter(kind=kind, key=key).order_by("sequence"))
