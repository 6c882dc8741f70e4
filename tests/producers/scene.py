"""Small xDS resources for tests, and a producer without I/O around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producers.image import Image
from producers.intake import Intake
from producers.source import Changes, ResourceChange
from producers.units import Cutter, Removal
from schemas import xds

if TYPE_CHECKING:
    from schemas.records import Unit
    from tests.translators.certificate_factory import Pair

VIEW = "v"
TLS_SOCKET = "envoy.transport_sockets.tls"


def change(type_url: str, data: dict[str, Any], version_info: str = "") -> ResourceChange:
    name = data.get("name") or data["cluster_name"]
    return ResourceChange(type_url, name, xds.from_json(data, xds.message_class(type_url)()), version_info)


def removal(type_url: str, name: str) -> ResourceChange:
    return ResourceChange(type_url, name, None)


def listener(name: str, *chains: dict[str, Any], port: int = 80, **fields: Any) -> ResourceChange:
    address = {"socket_address": {"address": fields.pop("host", "0.0.0.0"), "port_value": port}}  # noqa: S104 - nothing is bound
    return change(xds.LISTENER, {"name": name, "address": address, "filter_chains": list(chains), **fields})


def hcm(**specifier: Any) -> dict[str, Any]:
    config = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "s", **specifier}
    return {"filters": [{"name": "hcm", "typed_config": config}]}


def rds(name: str) -> dict[str, Any]:
    return hcm(rds={"route_config_name": name, "config_source": {"ads": {}}})


def tcp(cluster: str, **fields: Any) -> dict[str, Any]:
    config = {"@type": xds.TCP_PROXY, "stat_prefix": "s", "cluster": cluster, **fields}
    return {"filters": [{"name": "tcp", "typed_config": config}]}


def tls(chain: dict[str, Any], *snis: str, sds: str = "cert", **context: Any) -> dict[str, Any]:
    common = {"tls_certificate_sds_secret_configs": [{"name": sds, "sds_config": {"ads": {}}}]}
    config = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": common, **context}
    match = {"filter_chain_match": {"server_names": list(snis)}} if snis else {}
    return {**chain, **match, "transport_socket": {"name": TLS_SOCKET, "typed_config": config}}


def route_configuration(name: str, *virtual_hosts: dict[str, Any], **fields: Any) -> ResourceChange:
    return change(xds.ROUTE_CONFIGURATION, {"name": name, "virtual_hosts": list(virtual_hosts), **fields})


def virtual_host(name: str, domains: list[str], *routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "domains": domains, "routes": list(routes), **fields}


def route(cluster: str, prefix: str = "/", **action: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster, **action}}


def split(**weights: int) -> dict[str, Any]:
    clusters = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}


def cluster(name: str, **fields: Any) -> ResourceChange:
    eds = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}
    return change(xds.CLUSTER, {"name": name, **(fields or eds)})


def assignment(name: str, *ports: int) -> dict[str, Any]:
    address = [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": p}}}} for p in ports]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": address}]}


def endpoints(name: str, *ports: int) -> ResourceChange:
    return change(xds.CLUSTER_LOAD_ASSIGNMENT, assignment(name, *ports))


def secret(name: str, key: str = "a private key") -> ResourceChange:
    certificate = {"certificate_chain": {"inline_string": "chain"}, "private_key": {"inline_string": key}}
    return change(xds.SECRET, {"name": name, "tls_certificate": certificate})


def pair_secret(name: str, pair: Pair, key: str = "") -> ResourceChange:
    """A secret that passes for a real one; `key` is another private key than the pair's."""
    data = {"certificate_chain": {"inline_string": pair.cert}, "private_key": {"inline_string": key or pair.key}}
    return change(xds.SECRET, {"name": name, "tls_certificate": data})


def seal(plaintext: bytes) -> str:
    """Stable, and shows its plaintext to nobody who does not know that it is reversed."""
    return "mfseal1.key.mark." + plaintext[::-1].hex()


class Scene:
    """A producer without a log: changes in, written units out; `units` is what the log would hold."""

    def __init__(self) -> None:
        self.intake = Intake(seal)
        self.image = Image()
        self.cutter = Cutter(VIEW, self.image)
        self.units: dict[str, Unit] = {}

    def say(self, *changes: ResourceChange, is_complete: bool = False) -> list[str]:
        """Take changes over and give the keys of what is written; a removed key has a minus before it."""
        return [key_of(unit) for unit in self.written(*changes, is_complete=is_complete)]

    def written(self, *changes: ResourceChange, is_complete: bool = False) -> list[Unit | Removal]:
        admission = self.intake.admit(Changes(changes, is_complete, "test"))
        assert admission.problems == ()
        written = self.cutter.apply(self.image.replay(admission.replacements))
        for unit in written:
            if isinstance(unit, Removal):
                del self.units[unit.key]
            else:
                self.units[unit.key] = unit
        return written

    def bodies(self, key: str, role: str, type_url: str) -> dict[str, Any]:
        """Messages of a unit by name."""
        found = [r for r in self.units[key].resources if (r.role, r.type_url) == (role, type_url)]
        return {resource.name: xds.parse(type_url, resource.body) for resource in found}


def key_of(unit: Unit | Removal) -> str:
    return f"-{unit.key}" if isinstance(unit, Removal) else unit.key
