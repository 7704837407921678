"""JKS files are as Java has them: byte for byte those of keytool, which reads ours as well."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from documents import PROJECT
from kmipkit_certs import java_key_store
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.cli import certs
from kmipkit_certs.directory import Directory
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import as_private_key

VECTORS = PROJECT / "tests" / "vectors" / "jks"
PASSWORD = "Grüße €"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
DATE = 24
"""Where the date of the first entry is, if its alias has six characters."""
SALT = 60
"""Where the salt of its key is: behind the date, the length and the head of its structure."""
needs_java = pytest.mark.skipif(shutil.which("keytool") is None, reason="Java is not installed")


def date(data: bytes, at: int) -> datetime:
    milliseconds = int.from_bytes(data[at : at + 8], "big")
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def test_a_key_store_is_the_one_that_keytool_writes() -> None:
    """A product that only reads JKS finds key and certificate, with a password that is not ASCII."""
    wanted = (VECTORS / "keytool.jks").read_bytes()
    key, certificate, _ = pkcs12.load_key_and_certificates(
        (VECTORS / "keytool.p12").read_bytes(), b"secret"
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    assert certificate is not None
    written = java_key_store.key_store(
        "Array7",
        key,
        [certificate],
        PASSWORD.encode(),
        date(wanted, DATE),
        lambda size: wanted[SALT : SALT + size],
    )
    assert written == wanted


def test_a_trust_store_is_the_one_that_keytool_writes() -> None:
    wanted = (VECTORS / "keytool-ca.jks").read_bytes()
    _, certificate, _ = pkcs12.load_key_and_certificates(
        (VECTORS / "keytool.p12").read_bytes(), b"secret"
    )
    assert certificate is not None
    written = java_key_store.trust_store(
        [("kmipkit", certificate)],
        PASSWORD.encode(),
        date(wanted, DATE + 1),  # "kmipkit" has a character more than "array7"
    )
    assert written == wanted


@needs_java
@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-2048"])
@pytest.mark.parametrize("alias", ["tape", "MixedCase", "größe", "key 𝄞"])
def test_java_decrypts_the_key(tmp_path: Path, algorithm: str, alias: str) -> None:
    """Java finds the entry by any spelling of its alias, and converts it into a PKCS #12 file."""
    authority = Authority.create("CA", "ecdsa-p256", NOW)
    issued = authority.issue("tape", Purpose.CLIENT, NOW, algorithm=algorithm)
    chain = [issued.certificate, authority.certificate]
    key = as_private_key(issued.key)
    data = java_key_store.key_store(alias, key, chain, PASSWORD.encode(), NOW)
    (tmp_path / "tape.jks").write_bytes(data)
    process = subprocess.run(
        ["keytool", "-importkeystore", "-noprompt", "-srcalias", alias, "-destalias", "tape",
         "-srckeystore", tmp_path / "tape.jks", "-srcstorepass", PASSWORD,
         "-destkeystore", tmp_path / "tape.p12", "-deststoretype", "PKCS12",
         "-deststorepass", "secret", "-destkeypass", "secret"],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    found, certificate, others = pkcs12.load_key_and_certificates(
        (tmp_path / "tape.p12").read_bytes(), b"secret"
    )
    assert found is not None
    assert found.public_key() == issued.key.public_key()
    assert [certificate, *others] == chain


@needs_java
def test_a_wrong_password_opens_nothing(tmp_path: Path) -> None:
    data = java_key_store.trust_store(
        [("ca", Authority.create("CA", "ecdsa-p256", NOW).certificate)], b"secret", NOW
    )
    (tmp_path / "ca.jks").write_bytes(data)
    process = subprocess.run(
        ["keytool", "-list", "-keystore", tmp_path / "ca.jks", "-storepass", "secreT"],
        capture_output=True,
        text=True,
    )
    assert "password was incorrect" in process.stdout


@pytest.mark.parametrize(("password", "message"), [(b"", "must not be empty"), (b"\xff", "UTF-8")])
def test_a_password_that_java_cannot_have_is_refused(password: bytes, message: str) -> None:
    with pytest.raises(CertificateError, match=message):
        java_key_store.trust_store([], password, NOW)


def test_a_renewed_certificate_goes_into_a_new_key_store(tmp_path: Path) -> None:
    """``certs renew`` gives a client a new certificate; ``certs export --jks`` makes its file again."""
    directory = Directory(tmp_path / "pki")
    directory.init("CA", "ecdsa-p256", NOW)
    pair = directory.issue("tape", Purpose.CLIENT, NOW)
    (tmp_path / "password").write_text("secret\n")
    arguments = [
        "export", str(pair.cert), str(tmp_path / "tape.jks"), "--key", str(pair.key),
        "--ca", str(directory.ca), "--jks", "--pkcs12-password-file", str(tmp_path / "password"),
    ]  # fmt: skip
    result = CliRunner().invoke(certs, arguments)
    assert result.output == f"JKS: {tmp_path / 'tape.jks'}\n"
    assert stat.S_IMODE((tmp_path / "tape.jks").stat().st_mode) == 0o600
    assert (tmp_path / "tape.jks").read_bytes()[:4] == b"\xfe\xed\xfe\xed"
    refused = CliRunner().invoke(certs, [*arguments, "--pkcs12-old"])
    assert refused.exit_code == 2
    assert "writes another form" in refused.output
