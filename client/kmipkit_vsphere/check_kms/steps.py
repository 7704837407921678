"""The table of the steps, in the order in which they are played.

A step is what vCenter does at one moment. Its sources are clauses of KMIP 1.1, the version that vCenter
uses, and the recorded conversation of a real vCenter 7.0.3 ("recorded"); see docs/check-kms.md.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kmipkit.spec.enums import Operation
from kmipkit_vsphere.check_kms import exchange_steps as exchange
from kmipkit_vsphere.check_kms import findings, key_steps, outage_steps, provider_steps
from kmipkit_vsphere.check_kms import trust_steps as trust
from kmipkit_vsphere.check_kms.findings import Symptom
from kmipkit_vsphere.check_kms.subject import Subject


def _always(_subject: Subject) -> str:
    return ""


def _needs_sign(subject: Subject) -> str:
    return "" if subject.endpoint.settings.commands.sign else "--sign-command was not given"


def _needs_trust(subject: Subject) -> str:
    return "" if subject.endpoint.settings.commands.trust else "--trust-command was not given"


def _needs_renewal(subject: Subject) -> str:
    given = subject.endpoint.settings.renewed is not None or subject.endpoint.settings.commands.sign
    return "" if given else "neither --new-cert nor --sign-command was given"


def _needs_user(subject: Subject) -> str:
    return "" if subject.endpoint.settings.login is not None else "--user was not given"


def _needs_replica(subject: Subject) -> str:
    return "" if subject.replicas else "--replica was not given"


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the life of a key provider, and what is checked in it."""

    name: str
    moment: str
    """What vCenter does."""
    source: str
    run: Callable[[Subject], Awaitable[str]]
    """Plays it; the result says what was observed. KMIPError if the server does not do its part."""
    symptom: Symptom
    advice: str
    """What the vendor should do if the step fails, unless the finding says more."""
    needs: tuple[str, ...] = ()
    """Steps that must have passed."""
    needs_any: tuple[str, ...] = ()
    """Steps of which one must have passed."""
    advice_on: tuple[Operation, ...] = ()
    """Operations whose refusal the advice is for; for others see :mod:`.operation_advice`."""
    optional: bool = False
    """Whether vCenter goes on without it: a failure is a warning."""
    obstacle: Callable[[Subject], str] = _always
    """Why the step cannot be played; empty if it can."""


TRUST: Final = (
    Step(
        "connect",
        "An administrator adds the key server: vCenter connects to its address.",
        "KMIP 1.1 §10; recorded",
        trust.connect,
        findings.UNREACHABLE,
        "Let vCenter reach the port; hosts do not need to.",
    ),
    Step(
        "tls",
        "vCenter fetches the certificate of the key server and shows it to the administrator.",
        "RetrieveKmipServerCert; KMIP Profiles 2.1 §3.1",
        trust.look,
        findings.UNREACHABLE,
        "Offer TLS 1.2 or later with a server certificate.",
        needs=("connect",),
    ),
    Step(
        "server-trust",
        "The administrator compares the certificate; it leads to the authority of the key server.",
        "clientTrustServer; RFC 5280 §6",
        trust.trust_server,
        findings.SERVER_NOT_TRUSTED,
        "Give --ca the authority that issued the server's certificate, or issue a new certificate for"
        " the name under which vCenter connects. Otherwise an administrator has to upload the"
        " certificate (server-upload).",
        needs=("tls",),
    ),
    Step(
        "server-upload",
        "The administrator confirms: from now on vCenter trusts this one certificate.",
        "UploadKmipServerCert",
        trust.pin,
        findings.SERVER_NOT_TRUSTED,
        "Present one certificate to vCenter until an administrator has uploaded the next one.",
        needs=("tls",),
    ),
    Step(
        "client-trust",
        "vCenter shows its client certificate, and the key server accepts it.",
        "serverTrustClient; KMIP Profiles 2.1 §3.1.3",
        trust.trust_client,
        findings.CLIENT_NOT_TRUSTED,
        "Make vCenter's certificate or its authority known to the key server.",
        needs_any=("server-trust", "server-upload"),
    ),
    Step(
        "tls-1.2",
        "The same from a vCenter without TLS 1.3, such as 7.0.",
        "recorded: TLS 1.2",
        trust.connect_with_tls_1_2,
        findings.UNREACHABLE,
        "Offer TLS 1.2 with ECDHE and AES-GCM, besides TLS 1.3, as long as you support vCenter 7.0.",
        needs=("client-trust",),
        optional=True,
    ),
    Step(
        "probes",
        "vCenter looks whether the key server is there: a handshake without any message.",
        "recorded: about half of all connections",
        trust.probes,
        findings.UNREACHABLE,
        "Treat a connection that ends after the handshake as usual: no error, no limit, no busy worker.",
        needs=("client-trust",),
    ),
    Step(
        "unknown-client",
        "Before its certificate is trusted, vCenter tries to connect again and again.",
        "recorded: 18 handshakes in 30 s, up to 9 within a second",
        trust.unknown_client,
        findings.UNREACHABLE,
        "Do not ban or slow down an address for failed handshakes.",
        needs=("client-trust",),
    ),
    Step(
        "trust-by-request",
        "New Certificate Signing Request: the key server signs a request of vCenter.",
        "GenerateClientCsr, UpdateKmsSignedCsrClientCert",
        exchange.sign_request,
        findings.CLIENT_NOT_TRUSTED,
        "Accept the certificates that your own authority issues for vCenter's requests.",
        needs=("client-trust",),
        obstacle=_needs_sign,
    ),
    Step(
        "trust-by-certificate",
        "vCenter Certificate: the administrator uploads vCenter's certificate to the key server.",
        "GenerateSelfSignedClientCert, UpdateSelfSignedClientCert",
        exchange.self_signed,
        findings.CLIENT_NOT_TRUSTED,
        "Accept a self-signed certificate that an administrator has uploaded.",
        needs=("client-trust",),
        obstacle=_needs_trust,
    ),
    Step(
        "trust-without-usage",
        "The same with a certificate that has no extended key usage.",
        "UploadClientCert; RFC 5280 §4.2.1.12",
        exchange.without_usage,
        findings.CLIENT_NOT_TRUSTED,
        "Do not require the extended key usage for clients: vCenter's certificates may lack it.",
        needs=("client-trust",),
        obstacle=_needs_trust,
    ),
    Step(
        "trust-by-authority",
        "vCenter Root CA Certificate: the administrator uploads the root to the key server.",
        "RetrieveClientCert; root of vCenter",
        exchange.own_authority,
        findings.CLIENT_NOT_TRUSTED,
        "Accept certificates of an authority that an administrator has uploaded.",
        needs=("client-trust",),
        obstacle=_needs_trust,
    ),
)

KEYS: Final = (
    Step(
        "versions",
        "vCenter negotiates on each connection, and then asks for the versions again.",
        "KMIP 1.1 §4.26, §6.1, §6.4; recorded",
        key_steps.discover_versions,
        findings.UNREACHABLE,
        "Support KMIP 1.1: list it in Discover Versions, and answer in the version of the request.",
        needs=("client-trust",),
        advice_on=(Operation.DISCOVER_VERSIONS,),
    ),
    Step(
        "vendor",
        "vCenter asks for the vendor and records an event.",
        "KMIP 1.1 §4.25; recorded",
        key_steps.query_vendor,
        findings.VENDOR,
        "Answer Query Server Information with a Vendor Identification.",
        needs=("versions",),
        advice_on=(Operation.QUERY,),
    ),
    Step(
        "registration",
        "The key server is registered: eight connections, some of them at the same time.",
        "RegisterKmipServer; recorded",
        key_steps.register,
        findings.UNREACHABLE,
        "Serve several connections of one client at the same time.",
        needs=("vendor",),
    ),
    Step(
        "health",
        "Every 300 seconds, and when the page of the key provider is opened: the health poll.",
        "RetrieveKmipServersStatus; recorded",
        key_steps.poll_health,
        findings.UNREACHABLE,
        "Answer Discover Versions at any time.",
        needs=("versions",),
        advice_on=(Operation.DISCOVER_VERSIONS,),
    ),
    Step(
        "create",
        "A machine is encrypted for the first time: one key for it, one for its host.",
        "KMIP 1.1 §4.1; recorded",
        key_steps.create,
        findings.NO_KEY,
        "Create AES keys of 256 bits without a name or a template, and answer when the key is on disk.",
        needs=("versions",),
        advice_on=(Operation.CREATE,),
    ),
    Step(
        "tag-product",
        "vCenter marks the key with the product that has asked for it.",
        "KMIP 1.1 §3.39, §4.12, §4.14; recorded",
        key_steps.tag_product,
        findings.NOTHING,
        "Store custom attributes with names that begin with x-, and answer Get Attributes of one that is"
        " not set with success and no attribute. Otherwise nobody can tell which machine a key is for.",
        needs=("create",),
        advice_on=(Operation.ADD_ATTRIBUTE, Operation.GET_ATTRIBUTES),
        optional=True,
    ),
    Step(
        "get",
        "vCenter fetches the keys. It does so before it activates them.",
        "KMIP 1.1 §4.11; recorded",
        key_steps.get,
        findings.KEY_NOT_SENT,
        "Answer Get of a Pre-Active key with the plain key: format Raw, AES, 32 bytes.",
        needs=("create",),
        advice_on=(Operation.GET,),
    ),
    Step(
        "state",
        "vCenter asks for the State of the key.",
        "KMIP 1.1 §3.22, §4.12; recorded",
        key_steps.state,
        findings.KEY_NOT_SENT,
        "Answer Get Attributes with the attribute State.",
        needs=("create",),
        advice_on=(Operation.GET_ATTRIBUTES,),
    ),
    Step(
        "activate",
        "vCenter activates a key that is Pre-Active.",
        "KMIP 1.1 §4.19; recorded",
        key_steps.activate,
        findings.KEY_NOT_SENT,
        "Support Activate; the State is Active from then on.",
        needs=("get", "state"),
        advice_on=(Operation.ACTIVATE,),
    ),
    Step(
        "tag-owner",
        "vCenter marks the key with the machine that it is for: UUID, kind and name.",
        "KMIP 1.1 §3.39, §4.14; recorded",
        key_steps.tag_owner,
        findings.NOTHING,
        "Store custom attributes as text of any script, up to the length of a machine's name.",
        needs=("create",),
        advice_on=(Operation.ADD_ATTRIBUTE,),
        optional=True,
    ),
    Step(
        "key-attributes",
        "A user sets attributes of a key, and changes one.",
        "SetKeyCustomAttributes (8.0.1); KMIP 1.1 §4.14, §4.15",
        key_steps.set_attributes,
        findings.ATTRIBUTES,
        "Support Modify Attribute for custom attributes.",
        needs=("tag-owner",),
        advice_on=(Operation.MODIFY_ATTRIBUTE,),
        optional=True,
    ),
    Step(
        "encrypt-machine",
        "A machine is encrypted on a host outside encryption mode: all of this, partly in parallel.",
        "recorded: eight connections within 3 s",
        key_steps.encrypt_machine,
        findings.KEY_NOT_SENT,
        "Do for parallel connections what you do for a single one.",
        needs=("activate",),
    ),
    Step(
        "re-encrypt",
        "A machine gets another key (shallow recrypt).",
        "CryptoSpecShallowRecrypt; KMIP 1.1 §4.1",
        key_steps.re_encrypt,
        findings.NO_KEY,
        "Never expire or remove a key by yourself: snapshots and backups need the old one.",
        needs=("activate",),
        advice_on=(Operation.GET,),
    ),
    Step(
        "wrapped-keys",
        "A provider with wrapped keys makes its wrapping key, and replaces it after its interval.",
        "KmipServerSpec.keySpec (9.0); KMIP 1.1 §4.1, §4.11",
        provider_steps.wrap,
        findings.WRAPPING,
        "Keep wrapping keys after they have been replaced.",
        needs=("activate",),
        advice_on=(Operation.GET,),
    ),
    Step(
        "encrypt-on-server",
        "A Trust Authority whose primary key never leaves the key server has it encrypt there.",
        "KMIP 1.2 §4.29, §4.30",
        provider_steps.encrypt_on_server,
        findings.NOTHING,
        "Support Encrypt and Decrypt for AES keys. Without them, the Trust Authority fetches its key.",
        needs=("activate",),
        optional=True,
    ),
)

OUTAGES: Final = (
    Step(
        "host-reboot",
        "A host has restarted: vCenter fetches its key, and those of its machines.",
        "KMIP 1.1 §4.11; recorded",
        key_steps.reboot_host,
        findings.MACHINES_LOCKED,
        "Return the same key each time.",
        needs=("activate",),
        advice_on=(Operation.GET,),
    ),
    Step(
        "power-cut",
        "After a power cut all hosts start at once, and lose their connections once more.",
        "KMIP 1.1 §4.11",
        outage_steps.power_cut,
        findings.MACHINES_LOCKED,
        "Serve many connections of one client at the same time.",
        needs=("host-reboot",),
    ),
    Step(
        "vsan-hosts",
        "The hosts of a vSAN cluster fetch the key of their disk groups themselves.",
        "vSAN encryption; KMIP 1.1 §4.11",
        outage_steps.vsan_hosts,
        findings.VSAN_LOCKED,
        "Let hosts connect, too: they use the certificate of the provider from other addresses.",
        needs=("host-reboot", "server-upload"),
        advice_on=(Operation.GET,),
    ),
    Step(
        "renewed-certificate",
        "vCenter's certificate is exchanged while machines run.",
        "UpdateKmsSignedCsrClientCert, UploadClientCert",
        exchange.renew,
        findings.MACHINES_LOCKED,
        "Bind keys to an account and not to a certificate: a renewed certificate is the same client.",
        needs=("activate",),
        advice_on=(Operation.GET,),
        obstacle=_needs_renewal,
    ),
    Step(
        "wrong-password",
        "The key provider has a user name and a password, and the password is wrong.",
        "KMIP 1.1 §2.1.2, §6.6",
        provider_steps.wrong_password,
        findings.UNREACHABLE,
        "Refuse a wrong password with Authentication Not Successful.",
        needs=("get",),
        obstacle=_needs_user,
    ),
    Step(
        "stranger",
        "Another client on the network asks for the key of a machine.",
        "R19: only vCenter has credentials",
        outage_steps.get_as_stranger,
        findings.OPEN_TO_ALL,
        "Require a client certificate that you know, and give a key only to its owner.",
        needs=("get",),
    ),
    Step(
        "replica-vendor",
        "A second key server is added to the key provider.",
        "RegisterKmipServer; KMIP 1.1 §4.25",
        provider_steps.same_vendor,
        findings.OTHER_VENDOR,
        "Report the same Vendor Identification on all servers of a cluster, whatever their release.",
        needs=("vendor",),
        obstacle=_needs_replica,
    ),
    Step(
        "replica-keys",
        "The first key server fails after it has made a key: vCenter asks the next one.",
        "R14: the servers of a provider replicate keys",
        provider_steps.replicate,
        findings.KEY_MISSING,
        "Replicate keys to all servers of the cluster.",
        needs=("activate",),
        obstacle=_needs_replica,
    ),
    Step(
        "unknown-key",
        "A machine needs a key that the key server does not have.",
        "KMIP 1.1 §11.12: Item Not Found",
        outage_steps.get_unknown,
        findings.WRONG_KEY_STATUS,
        "Answer Item Not Found for an identifier that does not exist.",
        needs=("get",),
        advice_on=(Operation.GET,),
    ),
    Step(
        "deactivated-key",
        "An administrator of the key server has deactivated the key of a machine.",
        "KMIP 1.1 §3.22, §4.20; KeyStateNotActiveOrEnabled",
        outage_steps.get_deactivated,
        findings.WRONG_KEY_STATUS,
        "Report the State Deactivated after Revoke.",
        needs=("activate",),
    ),
    Step(
        "destroyed-key",
        "An administrator of the key server has destroyed the key of a machine.",
        "KMIP 1.1 §4.21, §11.12; KeyStateMissingInKMS",
        outage_steps.get_destroyed,
        findings.WRONG_KEY_STATUS,
        "Answer Item Not Found for a key that was destroyed.",
        needs=("deactivated-key",),
        advice_on=(Operation.GET,),
    ),
)

CLEAN_UP: Final = Step(
    "clean-up",
    "No moment of vCenter, which never removes keys: the check destroys what it has created.",
    "KMIP 1.1 §4.20, §4.21",
    outage_steps.remove,
    findings.NOTHING,
    "Remove what is named here by hand.",
    optional=True,
)

STEPS: Final = (*TRUST, *KEYS, *OUTAGES, CLEAN_UP)


def select(names: Sequence[str]) -> list[Step]:
    """These steps with all that they need, and the clean-up; all steps if there are no names.

    KeyError: there is no step of this name.
    """
    by_name = {step.name: step for step in STEPS}
    if not names:
        return list(STEPS)
    selected = {CLEAN_UP.name}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in selected:
            selected.add(name)
            waiting += (*by_name[name].needs, *by_name[name].needs_any)
    return [step for step in STEPS if step.name in selected]
