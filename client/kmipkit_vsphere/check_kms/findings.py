"""What is wrong with a key server, and what an administrator sees of it in the vSphere Client.

The colours, event types and statuses are those of vSphere 8.0 (vsphere.md §4.3, §4.4, §5.3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import KeyProviderError, VSphereError
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS, PREFIX
from kmipkit_vsphere.vcenter.calls.events import AlarmName
from kmipkit_vsphere.vcenter.crypto_manager import key_failure

EventType = Callable[[VSphereError], str]


def _always(event: str) -> EventType:
    return lambda _: event


@dataclass(frozen=True, slots=True)
class Symptom:
    """What the client shows: the colour of object and alarm, the event, and what does not work.

    The type of the event is without the common prefix; it may depend on the failure.
    """

    colour: Color
    event: EventType
    message: str

    def event_type(self, failure: VSphereError) -> str:
        """The whole type of the event; empty if there is none."""
        event = self.event(failure)
        return PREFIX + event if event else ""

    def alarms(self, failure: VSphereError) -> tuple[AlarmName, ...]:
        """The alarms that the event raises."""
        event = self.event(failure)
        return tuple(
            definition.alarm
            for definition in DEFINITIONS.values()
            if event and event.startswith(definition.raised_by)
        )


class Finding(KeyProviderError):
    """The key server does not do what vCenter needs. The message says what it does."""

    def __init__(self, message: str, advice: str = "", symptom: Symptom | None = None) -> None:
        super().__init__(message)
        self.advice = advice
        """What the vendor should do; empty for the advice of the step."""
        self.symptom = symptom
        """What an administrator sees; None for the symptom of the step."""


class Concern(Finding):
    """vCenter goes on, but the vendor should know."""


class NotPlayable(VSphereError):
    """The step says nothing about the server, because it cannot be played here."""


UNREACHABLE: Final = Symptom(
    Color.RED,
    _always("kms.crypto.Unreachable"),
    'The key provider is red, its connection status "notConnected". No machine can be encrypted, and'
    " machines on hosts that reboot stay locked.",
)
SERVER_NOT_TRUSTED: Final = Symptom(
    Color.RED,
    _always("kms.crypto.Unreachable"),
    'The key provider is red, its connection status "notTrusted": vCenter does not trust the server.',
)
CLIENT_NOT_TRUSTED: Final = Symptom(
    Color.RED,
    _always("kms.crypto.Unreachable"),
    'The key provider is red, its connection status "notTrusted": the server does not trust vCenter.',
)
SERVER_CERTIFICATE_EXPIRES: Final = Symptom(
    Color.YELLOW,
    _always("vecs.KMSServerCertExpirationEvent"),
    "The certificate of the key server expires soon: yellow from 60 days on, red from 30 days on.",
)
CLIENT_CERTIFICATE_EXPIRES: Final = Symptom(
    Color.YELLOW,
    _always("vecs.KMSClientCertExpirationEvent"),
    "vCenter's client certificate expires soon: yellow from 60 days on, red from 30 days on.",
)
NOTHING: Final = Symptom(
    Color.GREEN,
    _always(""),
    "Nothing: vCenter ignores it, and the key provider stays green.",
)
ATTRIBUTES: Final = Symptom(
    Color.GREEN,
    _always(""),
    "The call SetKeyCustomAttributes fails; the key provider stays green, and all else works.",
)
VENDOR: Final = Symptom(
    Color.YELLOW,
    _always("kms.crypto.Vendor"),
    "The event has no vendor: vCenter cannot tell whether all servers of a provider are of one vendor.",
)
OTHER_VENDOR: Final = Symptom(
    Color.YELLOW,
    _always("kms.crypto.Vendor"),
    "The second server cannot be added to the key provider: all of its servers must be of one vendor.",
)
NO_KEY: Final = Symptom(
    Color.RED,
    _always("kms.crypto.KeyGenerateFail"),
    "The task that encrypts the machine fails: no key could be generated. The key provider stays green.",
)
KEY_NOT_SENT: Final = Symptom(
    Color.RED,
    key_failure("kms.crypto.SendKeyError"),
    "The task that encrypts the machine fails: the key could not be sent to the host. The key on the key"
    " server is left over.",
)
MACHINES_LOCKED: Final = Symptom(
    Color.RED,
    key_failure("vm.Crypto.VMLocked"),
    "After the reboot the machines are locked, each with an alarm, until their host has the key.",
)
HOST_NOT_SAFE: Final = Symptom(
    Color.RED,
    key_failure("host.Crypto.ReqEnable"),
    "The host cannot enter encryption mode: it gets no host key.",
)
KEY_MISSING: Final = Symptom(
    Color.YELLOW,
    _always("kms.crypto.SendKeyError.KeyMissingOnKMS"),
    "The key provider is yellow: one of its servers lacks a key that another one has.",
)
WRONG_KEY_STATUS: Final = Symptom(
    Color.RED,
    key_failure("vm.Crypto.VMLocked"),
    "The event and the key status give the wrong reason: the administrator looks for the wrong fault.",
)
VSAN_LOCKED: Final = Symptom(
    Color.RED,
    key_failure("kms.crypto.SendKeyError"),
    "After a power cut the disk groups of the vSAN cluster are not mounted: their hosts get no key.",
)
WRAPPING: Final = Symptom(
    Color.RED,
    _always("kms.crypto.KeyGenerateFail"),
    "No machine can be encrypted with wrapped keys; the key status has WrappingKeyMissingInKMS or"
    " WrappingKeyNotActiveOrEnabled.",
)
OPEN_TO_ALL: Final = Symptom(
    Color.GREEN,
    _always(""),
    "Nothing: all is green, while anybody on the network can fetch the keys of the machines.",
)
