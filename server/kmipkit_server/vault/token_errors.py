"""What the errors of PKCS #11 tokens mean for an operator."""

from collections.abc import Mapping
from pathlib import Path

from kmipkit_server.vault.pkcs11_uri import PKCS11URI

_PIN_OF = "see pin-source in the URI of the root key"

_TEXTS: Mapping[str, str] = {
    "PinIncorrect": (
        f"the token refuses the PIN ({_PIN_OF}); correct it before you try again, because a token locks"
        " its PIN after a few wrong ones"
    ),
    "PinInvalid": f"the PIN has characters that the token does not permit ({_PIN_OF})",
    "PinLenRange": f"the PIN is too short or too long for the token ({_PIN_OF})",
    "PinLocked": (
        "the PIN of the token is locked after too many wrong ones; its security officer sets a new one"
        " (pkcs11-tool --init-pin --login --login-type so)"
    ),
    "PinExpired": "the PIN of the token has expired; set a new one (pkcs11-tool --change-pin --login)",
    "UserPinNotInitialized": (
        "the token has no PIN yet; its security officer sets one"
        " (pkcs11-tool --init-pin --login --login-type so)"
    ),
    "TokenNotPresent": "the token is not there; insert it, or check the connection to the HSM",
    "DeviceRemoved": "the token was removed; insert it again",
    "TokenNotRecognised": "the module does not recognize the token; is it the module of this device?",
    "TokenWriteProtected": "the token is write-protected, so that no key can be made in it",
    "DeviceMemory": "the token has no room for another key",
    "DeviceError": "the token reports a failure; check the device and its connection",
    "UserAlreadyLoggedIn": "another part of this process is logged in to the token",
    "AnotherUserAlreadyLoggedIn": "another user is logged in to the token",
    "MechanismInvalid": "the token does not permit the mechanism for this key",
    "WrappedKeyInvalid": "the token cannot unwrap what was wrapped with another root key",
    "EncryptedDataInvalid": "the token cannot decrypt what was encrypted with another root key",
    "GeneralError": (
        "the token cannot carry this out: it has another root key than the one that is needed, or the"
        " device has a fault"
    ),
}
"""By the names of the exceptions, which are those of the return values of the standard."""

_PASSING = frozenset(
    {
        "DeviceError",
        "DeviceRemoved",
        "FunctionFailed",
        "GeneralError",
        "HostMemory",
        "KeyHandleInvalid",
        "ObjectHandleInvalid",
        "SessionClosed",
        "SessionCount",
        "SessionHandleInvalid",
        "SlotIDInvalid",
        "TokenNotPresent",
        "UserAlreadyLoggedIn",
        "UserNotLoggedIn",
    }
)
"""Failures that another session may not have."""


def is_passing(error: Exception) -> bool:
    """Whether to try once more, with the module initialized again."""
    return type(error).__name__ in _PASSING


def explained(error: Exception, uri: PKCS11URI, module: Path) -> str:
    """The error in words, and what to do. The PIN is never part of an error."""
    name = type(error).__name__
    token = uri.attributes.get("token")
    where = f"token {token!r}" if token else f"PKCS #11 module {module}"
    text = _TEXTS.get(name) or f"the operation failed with {name} (PKCS #11 2.40 §5)"
    return f"{where}: {text}"
