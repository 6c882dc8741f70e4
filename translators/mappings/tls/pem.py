"""Source: PEM text of certificates.

Target: whether APISIX will be able to read it.
Fidelity: E.
Differs: nothing.
Diagnostics: SEC-KEYPAIR (raised where the text is used).
See: mapping.md section 6.5.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import load_pem_x509_certificates

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def parse_certificates(text: str) -> list[Certificate]:
    """Parse a chain or bundle, leaf first.

    Raises:
        ValueError: there is no certificate in it, or one is damaged.
    """
    with warnings.catch_warnings():
        # OpenSSL takes certificates with odd serial numbers, so whether they are good style is not ours to say.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return load_pem_x509_certificates(text.encode())
