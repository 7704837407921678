"""Key providers, their key servers, trust between both sides, and the states of keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import KeyValue
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Name, Ref, Since
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId, KeyProviderId
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus

# Providers and servers ---------------------------------------------------------------------------


class KmipServerInfo(DataObject, since="6.5"):
    """A key server. An empty text or -1 removes an optional setting."""

    name: str
    address: str
    port: int
    proxy_address: str | None = None
    proxy_port: int | None = None
    reconnect: int | None = None
    protocol: str | None = None
    nbio: int | None = None
    timeout: int | None = None
    user_name: str | None = None


class KmipServerSpecKeySpec(DataObject, since="9.0.0.0", abstract=True):
    """Which wrapping key a provider is to have."""


class KmipServerSpecWrappingKeyIdKeySpec(KmipServerSpecKeySpec, since="9.0.0.0"):
    """One that is on the key server already."""

    key_id: str


class KmipServerSpecWrappingRotationIntervalKeySpec(KmipServerSpecKeySpec, since="9.0.0.0"):
    """One that vCenter makes, and replaces after so many days."""

    rotation_interval: int | None = None


class KmipServerSpec(DataObject, since="6.5"):
    """A key server to add or to change, with its key provider."""

    cluster_id: KeyProviderId
    info: KmipServerInfo
    password: str | None = None
    default_key_type: Annotated[str | None, Since("9.0.0.0")] = None
    key_spec: Annotated[KmipServerSpecKeySpec | None, Since("9.0.0.0")] = None


class KmipClusterInfoKeyInfo(DataObject, since="9.0.0.0", abstract=True):
    """The wrapping key of a provider."""


class KmipClusterInfoWrappingKeyIdKeyInfo(KmipClusterInfoKeyInfo, since="9.0.0.0"):
    """One that an administrator has chosen."""

    key_id: str
    configured_time: datetime


class KmipClusterInfoWrappingRotationIntervalKeyInfo(KmipClusterInfoKeyInfo, since="9.0.0.0"):
    """One that vCenter makes, and replaces at an interval in days."""

    key_id: str | None = None
    rotation_interval: int | None = None
    last_rotation: datetime | None = None


class KmipClusterInfo(DataObject, since="6.5"):
    """A key provider."""

    cluster_id: KeyProviderId
    servers: Sequence[KmipServerInfo] = ()
    use_as_default: bool
    management_type: Annotated[str | None, Since("7.0.0.0")] = None
    use_as_entity_default: Annotated[Sequence[Ref], Since("7.0.0.0")] = ()
    has_backup: Annotated[bool | None, Since("7.0.2.0")] = None
    tpm_required: Annotated[bool | None, Since("7.0.2.0")] = None
    key_id: Annotated[str | None, Since("7.0.2.0")] = None
    default_key_type: Annotated[str | None, Since("9.0.0.0")] = None
    key_info: Annotated[KmipClusterInfoKeyInfo | None, Since("9.0.0.0")] = None


# Trust and status --------------------------------------------------------------------------------


class CryptoManagerKmipCertificateInfo(DataObject, since="6.5"):
    """A certificate."""

    subject: str
    issuer: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    check_time: datetime
    seconds_since_valid: int | None = None
    seconds_before_expire: int | None = None


class CryptoManagerKmipServerStatus(DataObject, since="6.5"):
    """The status of a key server."""

    name: str
    status: ManagedEntityStatus
    connection_status: str
    cert_info: CryptoManagerKmipCertificateInfo | None = None
    client_trust_server: bool | None = None
    server_trust_client: bool | None = None


class CryptoManagerKmipClusterStatus(DataObject, since="6.5"):
    """The status of a key provider."""

    cluster_id: KeyProviderId
    overall_status: Annotated[ManagedEntityStatus | None, Since("7.0.0.0")] = None
    management_type: Annotated[str | None, Since("7.0.0.0")] = None
    servers: Sequence[CryptoManagerKmipServerStatus] = ()
    client_cert_info: CryptoManagerKmipCertificateInfo | None = None


class CryptoManagerKmipServerCertInfo(DataObject, since="6.5"):
    """The certificate that a key server shows; empty if there is none."""

    certificate: str
    cert_info: CryptoManagerKmipCertificateInfo | None = None
    client_trust_server: bool | None = None


class CryptoManagerKmipCertSignRequest(DataObject, since="8.0.1.0"):
    """The subject of a certificate."""

    common_name: str | None = None
    organization: str | None = None
    organization_unit: str | None = None
    locality: str | None = None
    state: str | None = None
    country: str | None = None
    email: str | None = None


# Keys --------------------------------------------------------------------------------------------


class CryptoManagerKmipCustomAttributeSpec(DataObject, since="8.0.1.0"):
    """Attributes for a key on the key server."""

    attributes: Sequence[KeyValue] = ()


class CryptoManagerKmipGenerateKeySpec(DataObject, since="9.0.0.0"):
    """Which type of key to make."""

    key_type: str | None = None


class CryptoManagerKmipCryptoKeyStatusKeyInfo(DataObject, since="9.0.0.0"):
    """The wrapping key that a wrapped key needs."""

    key_id: str


class CryptoManagerKmipCryptoKeyStatusWrappingKeyIdKeyInfo(
    CryptoManagerKmipCryptoKeyStatusKeyInfo, since="9.0.0.0"
):
    """One that an administrator has chosen."""

    configured_time: datetime | None = None


class CryptoManagerKmipCryptoKeyStatusWrappingRotationIntervalKeyInfo(
    CryptoManagerKmipCryptoKeyStatusKeyInfo, since="9.0.0.0"
):
    """One that vCenter had made."""

    create_time: datetime | None = None
    rotate_time: datetime | None = None


class CryptoManagerKmipCryptoKeyStatus(DataObject, since="6.7.2"):
    """Whether a key is available, and what uses it; what was not asked for is not set."""

    key_id: CryptoKeyId
    key_available: bool | None = None
    reason: str | None = None
    key_info: Annotated[CryptoManagerKmipCryptoKeyStatusKeyInfo | None, Since("9.0.0.0")] = None
    encrypted_vms: Annotated[Sequence[Ref], Name("encryptedVMs")] = ()
    affected_hosts: Sequence[Ref] = ()
    referenced_by_tags: Sequence[str] = ()


class CryptoManagerHostKeyStatus(DataObject, since="8.0.1.0"):
    """Whether a host has a key."""

    key_id: CryptoKeyId
    present: bool
    management_type: str | None = None
    access_granted: Annotated[bool | None, Since("8.0.3.0")] = None
