"""Certificates and keys in every format in which people have them, and what is said of the others."""

import base64
import contextlib
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from certificate_family import KEYS, Template, issue, key, root
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from kmipkit_certs import credentials, formats
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import VARIABLE, KeyPassword, from_command_line, new_password

NOW = datetime.now(UTC)
PASSWORD = b"s3cret \xc3\xa4"

AUTHORITY = Authority.create("formats", "ecdsa-p256", NOW)
ISSUED = AUTHORITY.issue("array", Purpose.CLIENT, NOW)
CERT = ISSUED.certificate.public_bytes(Encoding.PEM)
CA = AUTHORITY.certificate.public_bytes(Encoding.PEM)
OTHER = AUTHORITY.issue("other", Purpose.CLIENT, NOW)


def private(
    encoding: Encoding = Encoding.PEM,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: serialization.KeySerializationEncryption = NoEncryption(),  # noqa: B008 - immutable
) -> bytes:
    return ISSUED.key.private_bytes(encoding, form, encryption)


KEY = private()
ENCRYPTED = BestAvailableEncryption(PASSWORD)
DER = ISSUED.certificate.public_bytes(Encoding.DER)


def packed(encryption: serialization.KeySerializationEncryption) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"array", ISSUED.key, ISSUED.certificate, [AUTHORITY.certificate], encryption  # type: ignore[arg-type]  # an ECDSA key
    )  # fmt: skip


def indented(data: bytes) -> bytes:
    return b"".join(b"    " + line + b"\r\n" for line in data.splitlines())


ONE_FILE: dict[str, bytes] = {
    "certificate, key": CERT + KEY,
    "key, certificate": KEY + CERT,
    "whole chain": KEY + CERT + CA,
    "wrong order": CA + CERT + KEY,
    "several": OTHER.certificate.public_bytes(Encoding.PEM) + CERT + KEY,
    "twice": CERT + CERT + KEY + KEY,
    "byte order mark": b"\xef\xbb\xbf" + CERT + KEY,
    "UTF-16": (CERT + KEY).decode().encode("utf-16"),
    "UTF-16, big-endian": b"\xfe\xff" + (CERT + KEY).decode().encode("utf-16-be"),
    "line ends of Windows": (CERT + KEY).replace(b"\n", b"\r\n"),
    "line ends of a Mac": (CERT + KEY).replace(b"\n", b"\r"),
    "text before": b"Bag Attributes\n    friendlyName: array\n" + CERT + b"Key:\n" + KEY,
    "indented": indented(CERT + KEY),
    "line ends as text": (CERT + KEY).replace(b"\n", b"\\n"),
    "no last line end": (CERT + KEY).rstrip(b"\n"),
    "blanks at line ends": (CERT + KEY).replace(b"\n", b"  \n"),
    "empty lines": (CERT + KEY).replace(b"\n", b"\n\n"),
    "parameters before": b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
    b"-----END EC PARAMETERS-----\n" + CERT + private(form=PrivateFormat.TraditionalOpenSSL),
    "DER one after the other": DER + private(Encoding.DER),
    "PKCS #12": packed(ENCRYPTED),
    "PKCS #12 without password": packed(NoEncryption()),
    "encrypted": CERT + private(encryption=ENCRYPTED),
    "encrypted as of old": CERT
    + private(form=PrivateFormat.TraditionalOpenSSL, encryption=ENCRYPTED),
    "PKCS #7": pkcs7.serialize_certificates(
        [AUTHORITY.certificate, ISSUED.certificate], Encoding.PEM
    )
    + KEY,
    "old label": CERT.replace(b" CERTIFICATE", b" X509 CERTIFICATE") + KEY,
}

CERTIFICATES: dict[str, bytes] = {
    "PEM": CERT,
    "DER": DER,
    "base64": base64.encodebytes(DER),
    "PKCS #7": pkcs7.serialize_certificates([ISSUED.certificate], Encoding.DER),
    "PKCS #12": packed(ENCRYPTED),
    "with the key of another": CERT + OTHER.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"unknown")
    ),
}  # fmt: skip

PRIVATE_KEYS: dict[str, bytes] = {
    "PKCS #8": KEY,
    "PKCS #8, encrypted": private(encryption=ENCRYPTED),
    "PKCS #8, DER": private(Encoding.DER),
    "PKCS #8, DER, encrypted": private(Encoding.DER, encryption=ENCRYPTED),
    "SEC 1": private(form=PrivateFormat.TraditionalOpenSSL),
    "SEC 1, encrypted": private(form=PrivateFormat.TraditionalOpenSSL, encryption=ENCRYPTED),
    "SEC 1, DER": private(Encoding.DER, PrivateFormat.TraditionalOpenSSL),
    "base64": base64.encodebytes(private(Encoding.DER)),
    "PKCS #12": packed(ENCRYPTED),
}


def usable(loaded: credentials.Credentials) -> bool:
    """Whether TLS takes the credentials, and they are those that were made above."""
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    return loaded.chain[0] == ISSUED.certificate


@pytest.mark.parametrize("form", ONE_FILE)
def test_certificate_and_key_in_one_file(tmp_path: Path, form: str) -> None:
    (tmp_path / "both").write_bytes(ONE_FILE[form])
    assert usable(load_credentials(tmp_path / "both", None, KeyPassword(PASSWORD)))


@pytest.mark.parametrize("key_form", PRIVATE_KEYS)
@pytest.mark.parametrize("form", CERTIFICATES)
def test_certificate_and_key_in_two_files(tmp_path: Path, form: str, key_form: str) -> None:
    (tmp_path / "c").write_bytes(CERTIFICATES[form])
    (tmp_path / "k").write_bytes(PRIVATE_KEYS[key_form])
    password = KeyPassword(PASSWORD.decode())
    assert usable(load_credentials(tmp_path / "c", tmp_path / "k", password))
    assert load_certificates(tmp_path / "c", password)[0] == ISSUED.certificate


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa", "ed25519", "ed448"])
def test_every_kind_of_key(tmp_path: Path, kind: str) -> None:
    own = issue(Template(key=key(kind)), "root p256 v3", key("p256", "root"))
    pem = key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, ENCRYPTED)
    (tmp_path / "both").write_bytes(own.public_bytes(Encoding.PEM) + pem)
    loaded = load_credentials(tmp_path / "both", None, KeyPassword(PASSWORD))
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert loaded.chain == (own,)
    assert kind in KEYS


def test_a_chain_is_sent_in_order(tmp_path: Path) -> None:
    """RFC 5246 §7.4.2: each certificate certifies the one before it."""
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    deep = issue(Template("deep", key("p256", "deep"), (ca,)), "middle", key("p256", "middle"))
    middle = issue(
        Template("middle", key("p256", "middle"), (ca,)), "root p256 v3", key("p256", "root")
    )
    leaf = issue(Template(key=key("p256")), "deep", key("p256", "deep"))
    pem = key("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for order in ((root(), middle, deep, leaf), (middle, leaf, root(), deep)):
        text = b"".join(each.public_bytes(Encoding.PEM) for each in order)
        (tmp_path / "both").write_bytes(text + pem)
        loaded = load_credentials(tmp_path / "both")
        assert loaded.chain == (leaf, deep, middle, root())
        assert credentials.load_chain(tmp_path / "both") == [leaf, deep, middle, root()]
        (tmp_path / "certificates").write_bytes(text)
        assert credentials.load_chain(tmp_path / "certificates")[0] == leaf


def test_a_restricted_key_stays_as_it_is(tmp_path: Path) -> None:
    """A key for RSA-PSS only: OpenSSL takes it only as it is, not as an RSA key for everything."""
    made = ["req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes"]
    files = ["-keyout", "k", "-out", "c", "-subj", "/CN=pss", "-sha256"]
    try:
        done = subprocess.run(["openssl", *made, *files], cwd=tmp_path, capture_output=True)
    except FileNotFoundError:
        pytest.skip("the command openssl is not installed")
    assert done.returncode == 0, done.stderr
    loaded = load_credentials(tmp_path / "c", tmp_path / "k")
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


DAMAGED_BODY = CERT.replace(CERT[100:110], b"!!!!!!!!!!")
REFUSED: dict[str, tuple[bytes, bytes | None, str]] = {
    "interchanged": (KEY, CERT, "interchanged"),
    "only a certificate": (CERT, None, "contains no private key; give the file with the key"),
    "only a key": (KEY, None, "contains a private key, not a certificate"),
    "two certificates": (CERT, CA, "contains a certificate, not a private key"),
    "key of another": (
        CERT, OTHER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "does not belong to the certificate 'CN=array'",
    ),
    "text": (b"hello", KEY, "contains unknown data, not a certificate"),
    "empty": (b"", KEY, "contains unknown data, not a certificate"),
    "cut off": (CERT[:-40], KEY, "its line '-----END' is missing"),
    "cut in the middle": (CERT[:200] + KEY, None, "damaged"),
    "damaged": (DAMAGED_BODY, KEY, "the block 'CERTIFICATE' that begins in line 1 is damaged"),
    "cut DER": (DER[:-10], KEY, "damaged"),
    "more after DER": (DER + b"more", KEY, "damaged"),
    "not a certificate in it": (
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", KEY,
        "malformed certificate",
    ),
    "public key": (
        CERT,
        ISSUED.key.public_key().public_bytes(
            Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "contains a public key, not a private key",
    ),
    "key of OpenSSH": (
        CERT, ISSUED.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "ssh-keygen",
    ),
    "key store of Java": (b"\xfe\xed\xfe\xed\0\0\0\x02", KEY, "keytool"),
    "damaged headers": (
        CERT, ONE_FILE["encrypted as of old"].replace(b"AES-256-CBC,", b"AES-256-CBC,00\n"),
        "the headers of the private key",
    ),
    "no password": (CERT, private(encryption=ENCRYPTED), "--key-password-file"),
    "no password for DER": (
        CERT, private(Encoding.DER, encryption=ENCRYPTED), "--key-password-file",
    ),
    "no password for PKCS #12": (packed(ENCRYPTED), None, "PKCS #12 file is encrypted"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_used_is_explained(tmp_path: Path, fault: str) -> None:
    cert, key, words = REFUSED[fault]
    (tmp_path / "c").write_bytes(cert)
    (tmp_path / "k").write_bytes(key or b"")
    with pytest.raises(CertificateError) as refusal:
        load_credentials(tmp_path / "c", None if key is None else tmp_path / "k")
    assert words in str(refusal.value)
    assert str(tmp_path) in str(refusal.value), "it names the file"


def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    for data in (
        CERT + private(encryption=ENCRYPTED),
        packed(ENCRYPTED),
        ONE_FILE["encrypted as of old"],
    ):
        (tmp_path / "both").write_bytes(data)
        with pytest.raises(CertificateError, match="password is wrong"):
            load_credentials(tmp_path / "both", None, KeyPassword("wrong"))


def test_where_the_password_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert from_command_line(None).get("k") is None
    monkeypatch.setenv(VARIABLE, "from the environment")
    assert from_command_line(None).get("k") == b"from the environment"
    assert KeyPassword().get("k") is None, "the library does not read the environment"
    (tmp_path / "p").write_bytes(b"from the file\r\nsecond line\n")
    assert from_command_line(tmp_path / "p").get("k") == b"from the file"
    with pytest.raises(CertificateError, match="missing"):
        from_command_line(tmp_path / "missing").get("k")


def test_the_terminal_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "entered"

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("kmipkit_certs.passwords.getpass.getpass", ask)
    monkeypatch.setattr("kmipkit_certs.passwords.sys.stdin", Terminal())
    password = from_command_line(None)
    assert password.get("server.key") == password.get("server.key") == b"entered"
    assert asked == ["Password of server.key: "]
    assert new_password(None, "x.p12") == b"entered"
    answers = iter(("one", "another"))
    monkeypatch.setattr("kmipkit_certs.passwords.getpass.getpass", lambda _: next(answers))
    with pytest.raises(CertificateError, match="differ"):
        new_password(None, "x.p12")


class Terminal:
    def isatty(self) -> bool:
        return True


def test_no_key_byte_gets_to_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In memory where the system can, else encrypted under a password that exists for the call."""
    (tmp_path / "both").write_bytes(CERT + KEY)
    loaded = load_credentials(tmp_path / "both")
    seen: list[bytes] = []
    real = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, path: str, password: bytes | None = None) -> None:
        seen.append(Path(path).read_bytes())
        if not path.startswith("/proc/self/fd/"):
            assert Path(path).stat().st_mode & 0o777 == 0o600
        real(context, path, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    monkeypatch.setattr(credentials, "HAS_MEMORY_FILES", False)
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in seen[1]


def test_files_of_openssl_are_read(tmp_path: Path) -> None:
    """Its own label for a certificate with settings of trust, which follow the certificate."""
    (tmp_path / "c").write_bytes(CERT)
    try:
        done = subprocess.run(
            ["openssl", "x509", "-in", "c", "-trustout", "-addtrust", "clientAuth", "-out", "t"],
            cwd=tmp_path,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("the command openssl is not installed")
    assert done.returncode == 0, done.stderr
    assert load_certificates(tmp_path / "t") == [ISSUED.certificate]


@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER")
def test_damage_anywhere_leads_to_no_other_error() -> None:
    """Bytes that are changed, lost or added; a fault of ours or of a library would be a traceback."""
    random = Random(13)
    forms = [*ONE_FILE.values(), *CERTIFICATES.values(), *PRIVATE_KEYS.values()]
    for _ in range(4000):
        data = bytearray(random.choice(forms))
        at = random.randrange(len(data))
        match random.randrange(3):
            case 0:
                data[at] = random.randrange(256)
            case 1:
                del data[at : at + random.randrange(1, 20)]
            case 2:
                data[at:at] = random.randbytes(random.randrange(1, 9))
        with contextlib.suppress(CertificateError):
            formats.parse(bytes(data), lambda: PASSWORD).describe()


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "change", [lambda data: data.lower(), lambda data: data[::-1], lambda data: data * 3]
)
def test_no_file_leads_to_another_error(tmp_path: Path, change: Change) -> None:
    for data in (*ONE_FILE.values(), *CERTIFICATES.values(), *PRIVATE_KEYS.values()):
        for cut in (len(data), len(data) // 2, 20, 1):
            (tmp_path / "x").write_bytes(change(data[:cut]))
            with contextlib.suppress(CertificateError):
                load_credentials(tmp_path / "x", None, KeyPassword(PASSWORD))
