"""Every type of event: when it is written, how bad it is, and its arguments (vsphere.md §5.3).

The identifiers are those of vSphere 8.0 U3, with their spelling, without the common prefix. A type that
is not in this table cannot be written, and the tests have a scenario for each row.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kmipkit_vsphere.vcenter.calls.events import EventTypeInfo, Severity

INFO, WARNING, ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR

MACHINE, HOST, PROVIDER, KEY = "machine", "host", "provider", "key"
"""Arguments that follow from what an event is about."""


def _rows() -> Iterator[EventTypeInfo]:
    yield from _operations()
    yield from _hosts()
    yield from _key_servers()
    yield from _machines()
    yield from _trust()
    yield from _core_dumps()


def _row(id_: str, severity: Severity, description: str, *arguments: str) -> EventTypeInfo:
    return EventTypeInfo(id_, severity, description, arguments)


def _operations() -> Iterator[EventTypeInfo]:
    yield _row("crypto.Operation", INFO, "somebody did something with keys, or tried to")
    yield _row("vim.event.AlarmAcknowledgedEvent", INFO, "somebody acknowledged an alarm")
    yield _row("crypto.HostKeyUpdatedEvent", INFO, "a host has another host key", HOST, KEY)
    yield _row(
        "crypto.IntegrityCheckPassed",
        INFO,
        "the encrypted files of a virtual machine are whole",
        MACHINE,
        KEY,
    )
    yield _row(
        "crypto.IntegrityCheckFailed",
        ERROR,
        "the encrypted files of a virtual machine were altered or are damaged",
        MACHINE,
        KEY,
    )


def _hosts() -> Iterator[EventTypeInfo]:
    yield _row("vim.event.HostConnectionLostEvent", ERROR, "a host does not respond", HOST)
    yield _row("vim.event.HostConnectedEvent", INFO, "a host responds again", HOST)
    yield _row("host.Crypto.Enabled", INFO, "encryption mode was enabled on a host", HOST, KEY)
    yield _row(
        "host.Crypto.HostCryptoDisabled",
        ERROR,
        "an operation is not possible, because encryption mode is disabled on the host",
        HOST,
    )
    for cause, text in (
        ("KeyMissingOnKMS", "its host key cannot be used on the key server"),
        ("KMSClusterError", "its key provider has a problem"),
    ):
        yield _row(
            f"host.Crypto.ReqEnable.{cause}",
            ERROR,
            f"a host needs encryption mode, but {text}",
            HOST,
            KEY,
            "fault",
        )
        yield _row(
            f"host.Crypto.HostKey.NewKey.{cause}",
            WARNING,
            f"a host gets a new host key, because {text}",
            HOST,
            KEY,
            "reason",
        )
    yield _row("host.Crypto.SendKeyError.HostError", ERROR, "a host does not take a key", HOST)
    yield _row(
        "host.TPMAttestationFailedEvent",
        WARNING,
        "the TPM of a host does not show what it should",
        HOST,
        "reason",
    )
    yield _row(
        "HostTpmConfigEncryptionEvent",
        INFO,
        "the configuration of a host is encrypted, and sealed by its TPM",
        HOST,
    )


def _key_servers() -> Iterator[EventTypeInfo]:
    yield _row("kms.crypto.KeyGenerateFail", ERROR, "a key could not be generated", "fault")
    for cause, text in (
        ("KeyMissingOnKMS", "the key server does not have it, or does not let it be used"),
        ("KMSClusterError", "its key provider has a problem"),
    ):
        yield _row(
            f"kms.crypto.SendKeyError.{cause}", ERROR, f"a host could not be given a key: {text}"
        )
    yield _row("kms.crypto.Unreachable", ERROR, "a key server cannot be reached", PROVIDER)
    yield _row("kms.crypto.Vendor", INFO, "the vendor of a key server", PROVIDER, "vendor")
    yield _row(
        "kms.crypto.NotBackedUp", WARNING, "a native key provider is not backed up", PROVIDER
    )
    yield _row(
        "kms.crypto.NotBackedUpAfterUpdate",
        WARNING,
        "a native key provider has changed, and is not backed up since then",
        PROVIDER,
    )
    yield _row("kms.crypto.AllBackedUp", INFO, "all native key providers are backed up")
    for side, text in (("Client", "vCenter"), ("Server", "a key server")):
        yield _row(
            f"vecs.KMS{side}CertExpirationEvent",
            WARNING,
            f"the certificate of {text} expires soon, or has expired",
            PROVIDER,
        )


def _machines() -> Iterator[EventTypeInfo]:
    for cause, text in (
        ("KeyMissingOnHost", "its host lacks a key"),
        ("KeyMissingOnKMS", "the key server does not have a key, or does not let it be used"),
        ("KMSClusterError", "the key provider has a problem"),
        ("TAKeyMissingOnHost", "the trust authority does not give its host a key"),
        ("TAKMSClusterUnavaliable", "the trust authority does not answer"),
    ):
        yield _row(
            f"vm.Crypto.VMLocked.{cause}", ERROR, f"a virtual machine is locked: {text}", MACHINE
        )
    yield _row("vm.Crypto.VMUnlocked", INFO, "a virtual machine is unlocked", MACHINE, KEY)
    yield _row("vm.crypto.RekeyFail", ERROR, "a virtual machine could not be re-encrypted", MACHINE)
    yield _row(
        "vm.crypto.NoDiskSpace", ERROR, "the datastore has no space for an operation", MACHINE
    )
    yield _row(
        "vm.crypto.DiskchainUsingMixedKeys",
        WARNING,
        "the layers of a disk are encrypted with different keys",
        MACHINE,
    )
    for kind, text in (("VmHotMigrating", "that is powered on"), ("VmMigrating", "powered off")):
        yield _row(
            f"vm.{kind}WithEncryptionEvent",
            INFO,
            f"a virtual machine {text} moved, and its data was encrypted on the way",
            MACHINE,
        )


def _trust() -> Iterator[EventTypeInfo]:
    yield _row("TaHostAttestPassEvent", INFO, "a host is attested", HOST, "service")
    yield _row("TaHostAttestFailEvent", ERROR, "a host is not attested", HOST, "reason")
    yield _row(
        "TaHostAttestUnsetEvent",
        WARNING,
        "the attestation of a host is not known any more",
        HOST,
        "reason",
    )
    trust = "TrustAuthority"
    yield _row(
        f"{trust}.DecommissionHost", INFO, "a host no longer belongs to a trusted cluster", HOST
    )
    yield _row(
        f"{trust}.HostNotConfigured",
        WARNING,
        "a host of a trusted cluster has no services, or others than the cluster",
        HOST,
        "cluster",
    )
    yield _row(
        f"{trust}.StsCertificatesChange",
        WARNING,
        "the certificates by which a trust authority knows a workload vCenter have changed",
        "principal",
    )
    for side in ("Client", "Server"):
        yield _row(
            f"{trust}.KMS{side}CertExpirationEvent",
            WARNING,
            f"the certificate of the {'services' if side == 'Client' else 'key server'} of a"
            " trusted key provider expires soon, or has expired",
            PROVIDER,
        )
    state = "kms.crypto.TrustAuthority"
    yield _row(
        f"{state}.ClusterNotAvailable", ERROR, "no host of a trust authority answers", "reason"
    )
    yield _row(
        f"{state}.ClusterUnhealthy",
        WARNING,
        "a host of a trust authority does not answer, or has another configuration",
        "reason",
    )
    yield _row(
        f"{state}.KmsUnhealthy",
        ERROR,
        "a trust authority cannot use the primary key of a trusted key provider",
        PROVIDER,
        "reason",
    )


def _core_dumps() -> Iterator[EventTypeInfo]:
    for world, text in (
        ("hostd", "hostd"),
        ("vpxa", "vpxa"),
        ("application", "a virtual machine, or another program"),
    ):
        for suffix, state in (("", "plain"), (".encrypted", "encrypted")):
            yield _row(
                f"esx.problem.{world}.core.dumped{suffix}",
                WARNING,
                f"a core dump of {text} was written; it is {state}",
                HOST,
                "world",
                "file",
                *((KEY,) if suffix else ()),
            )


EVENT_TYPES: Final[Mapping[str, EventTypeInfo]] = MappingProxyType({row.id: row for row in _rows()})
"""Identifier to type."""
