"""An authority of a test's own and certificates of every kind: right, expired, of strangers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from transload.security import TlsFiles

if TYPE_CHECKING:
    from pathlib import Path

_HOUR = timedelta(hours=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """Gives out certificates and writes them into a folder."""

    folder: Path
    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        own = self._builder(self.name, self.key, lives=10 * _HOUR).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = own.sign(self.key, hashes.SHA256())
        self.ca_file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def ca_file(self) -> Path:
        """Its own certificate."""
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, *, lives: timedelta = _HOUR, names: tuple[str, ...] = (), file: str = "") -> TlsFiles:
        """Write certificate and key of `name`, good for this machine; with negative `lives` it has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(one) for one in names or (name,)] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = self._builder(name, key, lives=lives).add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = built.sign(self.key, hashes.SHA256())
        files = TlsFiles(self.ca_file, self.folder / f"{file or name}.crt", self.folder / f"{file or name}.key")
        assert files.certificate is not None
        assert files.key is not None
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return files

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey, *, lives: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _HOUR)
            .not_valid_after(now + lives)
        )


def environ_of(files: TlsFiles) -> dict[str, str]:
    """The settings that name these files."""
    return {"TRANSLOAD_TLS_CA_FILE": str(files.ca), "TRANSLOAD_TLS_CERT_FILE": str(files.certificate), "TRANSLOAD_TLS_KEY_FILE": str(files.key)}
