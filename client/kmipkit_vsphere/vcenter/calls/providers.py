"""Key providers, their key servers, and trust between both sides (vsphere.md §4.2, §4.5)."""

from typing import Annotated, Final

import click
from msgspec import Meta

from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.model.message import LongText, Message, Text, field
from kmipkit_vsphere.model.records import (
    KMIP_PORT,
    ROOT,
    KeyType,
    ServerChange,
    ServerRecord,
    WrappingKeyRequest,
    WrappingKeySpec,
)
from kmipkit_vsphere.vcenter.calls.arguments import CERTIFICATE
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import PAIR, PASSWORD_FILE, PORT, TEXT_FILE, Many
from kmipkit_vsphere.vcenter.privileges import Privilege

# Providers and servers ---------------------------------------------------------------------------


class ServerRegistration(Message, omit_defaults=True):
    """The server was added: its vendor, or why it does not answer."""

    cluster_id: str
    server: str
    vendor: str | None = None
    problem: str | None = None


class RegisterKmipServer(VCenterRequest[ServerRegistration]):
    """Add a key server to the key provider PROVIDER, which is created if it does not exist."""

    cluster_id: Text
    info: ServerRecord
    password: SecretText | None = None
    any_vendor: bool = False
    default_key_type: KeyType | None = None
    key_spec: WrappingKeyRequest | None = None


class UpdateKmipServer(VCenterRequest[None]):
    """Change a key server; what is not given stays as it is, and an empty text or -1 removes it."""

    cluster_id: Text
    info: ServerChange
    password: SecretText | None = None
    default_key_type: KeyType | None = None
    key_spec: WrappingKeyRequest | None = None


class RemoveKmipServer(VCenterRequest[None]):
    """Remove a key server from a key provider."""

    cluster_id: Text
    server_name: Text
    remove_empty_cluster: bool = False


class RegisterKmsCluster(VCenterRequest[None]):
    """Register a trusted key provider of a trust authority."""

    cluster_id: Text
    management_type: Text = "trustAuthority"


class ProviderRemoval(Message, omit_defaults=True):
    """The provider was removed: what still uses its keys, and the hosts that did not say."""

    warning: str = ""
    still_used_by: list[str] = field(default_factory=list)
    unknown_hosts: list[str] = field(default_factory=list)


class UnregisterKmsCluster(VCenterRequest[ProviderRemoval]):
    """Remove a standard or trusted key provider."""

    cluster_id: Text


class ConfigureWrappingKey(VCenterRequest[None]):
    """Store only a wrapping key on the key server (wrapped keys of vSphere 9)."""

    cluster_id: Text
    key_id: Text | None = None
    rotation_interval: int | None = None


class KmipClusterInfo(Message, omit_defaults=True):
    """A key provider; the last fields are of native ones and of those with wrapped keys.

    A trusted one that is not ``registered`` is known only from the trust authority's services.
    """

    cluster_id: str
    management_type: str
    use_as_default: bool
    use_as_entity_default: list[str]
    participants: list[str]
    servers: list[ServerRecord]
    key_id: str | None = None
    has_backup: bool | None = None
    tpm_required: bool | None = None
    default_key_type: str | None = None
    key_info: WrappingKeySpec | None = None
    registered: bool = True


Bits = Annotated[int, Meta(ge=-1, le=15)]
"""A sum of what is to be listed; -1 for all (vsphere.md §4.2)."""


class ListKmsClusters(VCenterQuery[list[KmipClusterInfo]]):
    """List the key providers and their servers."""

    include_kms_servers: bool = True
    management_type_filter: Bits = -1
    """1 for standard, 2 for trusted, 4 for trusted ones that are not registered, 8 for native ones."""
    status_filter: Bits = -1
    """1 for providers that can be used now, 2 for the others."""


class ListKmipServers(VCenterQuery[list[KmipClusterInfo]]):
    """List the key providers and their servers, the first ones only with a limit."""

    limit: Annotated[int, Meta(ge=0)] | None = None


class CertificateInfo(Message):
    """A certificate (vsphere.md §4.3); the fingerprint is SHA-1, as the API has it."""

    subject: str
    issuer: str
    serial_number: str
    not_before: str
    not_after: str
    fingerprint: str
    check_time: str
    seconds_since_valid: int | None
    seconds_before_expire: int


class KmipServerStatus(Message):
    """One key server: color, connection, trust in both directions, and what is wrong."""

    name: str
    status: str
    connection_status: str
    cert_info: CertificateInfo | None
    client_trust_server: bool | None
    server_trust_client: bool | None
    reasons: tuple[str, ...]


class KmipClusterStatus(Message):
    """A key provider and its key servers."""

    cluster_id: str
    overall_status: str
    management_type: str
    servers: list[KmipServerStatus]
    client_cert_info: CertificateInfo | None
    reasons: tuple[str, ...]


class RetrieveKmipServersStatus(VCenterQuery[list[KmipClusterStatus]]):
    """Show the status of every key server: color and reasons."""

    clusters: list[str] | None = None


class IsKmsClusterActive(VCenterQuery[bool]):
    """Whether a key provider, or the default one, can be used now."""

    cluster_id: Text | None = None


class SetDefaultKmsCluster(VCenterRequest[None]):
    """Use the key provider PROVIDER for new keys."""

    cluster_id: Text | None = None
    entity: Text = ROOT


class MarkDefault(SetDefaultKmsCluster):
    """The same under another name of the vSphere API."""


class ClearDefaultKmsCluster(VCenterRequest[None]):
    """Have no default key provider any more; keys are then made by a named one only."""

    entity: Text = ROOT


class GetDefaultKmsCluster(VCenterQuery[str | None]):
    """Show the default key provider."""

    entity: Text = ROOT
    defaults_to_parent: bool = False


# Trust -------------------------------------------------------------------------------------------


class ServerCertificate(Message):
    """A key server's certificate, PEM; empty if the server does not answer."""

    certificate: str
    cert_info: CertificateInfo | None


class RetrieveKmipServerCert(VCenterRequest[ServerCertificate]):
    """Show the certificate of a key server, trusted or not."""

    cluster_id: Text
    server_name: Text
    server: ServerRecord | None = None
    """Settings of a server that need not be registered."""


class UploadKmipServerCert(VCenterRequest[CertificateInfo]):
    """Trust key servers that show this certificate, and no others."""

    cluster_id: Text
    certificate: LongText


class GenerateSelfSignedClientCert(VCenterRequest[str]):
    """Trust by certificate: generate a self-signed one and print it."""

    cluster_id: Text
    request: dict[str, str] = field(default_factory=dict)


class RetrieveSelfSignedClientCert(VCenterQuery[str]):
    """The self-signed certificate that was generated last; empty if none was."""

    cluster_id: Text


class UpdateSelfSignedClientCert(VCenterRequest[CertificateInfo]):
    """Use the certificate that was generated, or the one that was signed for the request."""

    cluster_id: Text
    certificate: LongText | None = None


class UpdateKmsSignedCsrClientCert(UpdateSelfSignedClientCert):
    """The same under another name of the vSphere API."""


class GenerateClientCsr(VCenterRequest[str]):
    """Trust by signing request: generate one and print it."""

    cluster_id: Text
    request: dict[str, str] = field(default_factory=dict)


class RetrieveClientCsr(VCenterQuery[str]):
    """The signing request that was generated last; empty if none was."""

    cluster_id: Text


class UploadClientCert(VCenterRequest[CertificateInfo]):
    """Trust by a key pair from the key server: upload certificate and key."""

    cluster_id: Text
    certificate: LongText
    private_key: SecretText


class IssueClientCert(VCenterRequest[CertificateInfo]):
    """Trust by root: use a client certificate of vCenter's authority."""

    cluster_id: Text
    request: dict[str, str] = field(default_factory=dict)


class RetrieveRootCert(VCenterRequest[str]):
    """Trust by root: print the authority of vCenter, for the key server to trust."""


class RetrieveClientCert(VCenterQuery[str]):
    """Print the certificate that vCenter shows to the key servers of a provider."""

    cluster_id: Text


# Rows --------------------------------------------------------------------------------------------

MANAGE: Final = Privilege.MANAGE_KEY_SERVERS
READ: Final = Privilege.READ_KEY_SERVERS_INFO

_BITS = click.IntRange(-1, 15)
_PROVIDER = Argument("PROVIDER", "clusterId")
_SERVER_NAME = Argument("NAME", "serverName")
_KEY_TYPES = click.Choice([kind.value for kind in KeyType])


def _server(lowest: int) -> tuple[Argument, ...]:
    """The settings of a server; ``lowest`` is -1 where that removes a setting."""
    timeout, proxy_port = click.IntRange(lowest, 3600), click.IntRange(lowest, 65535)
    return (
        _PROVIDER,
        Argument("NAME", "info.name"),
        Argument("ADDRESS", "info.address"),
        Argument("--port", "info.port", PORT, help=f"[default: {KMIP_PORT}]"),
        Argument("--timeout", "info.timeout", timeout, help="Seconds for an answer; 0: no limit."),
        Argument("--user", "info.userName", help="User name to send, if the server needs one."),
        Argument(
            "--password-file", "password", PASSWORD_FILE, help="File with the user's password."
        ),
        Argument("--proxy", "info.proxyAddress", help="Address of an HTTP proxy on the way."),
        Argument("--proxy-port", "info.proxyPort", proxy_port, help="Port of the proxy."),
        Argument("--default-key-type", "defaultKeyType", _KEY_TYPES, help="Type of new keys."),
        Argument("--wrapping-key", "keySpec.keyId", help="Id of a wrapping key on the server."),
        Argument(
            "--rotation-days", "keySpec.rotationInterval", int, help="Replace it after these."
        ),
    )


_ANY_VENDOR = Argument("--any-vendor", "anyVendor", bool, help="Accept another vendor.")
_SUBJECT = Argument("--subject", "request", Many(PAIR), help="Such as commonName=vc1.")
_WRAPPING = (
    Argument("--key", "keyId", help="Id of a wrapping key on the key server."),
    Argument("--days", "rotationInterval", int, help="Replace the wrapping key at this interval."),
)

ROWS: Final = (
    Row(
        RegisterKmipServer,
        MANAGE,
        command="add-key-server",
        arguments=(*_server(0), _ANY_VENDOR),
        example="add-key-server KMS kms1 192.0.2.7",
    ),
    Row(
        UpdateKmipServer,
        MANAGE,
        command="update-key-server",
        arguments=_server(-1),
        example="update-key-server KMS kms1 192.0.2.8",
        records=True,
    ),
    Row(
        RemoveKmipServer,
        MANAGE,
        command="remove-key-server",
        arguments=(_PROVIDER, _SERVER_NAME),
        example="remove-key-server KMS kms1",
        records=True,
    ),
    Row(
        RegisterKmsCluster,
        MANAGE,
        command="register-provider",
        arguments=(_PROVIDER,),
        example="register-provider TKP",
        records=True,
    ),
    Row(
        UnregisterKmsCluster,
        MANAGE,
        command="remove-provider",
        arguments=(_PROVIDER,),
        example="remove-provider KMS",
        records=True,
    ),
    Row(
        ConfigureWrappingKey,
        MANAGE,
        command="use-wrapping-key",
        arguments=(_PROVIDER, *_WRAPPING),
        example="use-wrapping-key KMS --days 90",
        records=True,
    ),
    Row(
        ListKmsClusters,
        READ,
        command="key-providers",
        arguments=(
            Argument("--types", "managementTypeFilter", _BITS, help="Sum of types to list."),
            Argument("--status", "statusFilter", _BITS, help="1: active ones, 2: inactive ones."),
        ),
    ),
    Row(ListKmipServers, READ),
    Row(RetrieveKmipServersStatus, MANAGE, command="status"),
    Row(IsKmsClusterActive, MANAGE),
    Row(
        SetDefaultKmsCluster,
        MANAGE,
        command="mark-default",
        arguments=(
            _PROVIDER,
            Argument("--entity", "entity", help="Only there: cluster/NAME, folder/NAME."),
        ),
        example="mark-default KMS --entity cluster/production",
        records=True,
    ),
    Row(MarkDefault, MANAGE, records=True),
    Row(
        ClearDefaultKmsCluster,
        MANAGE,
        command="clear-default",
        arguments=(Argument("--entity", "entity", help="Only there: cluster/NAME, folder/NAME."),),
        example="clear-default --entity cluster/production",
        records=True,
    ),
    Row(
        GetDefaultKmsCluster,
        READ,
        command="default-provider",
        arguments=(
            Argument("--entity", "entity", help="Of a cluster or folder."),
            Argument("--or-parent", "defaultsToParent", bool, help="Also look at its parents."),
        ),
    ),
    Row(
        RetrieveKmipServerCert,
        MANAGE,
        command="server-certificate",
        arguments=(_PROVIDER, _SERVER_NAME),
        example="server-certificate KMS kms1",
    ),
    Row(
        UploadKmipServerCert,
        MANAGE,
        command="trust-server",
        arguments=(_PROVIDER, CERTIFICATE),
        example="trust-server KMS kms1.pem",
        records=True,
    ),
    Row(RetrieveRootCert, MANAGE, command="root-certificate"),
    Row(
        IssueClientCert,
        MANAGE,
        command="issue-client-certificate",
        arguments=(_PROVIDER, _SUBJECT),
        example="issue-client-certificate KMS",
        records=True,
    ),
    Row(
        GenerateSelfSignedClientCert,
        MANAGE,
        command="new-client-certificate",
        arguments=(_PROVIDER, _SUBJECT),
        example="new-client-certificate KMS --subject commonName=vc1",
        records=True,
    ),
    Row(RetrieveSelfSignedClientCert, MANAGE),
    Row(
        GenerateClientCsr,
        MANAGE,
        command="new-client-request",
        arguments=(_PROVIDER, _SUBJECT),
        example="new-client-request KMS --subject commonName=vc1",
        records=True,
    ),
    Row(RetrieveClientCsr, MANAGE),
    Row(
        UpdateSelfSignedClientCert,
        MANAGE,
        command="use-client-certificate",
        arguments=(
            _PROVIDER,
            Argument("--signed", "certificate", TEXT_FILE, help="The signed certificate."),
        ),
        example="use-client-certificate KMS --signed vc1.pem",
        records=True,
    ),
    Row(UpdateKmsSignedCsrClientCert, MANAGE, records=True),
    Row(
        UploadClientCert,
        MANAGE,
        command="upload-client-certificate",
        arguments=(_PROVIDER, CERTIFICATE, Argument("KEY", "privateKey", TEXT_FILE)),
        example="upload-client-certificate KMS client.pem client.key",
        records=True,
    ),
    Row(
        RetrieveClientCert,
        MANAGE,
        command="client-certificate",
        arguments=(_PROVIDER,),
        example="client-certificate KMS",
    ),
)
