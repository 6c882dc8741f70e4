"""A certificate authority for tests."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.wire.certificate import TLSFiles

if TYPE_CHECKING:
    from pathlib import Path

_DAY = dt.timedelta(days=1)
_KEY_FORM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


class Authority:
    """Signs certificates and writes them into a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = directory / f"{name}.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self._name, self._key.public_key()).add_extension(constraints, critical=True)
        self._write(self.certificate, made)

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    def _write(self, path: Path, builder: x509.CertificateBuilder) -> None:
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, passphrase: bytes = b"") -> TLSFiles:
        """Issue a certificate for 127.0.0.1, over the one of that name if there is one."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = TLSFiles(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        sealing = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        files.private_key.write_bytes(key.private_bytes(*_KEY_FORM, sealing))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        self._write(files.certificate, self._builder(subject, key.public_key()).add_extension(address, critical=False))
        return files

    def client(self, files: TLSFiles | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Make the context of a client that trusts this authority. To an IP address Python sends no SNI."""
        context = ssl.create_default_context(cafile=self.certificate)
        if files is not None:
            context.load_cert_chain(files.certificate, files.private_key)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context
