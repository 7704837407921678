"""What a new client gets works in its product, and nobody else can read it."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from kmipkit_certs import bundle, files
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PASSWORD = b"correct horse"
AUTHORITY = Authority.create("CA", "ecdsa-p256", NOW)
ISSUED = AUTHORITY.issue("tape", Purpose.CLIENT, NOW)


def contents(*, for_old_devices: bool = False) -> dict[str, bytes]:
    return bundle.contents(
        "tape", ISSUED, AUTHORITY.certificate, PASSWORD, for_old_devices=for_old_devices
    )


def test_each_form_has_the_same_key_and_certificate(tmp_path: Path) -> None:
    bundle.write(tmp_path / "tape", contents())
    found = {path.name: path for path in (tmp_path / "tape").iterdir()}
    assert set(found) == {"ca.crt", "ca.p12", "tape.crt", "tape.key", "tape.p12", "tape.pem"}
    for cert, key in ((found["tape.crt"], found["tape.key"]), (found["tape.pem"], None)):
        own = load_credentials(cert, key)
        assert own.chain[0] == ISSUED.certificate
    key, certificate, others = pkcs12.load_key_and_certificates(
        found["tape.p12"].read_bytes(), PASSWORD
    )
    assert (certificate, others) == (ISSUED.certificate, [AUTHORITY.certificate])
    assert key is not None
    assert key.public_key() == ISSUED.key.public_key()
    assert load_certificates(found["ca.crt"]) == [AUTHORITY.certificate]


def test_jks_files_are_only_there_if_they_are_wanted(tmp_path: Path) -> None:
    """They protect the key badly; who wants them gets a key store and a trust store."""
    data = bundle.contents("tape", ISSUED, AUTHORITY.certificate, PASSWORD, jks_date=NOW)
    assert set(data) - set(contents()) == {"tape.jks", "ca.jks"}
    assert data["tape.jks"][:4] == data["ca.jks"][:4] == b"\xfe\xed\xfe\xed"
    assert list(data) == list(bundle.described("tape", with_jks=True))
    bundle.write(tmp_path / "tape", data)
    assert stat.S_IMODE((tmp_path / "tape" / "tape.jks").stat().st_mode) == 0o600


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    bundle.write(tmp_path / "tape", contents())
    assert stat.S_IMODE((tmp_path / "tape").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tape").iterdir()}
    assert modes == {0o600}


def test_a_directory_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "tape").mkdir()
    with pytest.raises(CertificateError, match="already exists"):
        bundle.write(tmp_path / "tape", contents())
    assert list((tmp_path / "tape").iterdir()) == []


def test_a_full_disk_leaves_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write_new = files.write_new

    def full(path: Path, data: bytes, mode: int) -> None:
        if len(written) == 3:
            raise CertificateError("No space left on device")
        written.append(path)
        write_new(path, data, mode)

    monkeypatch.setattr(files, "write_new", full)
    with pytest.raises(CertificateError, match="No space"):
        bundle.write(tmp_path / "tape", contents())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_password_protects_nothing() -> None:
    with pytest.raises(CertificateError, match="must not be empty"):
        bundle.contents("tape", ISSUED, AUTHORITY.certificate, b"")


@pytest.mark.skipif(shutil.which("keytool") is None, reason="Java is not installed")
@pytest.mark.parametrize("is_old", [False, True])
def test_java_reads_key_store_and_trust_store(tmp_path: Path, is_old: bool) -> None:
    """So that only old products need JKS files."""
    bundle.write(tmp_path / "tape", contents(for_old_devices=is_old))
    for name, entry in (("tape.p12", "PrivateKeyEntry"), ("ca.p12", "trustedCertEntry")):
        store = str(tmp_path / "tape" / name)
        process = subprocess.run(
            ["keytool", "-list", "-keystore", store, "-storepass", PASSWORD.decode()],
            capture_output=True,
            text=True,
        )
        assert entry in process.stdout, process.stdout + process.stderr
