"""What a session has said, read alike in both variants: what it asks for, acknowledges and rejects."""

from __future__ import annotations

from tests.producers.xds.dialogue import TYPE_URLS


def requests(dialogue, short):
    """All requests of a type since the dialogue was settled."""
    return [request for request in dialogue.requests if request.type_url == TYPE_URLS[short]]


def names_asked(request):
    """The names that a request asks for: all of them, or in delta those that are new."""
    return list(getattr(request, "resource_names", None) or getattr(request, "resource_names_subscribe", ()))


def replies(dialogue, short):
    """What each response of a type was answered with: its nonce, and whether it was rejected."""
    return [(r.response_nonce, r.HasField("error_detail")) for r in requests(dialogue, short) if r.response_nonce]


def acks(dialogue, short):
    return [nonce for nonce, is_nack in replies(dialogue, short) if not is_nack]


def nacks(dialogue, short):
    return [request for request in requests(dialogue, short) if request.HasField("error_detail")]


def order(dialogue):
    """The types in the order in which they were first asked for."""
    short = {type_url: short for short, type_url in TYPE_URLS.items()}
    return list(dict.fromkeys(short[request.type_url] for request in dialogue.requests))
