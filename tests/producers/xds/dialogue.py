"""Dialogues with a session, written down the way people tell them.

    assert dialogue.open() == ["ask CDS *"]
    assert dialogue.respond("CDS", cluster("a")) == ["ack CDS 1", "ask EDS a", "ask LDS *"]

Timers are not part of what is compared; `dialogue.expire(delay_ms)` lets those with that delay fire. `respond` sends a
response as it is written down; `serve` says what the control plane has and lets the variant put it in its way. The same
for delta is in delta_dialogue.py.
"""

from __future__ import annotations

from itertools import count

from producers.xds.command import DeliverChanges, ReportProblem, SendRequest, StartTimer
from producers.xds.event import ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.node import build_node
from producers.xds.sotw import SotWSession
from producers.xds.validate import name_of
from schemas import xds

SHORT = {
    xds.CLUSTER: "CDS",
    xds.CLUSTER_LOAD_ASSIGNMENT: "EDS",
    xds.LISTENER: "LDS",
    xds.ROUTE_CONFIGURATION: "RDS",
    xds.SECRET: "SDS",
    xds.SCOPED_ROUTE_CONFIGURATION: "SRDS",
    xds.TYPED_EXTENSION_CONFIG: "ECDS",
    xds.VIRTUAL_HOST: "VHDS",
}
TYPE_URLS = {short: type_url for type_url, short in SHORT.items()}
ADS = {"ads": {}}
EXISTENCE_MS, NACK_MS = 15_000, 1_000
CORS = {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}
ROUTER = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
RESOURCE = xds.message_class("envoy.service.discovery.v3.Resource")
DISCOVERY_RESPONSE = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse")


def build(type_url, data):
    return xds.from_json(data, xds.message_class(type_url)())


def cluster(name, service_name="", *, secret="", is_eds=True, timeout="1s"):
    data = {"name": name, "connect_timeout": timeout}
    if is_eds:
        data |= {"type": "EDS", "eds_cluster_config": {"eds_config": ADS, "service_name": service_name}}
    if secret:
        context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": tls(secret)}
        data["transport_socket"] = {"name": "tls", "typed_config": context}
    return build(xds.CLUSTER, data)


def tls(secret):
    return {"tls_certificate_sds_secret_configs": [{"name": secret, "sds_config": ADS}]}


def endpoints(name, port=80):
    address = {"socket_address": {"address": "10.0.0.1", "port_value": port}}
    data = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    return build(xds.CLUSTER_LOAD_ASSIGNMENT, data)


def hcm(routes="", **fields):
    """Make an HttpConnectionManager that takes its routes by RDS unless `fields` say otherwise."""
    filters = [{"name": "router", "typed_config": ROUTER}]
    config = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "x", "http_filters": filters}
    if routes:
        config["rds"] = {"route_config_name": routes, "config_source": ADS}
    return {"name": "hcm", "typed_config": config | fields}


def http_listener(name, **fields):
    """Make a listener whose only chain has such an HttpConnectionManager."""
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 80}}  # noqa: S104 - nothing listens
    return build(xds.LISTENER, {"name": name, "address": address, "filter_chains": [{"filters": [hcm(**fields)]}]})


def scoped_listener(name):
    fragment = {"header_value_extractor": {"name": "x-scope", "element_separator": ";", "index": 0}}
    scoped = {
        "name": "scopes",
        "scope_key_builder": {"fragments": [fragment]},
        "rds_config_source": ADS,
        "scoped_rds": {"scoped_rds_config_source": ADS},
    }
    return http_listener(name, scoped_routes=scoped)


def scope(name, routes):
    key = {"fragments": [{"string_key": name}]}
    return build(xds.SCOPED_ROUTE_CONFIGURATION, {"name": name, "route_configuration_name": routes, "key": key})


def discovering_listener(name, filter_name, routes="r"):
    """Make a listener with an HTTP filter, CORS by type, whose configuration is to be discovered."""
    discovered = {"name": filter_name, "config_discovery": {"config_source": ADS, "type_urls": [CORS["@type"]]}}
    return http_listener(name, routes=routes, http_filters=[discovered, {"name": "router", "typed_config": ROUTER}])


def discovered_filter(name, config=None):
    return build(xds.TYPED_EXTENSION_CONFIG, {"name": name, "typed_config": config or CORS})


def listener(name, routes="", *, default_routes="", secret="", port=80):
    chain = {"filters": [hcm(routes)] if routes else []}
    if secret:
        context = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": tls(secret)}
        chain["transport_socket"] = {"name": "tls", "typed_config": context}
    data = {
        "name": name,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104 - nothing listens
        "filter_chains": [chain],
    }
    if default_routes:
        data["default_filter_chain"] = {"filters": [hcm(default_routes)]}
    return build(xds.LISTENER, data)


def routes(name, cluster_name="a", *, has_vhds=False):
    data = {"name": name, "virtual_hosts": [_virtual_host("v", "*", cluster_name)]}
    if has_vhds:
        data["vhds"] = {"config_source": ADS}
    return build(xds.ROUTE_CONFIGURATION, data)


def virtual_host(name, domain="example.com", cluster_name="a"):
    return build(xds.VIRTUAL_HOST, _virtual_host(name, domain, cluster_name))


def _virtual_host(name, domain, cluster_name):
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster_name}}
    return {"name": name, "domains": [domain], "routes": [route]}


def secret(name, content="t"):
    return build(xds.SECRET, {"name": name, "generic_secret": {"secret": {"inline_string": content}}})


def wrapped(message, name="", *, version="", ttl_ms=None, aliases=(), body=True):
    """Wrap a resource; without its body it is a heartbeat."""
    wrapper = RESOURCE(name=name or name_of(message), version=version, aliases=aliases)
    if body:
        wrapper.resource.CopyFrom(xds.pack(message))
    if ttl_ms is not None:
        wrapper.ttl.FromMilliseconds(ttl_ms)
    return wrapper


def bad_listener(name):
    return build(xds.LISTENER, {"name": name})  # a listener without an address


def bad_cluster(name):
    return build(xds.CLUSTER, {"name": name, "type": "EDS"})  # EDS without its configuration


class Dialogue:
    """A session, what its stream has asked for, and all that was delivered."""

    make_session = SotWSession

    def __init__(self, node=None) -> None:
        self.session = self.make_session(node or build_node("node", "1.0"), "cp:18000")
        self.requests = []
        self.subscribed: dict[str, set[str]] = {}
        self.deliveries = []
        self.told = []
        self.problems = []
        self.image = {}
        self.timers: dict[int, int] = {}
        self._nonces = count(1)

    def open(self):
        self.subscribed.clear()
        return self._tell(StreamOpened())

    def end(self):
        return self._tell(StreamEnded())

    def respond(self, short, *resources, version="1", nonce=None):
        """Send a response; resources are messages or ready-made Any."""
        packed = [r if r.DESCRIPTOR.full_name == "google.protobuf.Any" else xds.pack(r) for r in resources]
        nonce = f"n{next(self._nonces)}" if nonce is None else nonce
        type_url = TYPE_URLS.get(short, short)
        response = DISCOVERY_RESPONSE(type_url=type_url, version_info=version, nonce=nonce, resources=packed)
        return self._tell(ResponseReceived(response))

    def receive(self, response):
        """Let a response come that is made already."""
        return self._tell(ResponseReceived(response))

    def serve(self, short, *resources, version="1"):
        """Answer with what the control plane has: all clusters and listeners, or some of what is asked for by name."""
        return self.respond(short, *resources, version=version)

    def expire(self, delay_ms):
        """Let all timers with this delay fire that run now."""
        said = []
        for serial in [serial for serial, delay in self.timers.items() if delay == delay_ms]:
            del self.timers[serial]
            said += self._tell(TimerFired(serial))
        return said

    def settle(self):
        """An initial fetch of cluster a and listener l, routes r."""
        self.open()
        self.serve("CDS", cluster("a"))
        self.serve("EDS", endpoints("a"))
        self.serve("LDS", listener("l", "r"))
        self.serve("RDS", routes("r"))
        self.told.clear()
        return self

    @property
    def names(self):
        """What a follower holds now, as `CDS a`."""
        return {f"{SHORT[type_url]} {name}" for type_url, name in self.image}

    def _tell(self, event):
        said = []
        for command in self.session.receive(event):
            match command:
                case SendRequest(request):
                    self.requests.append(request)
                    self._subscribe(request)
                    said.append(self._told(request))
                case StartTimer(serial, delay_ms):
                    self.timers[serial] = delay_ms
                case DeliverChanges(changes):
                    self.deliveries.append(changes)
                    said.append(self._follow(changes))
                case ReportProblem(problem):
                    self.problems.append(problem)
                    said.append("problem")
        return said

    def _follow(self, changes):
        """Take a delivery over into the image, as a producer does."""
        told = [f"{'-' if c.body is None else '+'}{SHORT[c.type_url]} {c.name}" for c in changes.changes]
        given = {(c.type_url, c.name) for c in changes.changes}
        if changes.is_complete:
            covered = TYPE_URLS.values() if changes.covers is None else changes.covers
            for key in [key for key in self.image if key[0] in covered and key not in given]:
                del self.image[key]
        for change in changes.changes:
            key = (change.type_url, change.name)
            if change.body is None:
                self.image.pop(key, None)
            else:
                self.image[key] = xds.canonical_bytes(change.body)
        self.told.append(" ".join(["complete" if changes.is_complete else "changes", *told]))
        return self.told[-1]

    def _subscribe(self, request):
        all_scopes = {"*"} if request.type_url == xds.SCOPED_ROUTE_CONFIGURATION else set()
        self.subscribed[request.type_url] = set(request.resource_names) or all_scopes

    def _told(self, request):
        """A request in words: ask, change, ack or nack, the type, the names (`*` for none) and the version."""
        short = SHORT[request.type_url]
        names = ",".join(request.resource_names) or "*"
        if request.HasField("error_detail"):
            return f"nack {short} {names} v{request.version_info}"
        verb = "ack" if request.response_nonce else "ask"
        return f"{verb} {short} {names}" + (f" v{request.version_info}" if request.version_info else "")
