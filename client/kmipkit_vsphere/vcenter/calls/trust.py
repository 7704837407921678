"""The trust authority and trusted clusters (vsphere.md §7.3).

Nearly all calls are for members of the group TrustedAdmins only (R29). The role of an
administrator is not enough, nor is a role with all TrustedAdmin privileges: whoever administers
machines must not be able to decide which hosts are trusted (vsphere.md §5.2).
"""

from functools import partial
from typing import Final

import click

from kmipkit_vsphere.calls.host import HostAttestation
from kmipkit_vsphere.model.message import LongText, Message, Port, Text, field
from kmipkit_vsphere.trust_authority.calls import ProviderHealth
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.primary_key import PrimaryKeyMode
from kmipkit_vsphere.vcenter.calls.arguments import CERTIFICATE, HOST, NAME
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import PORT, TEXT_FILE
from kmipkit_vsphere.vcenter.privileges import Privilege

Problems = dict[str, str | None]
"""Host to what went wrong, None if nothing did."""

# The group TrustedAdmins -------------------------------------------------------------------------


class ListTrustedAdmins(VCenterQuery[list[str]]):
    """List who administers the trust authority, or the trusted clusters."""


class AddTrustedAdmin(VCenterRequest[None]):
    """Add a user to the group TrustedAdmins; only members do so, once there is one."""

    member: Text


class RemoveTrustedAdmin(VCenterRequest[None]):
    """Remove a user from the group TrustedAdmins, but not the last one."""

    member: Text


# The trust authority -----------------------------------------------------------------------------


class TrustAuthorityHostAdded(Message):
    """The id of the new host's service, and the outcome of configuring each host."""

    service_id: str
    health: Problems


class TrustAuthorityAddHost(VCenterRequest[TrustAuthorityHostAdded]):
    """Add a Trust Authority host to the trust authority of this vCenter."""

    name: Text
    address: Text
    port: Port
    service_port: Port


class ImportPrincipal(VCenterRequest[None]):
    """Admit the hosts of a workload vCenter, by the authority of their certificates."""

    name: Text
    certificate: LongText


class RemovePrincipal(VCenterRequest[None]):
    """Stop admitting the hosts of a workload vCenter."""

    name: Text


class AddTpmAuthority(VCenterRequest[None]):
    """Trust the TPMs of a manufacturer, by its certificate authority."""

    certificate: LongText


class AddEndorsementKey(VCenterRequest[str]):
    """Register a single TPM, by its endorsement certificate or public key."""

    name: Text
    certificate: LongText


class SetTpmSettings(VCenterRequest[None]):
    """Set the requirements for a TPM."""

    require_endorsement_keys: bool = False
    accept_uncertified: bool = False


class ImportImage(VCenterRequest[None]):
    """Accept a base image, by its manifest."""

    manifest: LongText


class ListImages(VCenterQuery[list[Image]]):
    """List the base images that are accepted."""


class ExportImage(VCenterRequest[str]):
    """Print the manifest of the base image that a host has booted, for the trust authority."""

    host: Text


class RemoveImage(VCenterRequest[None]):
    """Stop accepting a base image."""

    name: Text
    version: Text


class PublishTrustedProvider(VCenterRequest[None]):
    """Publish a trusted key provider: a standard one and a primary key on its servers."""

    provider: Text
    primary_key_id: Text
    mode: PrimaryKeyMode = PrimaryKeyMode.FETCH


class TrustedProviderInfo(Message):
    """A trusted key provider; primary keys from before a rotation still unwrap keys."""

    provider: Text
    primary_key_id: Text
    mode: PrimaryKeyMode = PrimaryKeyMode.FETCH
    previous_key_ids: tuple[str, ...] = ()


class ListTrustedProviders(VCenterQuery[list[TrustedProviderInfo]]):
    """List the trusted key providers, with their primary keys and modes."""


class SetPrimaryKeyMode(VCenterRequest[None]):
    """Choose whether the services fetch a primary key, or have the key server encrypt with it."""

    provider: Text
    mode: PrimaryKeyMode


class RotatePrimaryKey(VCenterRequest[None]):
    """Wrap new keys with another primary key; re-encrypt machines to stop using the old one."""

    provider: Text
    primary_key_id: Text


class RemovePrimaryKey(VCenterRequest[None]):
    """Stop using a primary key from before a rotation; what it wrapped cannot be opened any more."""

    provider: Text
    primary_key_id: Text


class WithdrawTrustedProvider(VCenterRequest[None]):
    """Withdraw a trusted key provider."""

    provider: Text


class TrustAuthorityHostHealth(Message):
    """Whether a host has applied the desired configuration, and what is wrong."""

    applied: bool
    problems: list[str]
    providers: dict[str, ProviderHealth] = field(default_factory=dict)
    answers: bool = True


class TrustAuthorityHealth(VCenterQuery[dict[str, TrustAuthorityHostHealth]]):
    """Show whether the Trust Authority hosts have applied the desired configuration."""


class TrustAuthorityRemediate(VCenterRequest[Problems]):
    """Push the desired configuration to the Trust Authority hosts again."""


class ExportTrustServices(VCenterQuery[str]):
    """Print the addresses of the services, for a workload vCenter."""


# Trusted clusters --------------------------------------------------------------------------------


class ImportTrustServices(VCenterRequest[list[str]]):
    """Import the addresses of the services of a trust authority."""

    document: LongText


class EnableTrustedCluster(VCenterRequest[Problems]):
    """Make a cluster trusted: its hosts get keys from the trust authority."""

    name: Text


class RemediateTrustedCluster(VCenterRequest[Problems]):
    """Send the addresses of the services to the hosts of a trusted cluster again."""

    name: Text


class DecommissionHost(VCenterRequest[None]):
    """Make an ordinary host of a trusted one, before it leaves its trusted cluster."""

    host: Text


class AttestationStatus(VCenterRequest[dict[str, HostAttestation]]):
    """Show which hosts of a cluster are attested, by which service, until when."""

    name: Text


# Rows --------------------------------------------------------------------------------------------

_PROVIDER = Argument("PROVIDER", "provider")
_PRIMARY_KEY = Argument("KEY", "primaryKeyId")
_MODE = click.Choice([mode.value for mode in PrimaryKeyMode])
_TrustRow = partial(Row, trusted_admins_only=True, records=True)
_TrustQuery = partial(Row, trusted_admins_only=True)

ROWS: Final = (
    Row(ListTrustedAdmins, Privilege.READ_TRUSTED_HOSTS, command="trusted-admins"),
    Row(
        AddTrustedAdmin,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="add-trusted-admin",
        arguments=(Argument("MEMBER", "member"),),
        example="add-trusted-admin grace",
        records=True,
    ),
    Row(
        RemoveTrustedAdmin,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="remove-trusted-admin",
        arguments=(Argument("MEMBER", "member"),),
        example="remove-trusted-admin grace",
        records=True,
    ),
    _TrustRow(
        TrustAuthorityAddHost,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="add-trust-authority-host",
        arguments=(
            NAME,
            Argument("ADDRESS", "address"),
            Argument("PORT", "port", PORT),
            Argument("SERVICE_PORT", "servicePort", PORT),
        ),
        example="add-trust-authority-host ta1 192.0.2.21 5990 5991",
    ),
    _TrustRow(
        ImportPrincipal,
        Privilege.MANAGE_ATTESTING_SSO,
        command="import-principal",
        arguments=(NAME, CERTIFICATE),
        example="import-principal workload roles-ca.crt",
    ),
    _TrustRow(
        RemovePrincipal,
        Privilege.MANAGE_ATTESTING_SSO,
        command="remove-principal",
        arguments=(NAME,),
        example="remove-principal workload",
    ),
    _TrustRow(
        AddTpmAuthority,
        Privilege.CONFIGURE_HOST_CERTIFICATES,
        command="add-tpm-authority",
        arguments=(CERTIFICATE,),
        example="add-tpm-authority manufacturer.pem",
    ),
    _TrustRow(
        AddEndorsementKey,
        Privilege.CONFIGURE_HOST_CERTIFICATES,
        command="add-endorsement-key",
        arguments=(NAME, CERTIFICATE),
        example="add-endorsement-key esx01 ek.pem",
    ),
    _TrustRow(
        SetTpmSettings,
        Privilege.CONFIGURE_HOST_CERTIFICATES,
        command="tpm-settings",
        arguments=(
            Argument("--require-endorsement-keys", "requireEndorsementKeys", bool),
            Argument("--accept-uncertified", "acceptUncertified", bool),
        ),
        example="tpm-settings --require-endorsement-keys",
    ),
    _TrustRow(
        ImportImage,
        Privilege.CONFIGURE_HOST_METADATA,
        command="import-image",
        arguments=(Argument("MANIFEST", "manifest", TEXT_FILE),),
        example="import-image esxi-8.0.3.json",
    ),
    _TrustQuery(
        ExportImage,
        Privilege.RETRIEVE_HOST_METADATA,
        command="export-image",
        arguments=(HOST,),
        example="export-image esx01 > esxi-8.0.3.json",
    ),
    _TrustQuery(ListImages, Privilege.READ_TRUSTED_HOSTS, command="images"),
    _TrustRow(
        RemoveImage,
        Privilege.CONFIGURE_HOST_METADATA,
        command="remove-image",
        arguments=(NAME, Argument("VERSION", "version")),
        example="remove-image ESXi 8.0.2",
    ),
    _TrustRow(
        PublishTrustedProvider,
        Privilege.MANAGE_KMS_TRUST,
        command="publish-provider",
        arguments=(
            _PROVIDER,
            _PRIMARY_KEY,
            Argument("--mode", "mode", _MODE, help="Fetch the key, or use it on the key server."),
        ),
        example="publish-provider TKP 1b2c --mode use",
    ),
    _TrustQuery(ListTrustedProviders, Privilege.READ_KMS_TRUST, command="trusted-providers"),
    _TrustRow(
        SetPrimaryKeyMode,
        Privilege.MANAGE_KMS_TRUST,
        command="set-primary-key-mode",
        arguments=(_PROVIDER, Argument("MODE", "mode", _MODE)),
        example="set-primary-key-mode TKP use",
    ),
    _TrustRow(
        RotatePrimaryKey,
        Privilege.MANAGE_KMS_TRUST,
        command="rotate-primary-key",
        arguments=(_PROVIDER, _PRIMARY_KEY),
        example="rotate-primary-key TKP 7f0a",
    ),
    _TrustRow(
        RemovePrimaryKey,
        Privilege.MANAGE_KMS_TRUST,
        command="remove-primary-key",
        arguments=(_PROVIDER, _PRIMARY_KEY),
        example="remove-primary-key TKP 1b2c",
    ),
    _TrustRow(
        WithdrawTrustedProvider,
        Privilege.MANAGE_KMS_TRUST,
        command="withdraw-provider",
        arguments=(_PROVIDER,),
        example="withdraw-provider TKP",
    ),
    _TrustQuery(
        TrustAuthorityHealth, Privilege.READ_TRUSTED_HOSTS, command="trust-authority-health"
    ),
    _TrustRow(
        TrustAuthorityRemediate,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="trust-authority-remediate",
    ),
    _TrustQuery(
        ExportTrustServices,
        Privilege.READ_TRUSTED_HOSTS,
        command="export-trust-services",
        example="export-trust-services > services.json",
    ),
    _TrustRow(
        ImportTrustServices,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="import-trust-services",
        arguments=(Argument("DOCUMENT", "document", TEXT_FILE),),
        example="import-trust-services services.json",
    ),
    _TrustRow(
        EnableTrustedCluster,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="enable-trusted-cluster",
        arguments=(NAME,),
        example="enable-trusted-cluster production",
    ),
    _TrustRow(
        RemediateTrustedCluster,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="remediate-trusted-cluster",
        arguments=(NAME,),
        example="remediate-trusted-cluster production",
    ),
    _TrustRow(
        DecommissionHost,
        Privilege.MANAGE_TRUSTED_HOSTS,
        command="decommission-host",
        arguments=(HOST,),
        example="decommission-host esx01",
    ),
    Row(
        AttestationStatus,
        Privilege.VIEW,
        command="attestation",
        arguments=(NAME,),
        example="attestation production",
    ),
)
