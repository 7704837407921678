"""TLS settings: the server's, and those of a client (KMIP Profiles 2.1 §3: TLS 1.2 and later).

The server, the client and ``kmipkit certs check`` take their settings from here, so that what is checked
is what happens.
"""

import ssl
from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from kmipkit_certs.credentials import Credentials
from kmipkit_certs.errors import CertificateError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AES:!aNULL"
"""The server's cipher suites of TLS 1.2, best first. Storage arrays and tape libraries need the last
ones: the KMIP profiles require TLS_RSA_WITH_AES_128_CBC_SHA and similar suites."""


def server_context(
    own: Sequence[Credentials], trusted: Sequence[x509.Certificate]
) -> ssl.SSLContext:
    """The settings for accepted connections: mutual authentication.

    Args:
        own: the server's certificates, at most one for each kind of key.
        trusted: the authorities whose clients may connect.

    Raises:
        CertificateError: OpenSSL does not accept one of them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ciphers(CIPHERS)
    # A client may resume a session, for two hours. The sessions are kept here, and not in tickets that
    # one key would protect, and with the certificate of the client: whoever accepts the connection
    # judges that again. A change of the authorities makes new settings, which have no sessions.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 1  # TLS 1.3: a name of the session, since OP_NO_TICKET
    for each in own:
        _with_issuers(each, trusted).load_into(context)
    trust(context, trusted)
    return context


def _with_issuers(own: Credentials, trusted: Sequence[x509.Certificate]) -> Credentials:
    """With the chain that OpenSSL would send for a certificate alone: its issuers among the authorities.

    OpenSSL looks for them, and verifies a signature, in each handshake, which is a tenth of its work.
    """
    if len(own.chain) > 1:
        return own
    chain = [own.chain[0]]
    while (issuer := _issuer(chain[-1], trusted)) is not None and issuer not in chain:
        chain.append(issuer)
    return replace(own, chain=tuple(chain))


def _issuer(
    certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    issuers = [each for each in trusted if _has_issued(each, certificate)]
    # An authority that was renewed has several certificates for one key.
    return max(issuers, key=lambda each: each.not_valid_after_utc, default=None)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def client_context(
    own: Credentials | None, trusted: Sequence[x509.Certificate] | None
) -> ssl.SSLContext:
    """The settings for connections to servers; the system's authorities if ``trusted`` is None.

    Raises:
        CertificateError: OpenSSL does not accept one of the certificates.
    """
    context = (
        ssl.create_default_context()
        if trusted is None
        else ssl.create_default_context(cadata=_der(trusted))
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if own is not None:
        _with_issuers(own, trusted or ()).load_into(context)
    return context


def trust(context: ssl.SSLContext, trusted: Sequence[x509.Certificate]) -> None:
    """Make the context trust these authorities. CertificateError if OpenSSL does not accept one."""
    try:
        context.load_verify_locations(cadata=_der(trusted))
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise CertificateError(f"the trusted authorities cannot be used: {reason}") from None


def _der(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)
