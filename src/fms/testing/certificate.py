"""A throw-away certificate for servers on this machine, and the authority that vouches for it."""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 2


def certificate(names: Sequence[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """The authority (PEM), and a server's key and certificate (PEM, one after the other) for names and addresses.

    They hold from a day before ``now`` (aware) until ``DAYS`` after it.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("fms.testing authority")
    root = _builder(issuer, issuer, root_key, now).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    leaf = (
        _builder(_name("fms.testing"), issuer, key, now)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = [made.sign(root_key, hashes.SHA256()).public_bytes(pem) for made in (root, leaf)]
    return signed[0], secret + signed[1]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
