"""The calls of a Trust Authority host: those of its vCenter, and those of trusted hosts (§7.3, §7.4).

A trusted host attests in two rounds, :class:`Challenge` and :class:`Attest`, and then gets keys
with :class:`NewKey` and :class:`UnwrapKey`.
"""

from datetime import datetime

from kmipkit_vsphere.model.message import LongText, Message, Text, field
from kmipkit_vsphere.providers.kmip_access import KmipAccess
from kmipkit_vsphere.rpc.call import Query, Request
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.measurements import Event, Image
from kmipkit_vsphere.trust_authority.primary_key import PrimaryKeyMode

# Attestation -------------------------------------------------------------------------------------


class AttestationChallenge(Message):
    """What the TPM must answer: a credential that only it can open, and a nonce to quote."""

    context: Text
    credential_blob: bytes
    encrypted_secret: bytes
    nonce: bytes
    attested: bool = False


class Challenge(Request[AttestationChallenge]):
    """First round: the endorsement key, the attestation key, and the key for sealed answers."""

    host_id: Text
    ek_public: bytes
    ak_public: bytes
    answer_key: bytes
    ek_certificate: bytes | None = None


class AttestationResult(Message):
    """The tokens of an attested host, by their kind."""

    service_id: Text
    until: datetime
    documents: dict[str, str]
    attested: bool = True


class Attest(Request[AttestationResult]):
    """Second round: the opened secret, the quote with its signature, and the event log."""

    context: Text
    secret: bytes
    attest: bytes
    signature: bytes
    events: tuple[Event, ...]


# Keys --------------------------------------------------------------------------------------------


class SealedKey(Message):
    """A key-encryption key, sealed to the holder of a token; its id is the wrapped key."""

    key_id: Text
    sealed_key: bytes


class NewKey(Request[SealedKey]):
    """Create a key of a trusted key provider."""

    provider: Text
    token: LongText | None = None


class UnwrapKey(Request[SealedKey]):
    """Get the key of an id."""

    provider: Text
    key_id: Text
    token: LongText | None = None


# Configuration -----------------------------------------------------------------------------------


class ServiceIdentity(Message):
    """The id of an Attestation Service, and the public key (PEM) that verifies its tokens."""

    service_id: Text
    public_key: LongText


class ServiceInfo(Query[ServiceIdentity]):
    """Ask a Trust Authority host who it is."""


class TrustedProvider(Message):
    """A trusted key provider: its primary key, what is done with it, and how to reach the servers.

    ``previous_key_ids`` are primary keys from before a rotation, the latest first: they only unwrap.
    """

    primary_key_id: Text
    access: KmipAccess
    mode: PrimaryKeyMode = PrimaryKeyMode.FETCH
    previous_key_ids: tuple[str, ...] = ()


class TrustConfiguration(Message):
    """Everything that a Trust Authority host is told; it stores this as it is.

    ``principals`` are the authorities (PEM) of workload vCenters, ``attestation_keys`` the public
    keys of the group's services, ``digest`` what the vCenter compares with its own configuration.
    """

    group: str | None = None
    principals: dict[str, str] = field(default_factory=dict)
    anchors: Anchors = Anchors()
    images: tuple[Image, ...] = ()
    providers: dict[str, TrustedProvider] = field(default_factory=dict)
    attestation_keys: dict[str, str] = field(default_factory=dict)
    digest: str | None = None


class ApplyConfiguration(Request[None]):
    """Replace the configuration."""

    configuration: TrustConfiguration


class ProviderHealth(Message, omit_defaults=True):
    """A trusted key provider as one service sees it; without a problem it can be used."""

    mode: PrimaryKeyMode
    primary_key_id: str
    problem: str | None = None


class TrustAuthorityHealth(Message):
    """The applied configuration, and the state of each trusted key provider."""

    digest: str | None
    providers: dict[str, ProviderHealth]


class Health(Query[TrustAuthorityHealth]):
    """Ask a Trust Authority host which configuration it has, and whether its keys can be had."""


class CheckPrimaryKey(Request[ProviderHealth]):
    """Ask a Trust Authority host whether it could use a provider, before it is configured."""

    name: Text
    provider: TrustedProvider
