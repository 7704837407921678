"""Why a TLS handshake failed, in a few fixed words: a peer must not choose the labels of a metric."""

import ssl
from collections.abc import Mapping
from enum import StrEnum


class HandshakeFailure(StrEnum):
    """What went wrong in a handshake."""

    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    UNKNOWN_AUTHORITY = "unknown_authority"
    WRONG_PURPOSE = "wrong_purpose"
    """A certificate for servers only, or of something that is no authority."""
    CERTIFICATE_REFUSED = "certificate_refused"
    """For another reason of OpenSSL, such as a weak signature."""
    PROTOCOL_VERSION = "protocol_version"
    NO_SHARED_CIPHER = "no_shared_cipher"
    NOT_TLS = "not_tls"
    REFUSED_BY_CLIENT = "refused_by_client"
    """The client sent an alert: usually it does not trust the server's certificate."""
    CLOSED_BY_CLIENT = "closed_by_client"
    TIMEOUT = "timeout"
    ENDED_BY_SERVER = "ended_by_server"
    """It made room for another connection, or the server stopped."""
    OTHER = "other"


_VERIFICATION: Mapping[int, HandshakeFailure] = {
    2: HandshakeFailure.UNKNOWN_AUTHORITY,  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
    9: HandshakeFailure.CERTIFICATE_NOT_YET_VALID,
    10: HandshakeFailure.CERTIFICATE_EXPIRED,
    18: HandshakeFailure.UNKNOWN_AUTHORITY,  # self-signed
    19: HandshakeFailure.UNKNOWN_AUTHORITY,  # a self-signed authority in the chain
    20: HandshakeFailure.UNKNOWN_AUTHORITY,  # the issuer is not in the store
    21: HandshakeFailure.UNKNOWN_AUTHORITY,  # no issuer for the first certificate
    26: HandshakeFailure.WRONG_PURPOSE,  # X509_V_ERR_INVALID_PURPOSE
    79: HandshakeFailure.WRONG_PURPOSE,  # X509_V_ERR_INVALID_CA
}
"""By the verification error of OpenSSL (x509_vfy.h)."""

_REASONS: Mapping[str, HandshakeFailure] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": HandshakeFailure.NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": HandshakeFailure.PROTOCOL_VERSION,
    "VERSION_TOO_LOW": HandshakeFailure.PROTOCOL_VERSION,
    "VERSION_TOO_HIGH": HandshakeFailure.PROTOCOL_VERSION,
    "UNKNOWN_PROTOCOL": HandshakeFailure.PROTOCOL_VERSION,
    "NO_SHARED_CIPHER": HandshakeFailure.NO_SHARED_CIPHER,
    "NO_SUITABLE_KEY_SHARE": HandshakeFailure.NO_SHARED_CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": HandshakeFailure.NO_SHARED_CIPHER,
    "HTTP_REQUEST": HandshakeFailure.NOT_TLS,
    "HTTPS_PROXY_REQUEST": HandshakeFailure.NOT_TLS,
    "WRONG_VERSION_NUMBER": HandshakeFailure.NOT_TLS,
    "UNEXPECTED_EOF_WHILE_READING": HandshakeFailure.CLOSED_BY_CLIENT,
}
"""By the reason of OpenSSL (sslerr.h)."""


def classify(error: OSError) -> HandshakeFailure:
    """What went wrong, of an error in a handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION.get(error.verify_code, HandshakeFailure.CERTIFICATE_REFUSED)
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return HandshakeFailure.CLOSED_BY_CLIENT
    if isinstance(error, ssl.SSLError) and error.reason:
        if "ALERT" in error.reason:
            return HandshakeFailure.REFUSED_BY_CLIENT
        return _REASONS.get(error.reason, HandshakeFailure.OTHER)
    return HandshakeFailure.OTHER
