"""Translate units of the kind `tls`: the contexts that serve one SNI set into ssl objects (mapping.md section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Role
from translators import dispatch
from translators.etcd_object import build_object
from translators.ids import label, object_id
from translators.mappings.tls.certificate import read_key_pairs
from translators.mappings.tls.protocol import read_protocols
from translators.mappings.tls.server_name import CATCH_ALL, group_names, read_names
from translators.mappings.tls.validation_context import read_validation
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import EtcdObject
    from translators.findings import Findings
    from translators.unit_view import UnitView


@dataclass(frozen=True, slots=True)
class _Served:
    """What one DownstreamTlsContext comes to: the fields of an ssl object without its names."""

    at: Where
    is_guarded: bool
    value: dict[str, Any]


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate a tls unit.

    Args:
        view: parameter `snis` (comma-joined, `*` when empty); SUBJECT DownstreamTlsContexts by `<listener>/<chain>`;
            REFERENCE Secrets.
        findings: receives the diagnostics.

    Returns:
        One ssl object for the exact names and one per wildcard, all with the same certificate; none while there is no
        certificate. The first context by name that asks for client certificates decides, else the first.
    """
    names, refused = read_names(view.param("snis"))
    secrets = view.references(xds.SECRET)
    served = [
        found
        for name, context in sorted(view.all(Role.SUBJECT, xds.DOWNSTREAM_TLS_CONTEXT), key=lambda item: item[0])
        if (found := _serve(context, secrets, Where(xds.DOWNSTREAM_TLS_CONTEXT, name), findings)) is not None
    ]
    if not served:
        return Translation()
    chosen = next((candidate for candidate in served if candidate.is_guarded), served[0])
    for other in served:
        if other.value != chosen.value:
            findings.report("TLS-SNI-CLASH", other.at, value=",".join(names), effect=f"{chosen.at.name} decides")
    for name in refused:
        findings.report("CFG-INVALID", chosen.at.field("server_names"), value=name, effect="the name is not served")
    for name in names:
        if name.startswith("*."):
            findings.report("TLS-SNI-DEPTH", chosen.at.item("server_names", name), value=name)
    objects = [_ssl(group, chosen) for group in group_names(names)]
    return Translation(objects, origins={built.key: chosen.at for built in objects})


def _serve(context: xds.Message, secrets: dict[str, xds.Message], at: Where, findings: Findings) -> _Served | None:
    dispatch.apply(context, None, at, findings)
    common, place = context.common_tls_context, at.field("common_tls_context")
    dispatch.apply(common, None, place, findings)
    pairs = read_key_pairs(common, secrets, place, findings)
    validation = read_validation(context, secrets, at, findings)
    protocols = read_protocols(common.tls_params)
    if protocols == []:
        findings.report("TLS-SOCKET", place.field("tls_params"), remedy="allow TLS 1.1 or newer")
        return None
    if not pairs:
        return None
    value: dict[str, Any] = {"cert": pairs[0].cert, "key": pairs[0].key, "type": "server"}
    if len(pairs) > 1:
        value |= {"certs": [pair.cert for pair in pairs[1:]], "keys": [pair.key for pair in pairs[1:]]}
    if protocols is not None:
        value["ssl_protocols"] = protocols
    client = _closed(pairs[0].cert) if validation.is_closed else validation.client
    if client:
        value["client"] = client
    return _Served(at, bool(client) and "skip_mtls_uri_regex" not in client, value)


def _closed(cert: str) -> dict[str, Any]:
    """Give an ssl.client that lets nobody in: the server's own leaf is no authority, so no certificate verifies.

    The object must stay: without it its names would be served by a wider wildcard that asks for nothing.
    """
    return {"ca": cert, "depth": 0}


def _ssl(names: list[str], served: _Served) -> EtcdObject:
    sni: dict[str, Any] = {"sni": CATCH_ALL} if names == [CATCH_ALL] else {"snis": names}
    value = {**served.value, **sni, "labels": {"xds.chain": label(served.at.name)}}
    slug = "any" if names == [CATCH_ALL] else names[0]
    return build_object("ssls", object_id("ssls", slug, orjson.dumps(names).decode()), value)
