"""A small view that has every type, for tests over real streams."""

from __future__ import annotations

from schemas import xds
from tests.producers.xds.dialogue import cluster, endpoints, listener, routes, secret

STATE = (
    cluster("a"),
    cluster("b"),
    endpoints("a"),
    endpoints("b"),
    listener("l", "r", secret="s"),
    routes("r"),
    secret("s"),
)
SMALLER = (cluster("a"), endpoints("a"), listener("l", "r", secret="s"), routes("r"), secret("s"))
"""Without cluster b, which nothing refers to."""
TYPES = list(dict.fromkeys(xds.type_url_of(message) for message in STATE))
WITHOUT_SECRET = {"Cluster": 2, "ClusterLoadAssignment": 2, "Listener": 1, "RouteConfiguration": 1}
WHOLE = WITHOUT_SECRET | {"Secret": 1}
"""What a follower of STATE has."""
