"""Files and settings in the formats that earlier versions wrote: they stay readable."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from kmipkit_vsphere.calls.host import TrustServices
from kmipkit_vsphere.host.core_dumps import CoreDumps, open_exported
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.journal import Journal
from kmipkit_vsphere.host.key_persistence import KeyPersistence
from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.host.volume import NewKey, Volume
from kmipkit_vsphere.host.vsan import VsanEncryption
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.encoding import to_builtins
from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.locator import KeyLocator
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.trust_authority_host import TrustAuthorityHost
from vsphere_scene import PretendedTPM

KEY = CryptoKeyId("KMS", "key-1")
KEK = Secret(b"k" * 32)
DEK = Secret(bytes(range(64)))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACCESS = {
    "servers": [["kms1", "192.0.2.7", 5696]],
    "certificate": "CERTIFICATE",
    "privateKey": "PRIVATE KEY",
    "trusted": "TRUSTED",
    "isPinned": True,
}


def config(folder: Path, **settings: Any) -> SealedConfig:
    """A sealed configuration with these settings, closed and opened again."""
    tpm = PretendedTPM()
    first = SealedConfig(folder, tpm)
    for name, value in settings.items():
        first.set(name, value)
    return SealedConfig(folder, tpm)


def test_a_native_provider(tmp_path: Path) -> None:
    uuid = "4b9d1d2c-6a0e-4f0e-9c53-0d5a3d8a9e11"
    entry = {
        "provider": "NKP",
        "keyId": uuid,
        "keyDerivationKey": base64.b64encode(b"d" * 32).decode(),
        "tpmRequired": False,
    }
    [native] = KeySources(config(tmp_path, nativeProviders={"NKP": entry})).natives()
    assert (native.provider, native.key_id, native.tpm_required) == ("NKP", UUID(uuid), False)


def test_persisted_keys(tmp_path: Path) -> None:
    entry = {**to_builtins(KEY), "keyData": base64.b64encode(b"k" * 32).decode()}
    sealed = config(tmp_path, keyPersistence=True, persistedKeys={"KMS/key-1": entry})
    assert list(KeyPersistence(sealed).stored_keys()) == [CryptoKeyPlain(KEY, "AES-256", KEK)]


def test_a_host_key_that_is_persisted(tmp_path: Path) -> None:
    tpm = PretendedTPM()
    host = Host.start("esx01", tmp_path, tpm)
    host.config.set("keyPersistence", True)
    entry = {**to_builtins(KEY), "keyData": base64.b64encode(b"k" * 32).decode()}
    host.config.set("persistedKeys", {"KMS/key-1": entry})
    host.config.set("hostKey", {"keyId": "key-1", "providerId": "KMS"})
    restarted = Host.start("esx01", tmp_path, tpm)
    assert restarted.keys.restore()
    assert (restarted.keys.crypto.state, restarted.keys.crypto.host_key_id) == (
        CryptoState.SAFE,
        KEY,
    )


def test_the_configuration_of_vsan(tmp_path: Path) -> None:
    stored = {"cluster": "prod", "keyId": to_builtins(KEY), "access": ACCESS}
    sealed = config(tmp_path, vsan=stored)
    configuration = VsanEncryption(sealed, tmp_path, KeySources(sealed)).config()
    assert configuration is not None
    assert (configuration.cluster, configuration.key_id) == ("prod", KEY)
    assert configuration.access is not None
    assert configuration.access.private_key.reveal() == b"PRIVATE KEY"
    assert [(server.name, server.port) for server in configuration.access.servers] == [
        ("kms1", 5696)
    ]


def test_the_services_of_a_trust_authority(tmp_path: Path) -> None:
    stored = {
        "vcenterId": "v",
        "group": "v",
        "authorities": "PEM",
        "providers": ["TKP"],
        "services": [{"name": "ta1", "address": "192.0.2.9", "port": 1}],
    }
    services = config(tmp_path, trustedServices=stored).read("trustedServices", TrustServices)
    assert services is not None
    assert (services.vcenter_id, services.providers, services.services[0].name) == (
        "v",
        ["TKP"],
        "ta1",
    )


def test_the_configuration_of_a_trust_authority_host(tmp_path: Path) -> None:
    image = {
        "name": "ESXi",
        "version": "8.0.3",
        "components": [["esx-base", "ab" * 32]],
        "options": ["x"],
        "secureBoot": True,
        "debugMode": False,
    }
    anchors = {
        "authorities": ["PEM"],
        "endorsementKeys": [["host", "fingerprint"]],
        "requireEndorsementKeys": True,
        "requireCertificateValidation": False,
    }
    SealedConfig(tmp_path).set(
        "configuration",
        {
            "group": "v",
            "principals": {"workload": "PEM"},
            "anchors": anchors,
            "images": [image],
            "providers": {"TKP": {"primaryKeyId": "key-1", "access": ACCESS}},
            "attestationKeys": {"as1": "PEM"},
            "digest": "d",
        },
    )
    configuration = TrustAuthorityHost("ta1", tmp_path, lambda: NOW, lambda _: []).configuration
    assert configuration.anchors == Anchors(("PEM",), (("host", "fingerprint"),), True, False)
    assert configuration.images == (Image("ESXi", "8.0.3", (("esx-base", "ab" * 32),), ("x",)),)
    assert configuration.providers["TKP"].primary_key_id == "key-1"
    assert (configuration.group, configuration.digest) == ("v", "d")


def test_a_setting_that_does_not_fit_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedData, match="nativeProviders"):
        KeySources(config(tmp_path, nativeProviders={"NKP": {"provider": "NKP"}}))


def test_a_journal_resumes(tmp_path: Path) -> None:
    """An encryption of which the first 512 bytes are durable, under the journal's data key."""
    volume = Volume(tmp_path / "d.vmdk", tmp_path / "d-flat.vmdk", "disk")
    write_durably(volume.descriptor, '# Disk DescriptorFile\nsectorSize = "512"\n')
    volume.data.write_bytes(b"plain text".ljust(1024))
    state = volume.data.stat()
    blob = bundle.lock(KEK, DEK, KEY, "vm", "disk")
    locator = str(KeyLocator.locked_by(KEY, blob))
    content = {"locator": locator, "source": [state.st_size, state.st_mtime_ns], "done": 512}
    path = tmp_path / "d.vmdk.progress"
    path.write_text(json.dumps(content) + "\n")
    journal = Journal.load(path, volume.data)
    assert journal is not None
    assert (journal.locator, journal.done) == (locator, 512)
    (tmp_path / "d-flat.vmdk.new").write_bytes(b"done before".ljust(512))
    volume.encrypt(NewKey(KEK, KEY, "vm"))
    assert volume.data.read_bytes()[:11] == b"done before", "and not done again"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"locator": "", "source": [1], "done": 0}'])
def test_an_unreadable_journal_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "source").write_bytes(b"")
    (tmp_path / "journal").write_text(content)
    assert Journal.load(tmp_path / "journal", tmp_path / "source") is None


def test_core_dumps(tmp_path: Path) -> None:
    dumps = CoreDumps(tmp_path)
    written = dumps.write("hostd", NOW, b"contents", (KEY, KEK))
    header, _, body = (tmp_path / written.file).read_bytes().partition(b"\n")
    values = json.loads(header)
    old = {name: values[name] for name in ("world", "time", "keyId", "locked")}
    (tmp_path / written.file).write_bytes(json.dumps(old).encode() + b"\n" + body)
    plain = {"world": "vpxa", "time": "2026-11-24T12:00:00.000+00:00"}
    (tmp_path / "vpxa-zdump.1").write_bytes(json.dumps(plain).encode() + b"\nin plain text")
    assert [info.key_id for info in dumps.all()] == [KEY, None]
    assert dumps.read(written.file, {KEY: KEK}) == b"contents"
    assert dumps.read("vpxa-zdump.1", {}) == b"in plain text"


def test_an_exported_core_dump(tmp_path: Path) -> None:
    dumps = CoreDumps(tmp_path)
    name = dumps.write("hostd", NOW, b"contents", None).file
    header, _, sealed = dumps.export(name, {}, "password").partition(b"\n")
    spaced = json.dumps(json.loads(header)).encode()
    assert spaced != header
    assert open_exported(spaced + b"\n" + sealed, "password") == b"contents"
