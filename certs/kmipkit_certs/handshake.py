"""What a peer really says about a certificate: handshakes in memory, with the settings of the peer.

The private key of the certificate is not needed. Up to TLS 1.2, certificates are sent in clear, so
that the ones to be checked can be put in place of others on their way. The peer verifies them before
it verifies the signature that proves the possession of the key: it either says what is wrong with
them, or gets as far as that signature. A second handshake shows whether TLS can use the kind of
key: with a certificate that has a new key of the same kind.
"""

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, PublicKeyAlgorithmOID

from kmipkit_certs.contexts import client_context, server_context
from kmipkit_certs.credentials import Credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.formats import KeyBlock

NO_CHECK_TIME = 0x200000
"""OpenSSL's flag that ignores the dates of certificates (X509_V_FLAG_NO_CHECK_TIME)."""

Chain = Sequence[x509.Certificate]
_Failure = tuple[str, ssl.SSLError]
"""The side that has ended a handshake, and its error."""

SERVER, CLIENT = "server", "client"


def refusal_by_server(chain: Chain, trusted: Chain, *, checks_dates: bool = True) -> str | None:
    """OpenSSL's reason why the server refuses a client with this certificate; None: it accepts it."""
    stand_in, _ = _stand_in()
    server = server_context([stand_in], trusted)
    _set_dates(server, checks_dates)
    client = _lenient_context(ssl.PROTOCOL_TLS_CLIENT, stand_in)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    failure = _shake_hands(server, client, replaced=(CLIENT, chain))
    return _reason(failure, SERVER) or _refusal_of_key(chain[0], CLIENT)


def refusal_by_client(
    chain: Chain, trusted: Chain, host: str | None = None, *, checks_dates: bool = True
) -> str | None:
    """OpenSSL's reason why a client refuses a server with this certificate; None: it accepts it.

    Args:
        host: the name by which the client connects; without it, the name is not checked.
    """
    stand_in, _ = _stand_in()
    client = client_context(None, trusted)
    client.check_hostname = host is not None
    _set_dates(client, checks_dates)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server = _lenient_context(ssl.PROTOCOL_TLS_SERVER, stand_in)
    # RFC 6066 §3: the name of the server has no dot at its end.
    name = None if host is None else host.rstrip(".")
    failure = _shake_hands(server, client, host=name, replaced=(SERVER, chain))
    return _reason(failure, CLIENT) or _refusal_of_key(chain[0], SERVER)


def _set_dates(context: ssl.SSLContext, checks_dates: bool) -> None:
    if not checks_dates:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)


_AFTER_VERIFICATION = frozenset(
    {"BAD_ECC_CERT", "BAD_ECPOINT", "BAD_SIGNATURE", "DECRYPT_ERROR", "LENGTH_MISMATCH",
     "SIGNATURE_FOR_NON_SIGNING_CERTIFICATE", "UNKNOWN_CERTIFICATE_TYPE", "WRONG_CERTIFICATE_TYPE",
     "WRONG_CURVE", "WRONG_SIGNATURE_SIZE", "WRONG_SIGNATURE_TYPE"}
)  # fmt: skip
"""What OpenSSL says once it has accepted the certificates, since their key is another one."""


def _reason(failure: _Failure | None, judge: str) -> str | None:
    if failure is None:
        return None
    side, error = failure
    if side == judge and error.reason in _AFTER_VERIFICATION:
        return None
    return _words(error)


def _words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).replace("_", " ").lower()


def _refusal_of_key(certificate: x509.Certificate, side: str) -> str | None:
    """Why a key of this kind cannot be used on a side of a connection; None if it can."""
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return None  # OpenSSL supports it, and the library cannot make such a key
    try:
        kind = _kind(certificate.public_key())
        stand_in, authority = _stand_in(kind)  # type: ignore[arg-type]  # classes are hashable
    except (UnsupportedAlgorithm, ValueError) as error:
        return f"the key is not supported: {error}"
    except CertificateError as error:
        return str(error)
    if side == CLIENT:
        server = server_context([_stand_in()[0]], [authority])
        client = _lenient_context(ssl.PROTOCOL_TLS_CLIENT, stand_in)
    else:
        server = _lenient_context(ssl.PROTOCOL_TLS_SERVER, stand_in)
        client = client_context(None, [authority])
        client.check_hostname = False
    failure = _shake_hands(server, client)
    return None if failure is None else _words(failure[1])


# Certificates with keys of which only the kind matters ---------------------------------------------


def _kind(key: object) -> type[Any]:
    """What a key has in common with all that TLS treats alike; sizes are judged with the chain."""
    return type(key.curve) if isinstance(key, ec.EllipticCurvePublicKey) else type(key)


def _new_key(kind: type[Any]) -> Any:
    if issubclass(kind, ec.EllipticCurve):
        return ec.generate_private_key(kind())
    if issubclass(kind, rsa.RSAPublicKey):
        return rsa.generate_private_key(65537, 2048)
    if issubclass(kind, dsa.DSAPublicKey):
        return dsa.generate_private_key(2048)
    if issubclass(kind, ed25519.Ed25519PublicKey):
        return ed25519.Ed25519PrivateKey.generate()
    if issubclass(kind, ed448.Ed448PublicKey):
        return ed448.Ed448PrivateKey.generate()
    raise UnsupportedAlgorithm(f"TLS has no signatures with a {kind.__name__}")


@lru_cache
def _stand_in(kind: type[Any] = ec.SECP256R1) -> tuple[Credentials, x509.Certificate]:
    """Credentials of this kind, and the authority that has issued them."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kmipkit certs check")])
    key = _new_key(kind)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    own_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        builder.subject_name(name)
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(own_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id)
    certificate = (
        builder.subject_name(x509.Name([]))
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("stand-in")]), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credentials((certificate,), KeyBlock(pem, None, key), "the key"), authority


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _lenient_context(protocol: int, own: Credentials) -> ssl.SSLContext:
    """The side that is not asked for its opinion."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    own.load_into(context)
    return context


# The handshake in memory -------------------------------------------------------------------------


def _shake_hands(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    host: str | None = None,
    replaced: tuple[str, Chain] = ("", ()),
) -> _Failure | None:
    """How a handshake fails; None if it does not.

    Args:
        replaced: a side, and the certificates that take the place of those that it sends.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    from_server, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = {
        CLIENT: (client.wrap_bio(to_client, from_client, server_hostname=host), from_client, to_server),
        SERVER: (server.wrap_bio(to_server, from_server, server_side=True), from_server, to_client),
    }  # fmt: skip
    while waiting:
        for side, (end, sent, received) in list(waiting.items()):
            try:
                end.do_handshake()
                del waiting[side]
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                return side, error
            data = sent.read()
            received.write(_replace(data, replaced[1]) if side == replaced[0] else data)
    return None


_HANDSHAKE, _CERTIFICATE = 22, 11
"""Types of records and messages (RFC 5246 §6.2.1, §7.4)."""
_MAX_RECORD = 1 << 14


def _replace(data: bytes, chain: Chain) -> bytes:
    """The records of TLS 1.2 with other certificates in the message of certificates."""
    clear, rest = _clear_part(data)
    if not any(kind == _CERTIFICATE for kind, _ in _messages(clear)):
        return data
    certificates = b"".join(_sized(each.public_bytes(Encoding.DER)) for each in chain)
    messages = b"".join(
        bytes([kind]) + _sized(_sized(certificates) if kind == _CERTIFICATE else body)
        for kind, body in _messages(clear)
    )
    parts = (messages[at : at + _MAX_RECORD] for at in range(0, len(messages), _MAX_RECORD))
    header = bytes([_HANDSHAKE, 3, 3])
    return b"".join(header + len(part).to_bytes(2, "big") + part for part in parts) + rest


def _clear_part(data: bytes) -> tuple[bytes, bytes]:
    """The messages before encryption begins, and the records from there on."""
    clear, at = b"", 0
    while at < len(data) and data[at] == _HANDSHAKE:
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        clear += data[at + 5 : end]
        at = end
    return clear, data[at:]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        end = 4 + int.from_bytes(data[1:4], "big")
        yield data[0], data[4:end]
        data = data[end:]


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data
