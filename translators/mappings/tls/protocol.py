"""Source: TlsParameters.tls_minimum_protocol_version, tls_maximum_protocol_version.

Target: ssl.ssl_protocols.
Fidelity: E within what config.yaml of the node allows.
Differs: TLS 1.0 is dropped; ciphers and curves are set in config.yaml for all names together.
Diagnostics: TLS-SOCKET when no version is left.
See: mapping.md section 4.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds

_AUTO = 0
_DEFAULT_MINIMUM, _DEFAULT_MAXIMUM = 3, 4
_NAMES = {2: "TLSv1.1", 3: "TLSv1.2", 4: "TLSv1.3"}


def read_protocols(params: xds.Message) -> list[str] | None:
    """Give ssl_protocols; None when the context leaves the versions to the server. The list may be empty."""
    minimum, maximum = params.tls_minimum_protocol_version, params.tls_maximum_protocol_version
    if minimum == _AUTO and maximum == _AUTO:
        return None
    lowest = minimum if minimum != _AUTO else _DEFAULT_MINIMUM
    highest = maximum if maximum != _AUTO else _DEFAULT_MAXIMUM
    return [name for version, name in _NAMES.items() if lowest <= version <= highest]
