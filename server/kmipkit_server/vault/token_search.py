"""The token and the key that a PKCS #11 URI means: the only ones with all of its attributes."""

from collections.abc import Callable, Mapping
from typing import Any

from kmipkit_server.vault.base import KEY_SIZE
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.modules import Key, Module, Session, Token
from kmipkit_server.vault.pkcs11_uri import PKCS11URI

_Attributes = Mapping[str, Callable[[Any], str]]

_LIBRARY: _Attributes = {
    "library-manufacturer": lambda module: str(module.manufacturer_id),
    "library-description": lambda module: str(module.library_description),
}
_TOKEN: _Attributes = {
    "token": lambda token: str(token.label),
    "manufacturer": lambda token: str(token.manufacturer_id),
    "serial": lambda token: bytes(token.serial).decode("utf-8", "replace"),
    "model": lambda token: str(token.model),
    "slot-manufacturer": lambda token: str(token.slot.manufacturer_id),
    "slot-description": lambda token: str(token.slot.slot_description),
}
"""What each attribute of a URI is compared with (RFC 7512 §2.3)."""


def _has(found: Any, attributes: _Attributes, uri: PKCS11URI) -> bool:
    return all(
        value(found) == uri.attributes[name]
        for name, value in attributes.items()
        if name in uri.attributes
    )


def find_token(module: Module, uri: PKCS11URI) -> Token:
    """The token. VaultError if there is none, or more than one."""
    import pkcs11

    is_module = uri.library_version in (None, tuple(module.library_version)) and _has(
        module, _LIBRARY, uri
    )
    tokens = [
        slot.get_token()
        for slot in (module.get_slots(token_present=True) if is_module else ())
        if uri.slot_id in (None, slot.slot_id)
    ]
    usable = [each for each in tokens if each.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED]
    found = [token for token in usable if _has(token, _TOKEN, uri)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(str(token.label)) for token in found or usable) or "none"
    if found:
        raise VaultError(
            f"several tokens match the URI of the root key ({names}); add serial= to it, as"
            " pkcs11-tool --list-slots shows it"
        )
    raise NoToken(
        f"no token matches the URI of the root key; the module has the tokens: {names};"
        " insert the token,"
        " or correct token= in the URI"
    )


class NoToken(VaultError):
    """There is no such token."""


class NoKey(VaultError):
    """There is no such key in the token."""


def find_key(session: Session, uri: PKCS11URI, place: str) -> Key:
    """The root key. VaultError if there is none, several, or one that is no root key."""
    import pkcs11

    attribute = pkcs11.Attribute
    template: dict[Any, Any] = {attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY}
    if "object" in uri.attributes:
        template[attribute.LABEL] = uri.attributes["object"]
    if uri.id is not None:
        template[attribute.ID] = uri.id
    label = str(session.token.label)
    found: list[Any] = list(session.get_objects(template))
    if not found:
        raise NoKey(
            f"the token {label!r} has no such key; to make a new one, run: kmipkit admin keys create"
            f" {place!r}; a database that was written with another key needs that one"
        )
    if len(found) > 1:
        raise VaultError(
            f"the token {label!r} has {len(found)} keys that match the URI of the root key;"
            " add object= or"
            " id= to it"
        )
    key: Key = found[0]
    _require_root_key(key, label)
    return key


def _require_root_key(key: Any, label: str) -> None:
    import pkcs11

    attribute = pkcs11.Attribute
    if key.key_type is not pkcs11.KeyType.AES or key.key_length != 8 * KEY_SIZE:
        raise VaultError(
            f"the key in the token {label!r} is not an AES key of {8 * KEY_SIZE} bits; make one with"
            " kmipkit admin keys create"
        )
    if key[attribute.EXTRACTABLE] or not key[attribute.SENSITIVE]:
        raise VaultError(
            f"the key in the token {label!r} can leave it; make one that cannot with"
            " kmipkit admin keys create"
        )
