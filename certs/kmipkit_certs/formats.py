"""The formats of certificate files: PEM in all its variants, DER, PKCS #7 and PKCS #12.

Nobody has to say in which format a file is. A file is taken apart into blocks, each with a label as in
PEM; DER gets the label that it would have there. Private keys stay in the encoding in which they
were found, so that OpenSSL reads what the user has, with algorithms that this package does not know.
"""

import base64
import binascii
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from kmipkit_certs.errors import CertificateError

Password = Callable[[], bytes | None]
"""Returns the password of a file when it is needed; None if there is none."""


def no_password() -> None:
    """The password of a file for which nobody has given one."""
    return


@dataclass(frozen=True, slots=True, repr=False)
class KeyBlock:
    """A private key as OpenSSL reads it: PEM, which may be encrypted."""

    pem: bytes
    password: bytes | None
    """None if the key is not encrypted."""
    key: object
    """The key of the cryptographic library; None if it does not know the algorithm."""
    unsupported: str = ""
    """Why it does not."""


@dataclass(slots=True, repr=False)
class Contents:
    """Everything in a file, in its order."""

    certificates: list[x509.Certificate] = field(default_factory=list)
    keys: list[KeyBlock] = field(default_factory=list)
    requests: list[x509.CertificateSigningRequest] = field(default_factory=list)
    revocation_lists: list[x509.CertificateRevocationList] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """The labels of further blocks."""

    def describe(self) -> str:
        """What it is, for an error message about what it is not."""
        names = {
            "a private key": self.keys,
            "a certificate": self.certificates,
            "a certificate request": self.requests,
            "a revocation list": self.revocation_lists,
            **{_OTHERS.get(label, f"a PEM block {label!r}"): [label] for label in self.others},
        }
        return " and ".join(name for name, values in names.items() if values) or "unknown data"


@dataclass(frozen=True, slots=True, repr=False)
class _Block:
    """A part of a file; ``place`` says where it is if there are several."""

    label: str
    der: bytes
    headers: bytes
    """Of a private key in the old encrypted form of PEM (RFC 1421)."""
    place: str

    @property
    def pem(self) -> bytes:
        """The block with the line lengths and ends that OpenSSL requires."""
        text = base64.encodebytes(self.der).replace(b"\n", b"")
        lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        label = self.label.encode()
        headers = self.headers and self.headers + b"\n\n"
        return b"-----BEGIN %b-----\n%b%b\n-----END %b-----\n" % (label, headers, lines, label)


def parse(data: bytes, password: Password = no_password, *, unlock: bool = True) -> Contents:
    """The contents of a file.

    Args:
        password: is called only if there is something encrypted.
        unlock: False leaves encrypted keys as they are; they are then neither read nor checked.

    Raises:
        CertificateError: a part is malformed, or encrypted and the password does not fit.
    """
    contents = Contents()
    for block in _blocks(_text(data)):
        reader = _READERS.get(block.label)
        if reader is None:
            contents.others.append(block.label)
        elif reader is _read_key and not unlock:
            contents.keys.append(KeyBlock(block.pem, None, None))
        else:
            reader(contents, block, password)
    return contents


# From bytes to blocks --------------------------------------------------------------------------


def _text(data: bytes) -> bytes:
    """The data without what editors and shells add: byte order marks, and the bytes of UTF-16."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeDecodeError:
                return data
    return data.removeprefix(b"\xef\xbb\xbf")


_PEM = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]+)-----(?P<body>.*?)-----END (?P<end>[A-Z0-9 ]+)-----",
    re.DOTALL,
)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]{64,}")


def _blocks(data: bytes) -> Iterator[_Block]:
    if b"-----BEGIN " in data:
        yield from _pem_blocks(data)
        return
    if data.startswith((b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")):
        raise CertificateError(
            "it is a Java key store; convert it with: keytool -importkeystore -srckeystore FILE"
            " -destkeystore FILE.p12 -deststoretype PKCS12"
        )
    if _BASE64.fullmatch(data.strip()):  # PEM whose first and last line are missing
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except binascii.Error:
            return
    yield from _der_blocks(data)


def _pem_blocks(data: bytes) -> Iterator[_Block]:
    # A block that came through a variable or a JSON string has its line ends as two characters.
    data = data.replace(b"\\r", b"").replace(b"\\n", b"\n")
    matches = list(_PEM.finditer(data))
    ends = {match.start() for match in matches}
    for begin in _BEGIN.finditer(data):
        if begin.start() not in ends:
            line = data.count(b"\n", 0, begin.start()) + 1
            raise CertificateError(
                f"the block {begin[1].decode()!r} that begins in line {line} is damaged: its line"
                " '-----END' is missing, so that the file is probably not complete"
            )
    for number, match in enumerate(matches, 1):
        label = match["label"].decode()
        place = f" in block {number}" if len(matches) > 1 else ""
        if match["end"] != match["label"] or b"-----BEGIN" in match["body"]:
            raise CertificateError(
                f"the block {label!r}{place} is damaged: it has no line '-----END {label}-----'"
            )
        headers, body = _headers(match["body"])
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error as error:
            line = data.count(b"\n", 0, match.start()) + 1
            raise CertificateError(
                f"the block {label!r} that begins in line {line} is damaged: {error}"
            ) from None
        yield _Block(label, der, headers, place)


def _headers(body: bytes) -> tuple[bytes, bytes]:
    """The headers of RFC 1421, with clean line ends, and the rest."""
    lines = [line.strip() for line in body.strip().splitlines()]
    if not lines or b":" not in lines[0]:
        return b"", body
    count = next((at for at, line in enumerate(lines) if not line), len(lines))
    return b"\n".join(lines[:count]), b"\n".join(lines[count:])


_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 0x02, 0x04, 0x06


def _der_blocks(data: bytes) -> Iterator[_Block]:
    """One block for each DER value; several may follow each other."""
    number = 0
    while data.strip(b"\0\r\n\t "):
        size = _element(data, 0)[1]
        if data[0] != _SEQUENCE or size > len(data):
            if number == 0 and data[0] != _SEQUENCE:
                return  # not DER at all
            raise CertificateError(
                "the file is damaged: it ends too early, or has data after its end"
            )
        number += 1
        der, data = data[:size], data[size:]
        place = f" in part {number}" if number > 1 else ""
        yield _Block(_der_label(der), der, b"", place)


def _element(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at a position begins, and where it ends."""
    if len(data) < at + 2:
        return at, len(data) + 1
    first = data[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    count = first & 0x7F
    start = at + 2 + count
    if not count:  # the indefinite length of BER, which some PKCS #12 files have
        return start, len(data)
    return start, start + int.from_bytes(data[at + 2 : start], "big")


def _der_label(der: bytes) -> str:
    """The label that this would have in PEM; by its outline, which differs in all these formats."""
    start = _element(der, 0)[0]
    first = der[start] if start < len(der) else 0
    if first == _OID:
        return "PKCS7"
    if first == _INTEGER:
        content, end = _element(der, start)
        if der[content:end] == b"\x03":
            return _PKCS12
        second = der[end] if end < len(der) else 0
        return {_SEQUENCE: "PRIVATE KEY", _OCTETS: "EC PRIVATE KEY"}.get(second, "RSA PRIVATE KEY")
    for label, load in _SIGNED:
        try:
            load(der)
        except (ValueError, x509.InvalidVersion):
            continue
        return label
    inner = _element(der, start)[0]
    if first == _SEQUENCE and inner < len(der):
        # EncryptedPrivateKeyInfo begins with an algorithm, a certificate with a structure.
        return (
            "ENCRYPTED PRIVATE KEY" if der[inner] == _OID and _is_encrypted(der) else "CERTIFICATE"
        )
    return "unknown data"


def _is_encrypted(der: bytes) -> bool:
    """Whether the second of two elements is a string of bytes; in a public key it is one of bits."""
    start = _element(der, 0)[0]
    end = _element(der, start)[1]
    return end < len(der) and der[end] == _OCTETS


_PKCS12 = "PKCS12"
_SIGNED: tuple[tuple[str, Callable[[bytes], object]], ...] = (
    ("CERTIFICATE", x509.load_der_x509_certificate),
    ("CERTIFICATE REQUEST", x509.load_der_x509_csr),
    ("X509 CRL", x509.load_der_x509_crl),
)

# From blocks to contents -------------------------------------------------------------------------


def _read_certificate(contents: Contents, block: _Block, _: Password) -> None:
    # OpenSSL's "TRUSTED CERTIFICATE" has settings of its own after the certificate.
    der = block.der[: _element(block.der, 0)[1]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # about serial numbers that are not positive
            contents.certificates.append(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"malformed certificate{block.place}: {error}") from None


def _read_request(contents: Contents, block: _Block, _: Password) -> None:
    try:
        contents.requests.append(x509.load_der_x509_csr(block.der))
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"malformed certificate request{block.place}: {error}") from None


def _read_revocation_list(contents: Contents, block: _Block, _: Password) -> None:
    try:
        contents.revocation_lists.append(x509.load_der_x509_crl(block.der))
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"malformed revocation list{block.place}: {error}") from None


def _read_pkcs7(contents: Contents, block: _Block, _: Password) -> None:
    try:
        contents.certificates += pkcs7.load_der_pkcs7_certificates(block.der)
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise CertificateError(f"PKCS #7 without readable certificates: {error}") from None


def _read_key(contents: Contents, block: _Block, password: Password) -> None:
    if block.headers:
        _require_whole_headers(block)
    is_encrypted = block.label.startswith("ENCRYPTED") or b"ENCRYPTED" in block.headers
    secret = _require_password(password, "the private key") if is_encrypted else None
    try:
        key = serialization.load_pem_private_key(
            # OpenSSL does not validate either; that the key fits the certificate is checked later.
            block.pem, secret, unsafe_skip_rsa_key_validation=True,
        )  # fmt: skip
    except UnsupportedAlgorithm as error:
        contents.keys.append(KeyBlock(block.pem, secret, None, str(error)))
    except (ValueError, TypeError) as error:
        reason = "the password is wrong, or the key damaged" if secret is not None else str(error)
        raise CertificateError(f"the private key{block.place} cannot be read: {reason}") from None
    else:
        contents.keys.append(KeyBlock(block.pem, secret, key))


_CIPHER = re.compile(rb"^DEK-Info:\s*(?P<cipher>[A-Za-z0-9-]+),(?P<iv>[0-9A-Fa-f]+)$", re.MULTILINE)


def _require_whole_headers(block: _Block) -> None:
    """CertificateError: there is no whole initialization vector, with which the library panics."""
    match = _CIPHER.search(block.headers)
    if match is None:
        if b"ENCRYPTED" in block.headers:
            raise CertificateError(f"the headers of the private key{block.place} are damaged")
        return
    digits = 16 if match["cipher"].upper().startswith((b"DES", b"RC2", b"BF", b"IDEA")) else 32
    if len(match["iv"]) != digits:
        raise CertificateError(f"the headers of the private key{block.place} are damaged")


def _read_pkcs12(contents: Contents, block: _Block, password: Password) -> None:
    store = _open_pkcs12(block.der, password)
    if store.key is not None:
        pem = store.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        contents.keys.append(KeyBlock(pem, None, store.key))
    if store.cert is not None:
        contents.certificates.append(store.cert.certificate)
    contents.certificates += [each.certificate for each in store.additional_certs]


def _open_pkcs12(der: bytes, password: Password) -> pkcs12.PKCS12KeyAndCertificates:
    # Without a password means two things in PKCS #12: none, and an empty one.
    for secret in (None, b""):
        try:
            return pkcs12.load_pkcs12(der, secret)
        except (ValueError, TypeError):
            continue
        except UnsupportedAlgorithm as error:
            raise _old_pkcs12(error) from None
    secret = _require_password(password, "the PKCS #12 file")
    try:
        return pkcs12.load_pkcs12(der, secret)
    except UnsupportedAlgorithm as error:
        raise _old_pkcs12(error) from None
    except (ValueError, TypeError):
        raise CertificateError(
            "the PKCS #12 file cannot be opened: the password is wrong, or the file damaged"
        ) from None


def _old_pkcs12(error: UnsupportedAlgorithm) -> CertificateError:
    return CertificateError(
        f"the PKCS #12 file is encrypted with an algorithm that is not supported ({error}); export it"
        " again with AES, or convert it with openssl pkcs12 -legacy"
    )


def _require_password(password: Password, subject: str) -> bytes:
    secret = password()
    if secret is None:
        raise CertificateError(
            f"{subject} is encrypted and there is no password; give one with --key-password-file or in"
            " the variable KMIPKIT_KEY_PASSWORD, or in Python as key_password"
        )
    return secret


def _read_openssh_key(_: Contents, block: _Block, __: Password) -> None:
    raise CertificateError(
        f"the private key{block.place} has the format of OpenSSH; convert it with: ssh-keygen -p -m"
        " PKCS8 -f FILE"
    )


def _skip(_: Contents, block: _Block, __: Password) -> None:
    """Parameters that OpenSSL writes before a key say nothing that the key does not say."""


_READERS: Mapping[str, Callable[[Contents, _Block, Password], None]] = MappingProxyType(
    {
        "CERTIFICATE": _read_certificate,
        "X509 CERTIFICATE": _read_certificate,
        "TRUSTED CERTIFICATE": _read_certificate,
        "CERTIFICATE REQUEST": _read_request,
        "NEW CERTIFICATE REQUEST": _read_request,
        "X509 CRL": _read_revocation_list,
        "PKCS7": _read_pkcs7,
        "CMS": _read_pkcs7,
        _PKCS12: _read_pkcs12,
        "PRIVATE KEY": _read_key,
        "ENCRYPTED PRIVATE KEY": _read_key,
        "RSA PRIVATE KEY": _read_key,
        "EC PRIVATE KEY": _read_key,
        "DSA PRIVATE KEY": _read_key,
        "OPENSSH PRIVATE KEY": _read_openssh_key,
        "EC PARAMETERS": _skip,
        "DH PARAMETERS": _skip,
        "DSA PARAMETERS": _skip,
    }
)
"""How the blocks of PEM are read, by their labels."""

_OTHERS: Mapping[str, str] = MappingProxyType({"PUBLIC KEY": "a public key"})
"""Names of blocks that are not read."""
