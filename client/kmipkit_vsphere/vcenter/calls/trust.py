"""The trust authority and trusted clusters (vsphere.md §7.3).

All calls but one are for members of the group TrustedAdmins only (R29). The role of an
administrator is not enough, nor is a role with all TrustedAdmin privileges: whoever administers
machines must not be able to decide which hosts are trusted (vsphere.md §5.2).
"""

from functools import partial
from typing import Final

from kmipkit_vsphere.calls.host import HostAttestation
from kmipkit_vsphere.model.message import LongText, Message, Port, Text
from kmipkit_vsphere.vcenter.calls.arguments import CERTIFICATE, NAME
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import PORT, TEXT_FILE
from kmipkit_vsphere.vcenter.privileges import Privilege

Problems = dict[str, str | None]
"""Host to what went wrong, None if nothing did."""

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


class RemoveImage(VCenterRequest[None]):
    """Stop accepting a base image."""

    name: Text
    version: Text


class PublishTrustedProvider(VCenterRequest[None]):
    """Publish a trusted key provider: a standard one and a primary key on its servers."""

    provider: Text
    primary_key_id: Text


class WithdrawTrustedProvider(VCenterRequest[None]):
    """Withdraw a trusted key provider."""

    provider: Text


class TrustAuthorityHostHealth(Message):
    """Whether a host has applied the desired configuration, and what is wrong."""

    applied: bool
    problems: list[str]


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


class AttestationStatus(VCenterRequest[dict[str, HostAttestation]]):
    """Show which hosts of a cluster are attested, by which service, until when."""

    name: Text


# Rows --------------------------------------------------------------------------------------------

_PROVIDER = Argument("PROVIDER", "provider")
_TrustRow = partial(Row, trusted_admins_only=True, records=True)
_TrustQuery = partial(Row, trusted_admins_only=True)

ROWS: Final = (
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
        arguments=(_PROVIDER, Argument("KEY", "primaryKeyId")),
        example="publish-provider TKP 1b2c",
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
    Row(
        AttestationStatus,
        Privilege.VIEW,
        command="attestation",
        arguments=(NAME,),
        example="attestation production",
    ),
)
