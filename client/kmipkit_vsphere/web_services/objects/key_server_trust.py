"""Trust between vCenter and the key servers of a provider, in both directions (vsphere.md §4.5)."""

from typing import TYPE_CHECKING, Annotated

from kmipkit_vsphere.vcenter.calls import providers as provider_calls
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.web_services.managed import method
from kmipkit_vsphere.web_services.objects.crypto_manager import CryptoManager
from kmipkit_vsphere.web_services.objects.key_providers import certificate_info, server_members
from kmipkit_vsphere.web_services.requests import request, run
from kmipkit_vsphere.web_services.vim25.declaration import Since
from kmipkit_vsphere.web_services.vim25.key_management import (
    CryptoManagerKmipCertSignRequest,
    CryptoManagerKmipServerCertInfo,
    KmipServerInfo,
)
from kmipkit_vsphere.web_services.vim25.keys import KeyProviderId

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_SUBJECT = Annotated[CryptoManagerKmipCertSignRequest | None, Since("8.0.1.0")]
_NAMES = {"clusterId": "cluster"}


class KeyServerTrust(CryptoManager, mixin=True):
    """The methods of ``CryptoManagerKmip`` about certificates."""

    # vCenter trusts the key server ------------------------------------------------------------------

    @method("RetrieveKmipServerCert", since="6.5")
    async def retrieve_kmip_server_cert(
        self, call: "Call", key_provider: KeyProviderId, server: KmipServerInfo
    ) -> CryptoManagerKmipServerCertInfo:
        """The certificate that a key server shows, which need not be trusted, or registered."""
        members = {
            "clusterId": key_provider.id,
            "serverName": server.name,
            "server": server_members(server),
        }
        names = {"clusterId": "keyProvider", "serverName": "server.name"}
        of_vcenter = request(provider_calls.RetrieveKmipServerCert, members, names)
        found = await run(call, of_vcenter, "keyProvider")
        info = found.cert_info
        trust = call.vcenter.crypto.providers.trust
        return CryptoManagerKmipServerCertInfo(
            certificate=found.certificate,
            cert_info=certificate_info(info) if info is not None else None,
            client_trust_server=trust.has_uploaded(key_provider.id, found.certificate)
            if found.certificate
            else None,
        )

    @method("UploadKmipServerCert", since="6.5")
    async def upload_kmip_server_cert(
        self, call: "Call", cluster: KeyProviderId, certificate: str
    ) -> None:
        """Trust the key servers that show this certificate."""
        await _certificate(call, provider_calls.UploadKmipServerCert, cluster, certificate)

    # The key server trusts vCenter ------------------------------------------------------------------

    @method("GenerateSelfSignedClientCert", since="6.5")
    async def generate_self_signed_client_cert(
        self, call: "Call", cluster: KeyProviderId, request: _SUBJECT
    ) -> str:
        """A new certificate, which is used after the update."""
        kind = provider_calls.GenerateSelfSignedClientCert
        return await _generated(call, kind, cluster, request)

    @method("GenerateClientCsr", since="6.5")
    async def generate_client_csr(
        self, call: "Call", cluster: KeyProviderId, request: _SUBJECT
    ) -> str:
        """A new signing request; its private key never leaves vCenter."""
        return await _generated(call, provider_calls.GenerateClientCsr, cluster, request)

    @method("RetrieveSelfSignedClientCert", since="6.5")
    async def retrieve_self_signed_client_cert(self, call: "Call", cluster: KeyProviderId) -> str:
        """The certificate that was generated last; empty if none was."""
        return await _retrieved(call, provider_calls.RetrieveSelfSignedClientCert, cluster)

    @method("RetrieveClientCsr", since="6.5")
    async def retrieve_client_csr(self, call: "Call", cluster: KeyProviderId) -> str:
        """The signing request that was generated last; empty if none was."""
        return await _retrieved(call, provider_calls.RetrieveClientCsr, cluster)

    @method("RetrieveClientCert", since="6.5")
    async def retrieve_client_cert(self, call: "Call", cluster: KeyProviderId) -> str:
        """The certificate that vCenter shows to the servers; empty if it has none."""
        return await _retrieved(call, provider_calls.RetrieveClientCert, cluster)

    @method("UpdateSelfSignedClientCert", since="6.5")
    async def update_self_signed_client_cert(
        self, call: "Call", cluster: KeyProviderId, certificate: str
    ) -> None:
        """Use the certificate that was generated."""
        await _certificate(call, provider_calls.UpdateSelfSignedClientCert, cluster, certificate)

    @method("UpdateKmsSignedCsrClientCert", since="6.5")
    async def update_kms_signed_csr_client_cert(
        self, call: "Call", cluster: KeyProviderId, certificate: str
    ) -> None:
        """Use the certificate that was issued for the signing request."""
        kind = provider_calls.UpdateKmsSignedCsrClientCert
        await _certificate(call, kind, cluster, certificate)

    @method("UploadClientCert", since="6.5")
    async def upload_client_cert(
        self, call: "Call", cluster: KeyProviderId, certificate: str, private_key: str
    ) -> None:
        """Use a certificate and a key that the key server issued."""
        members = {
            "clusterId": cluster.id,
            "certificate": certificate,
            "privateKey": private_key,
        }
        of_vcenter = request(provider_calls.UploadClientCert, members, _NAMES)
        await run(call, of_vcenter, "cluster")


async def _generated(
    call: "Call",
    kind: type[VCenterRequest[str]],
    cluster: KeyProviderId,
    subject: CryptoManagerKmipCertSignRequest | None,
) -> str:
    members = {"clusterId": cluster.id, "request": _subject_members(subject)}
    return await run(call, request(kind, members, _NAMES), "cluster")


async def _retrieved(call: "Call", kind: type[VCenterRequest[str]], cluster: KeyProviderId) -> str:
    return await run(call, request(kind, {"clusterId": cluster.id}, _NAMES), "cluster")


async def _certificate(
    call: "Call",
    kind: type[VCenterRequest[provider_calls.CertificateInfo]],
    cluster: KeyProviderId,
    certificate: str,
) -> None:
    members = {"clusterId": cluster.id, "certificate": certificate}
    await run(call, request(kind, members, _NAMES), "cluster")


def _subject_members(subject: CryptoManagerKmipCertSignRequest | None) -> dict[str, str]:
    """The parts of the subject that are set, by their names in the API."""
    if subject is None:
        return {}
    parts = {
        "commonName": subject.common_name,
        "organization": subject.organization,
        "organizationUnit": subject.organization_unit,
        "locality": subject.locality,
        "state": subject.state,
        "country": subject.country,
        "email": subject.email,
    }
    return {name: text for name, text in parts.items() if text}
