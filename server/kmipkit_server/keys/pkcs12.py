"""A private key in the format PKCS#12 (KMIP 1.4 §3.35, KMIP 2.1 §4.31).

The password is the Secret Data to which the PKCS#12 Password Link of the key leads. The certificates
are a chain of PKCS#12 Certificate Links, which starts at the key.
"""

from collections.abc import Iterator

from kmipkit.errors import OperationError
from kmipkit.keys import costs, pkcs12
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import Certificate
from kmipkit.spec.enums import KeyFormatType, LinkType, ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import V2_0
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes, use_private_key
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed
from kmipkit_server.policy.actions import KeyUse

DEFAULT_FRIENDLY_NAME = "alias"
"""The friendly name of a key without PKCS#12 Friendly Name (KMIP 1.4 §3.45)."""

MAX_CHAIN_LENGTH = 32
"""Certificates in a chain; further ones are left out."""


def to_pkcs_12(call: Call, managed: Managed) -> KeyBlock:
    """The key block with the PKCS#12 container.

    OperationError: Key Format Type Not Supported if the object is not a Private Key, or has no
    password.
    """
    password = _linked(call, managed, LinkType.PKCS_12_PASSWORD_LINK)
    if managed.object_type is not ObjectType.PRIVATE_KEY or password is None:
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            "only a Private Key with a PKCS#12 Password Link can be retrieved as PKCS#12",
        )
    name = managed.get(Tag.PKCS_12_FRIENDLY_NAME) or DEFAULT_FRIENDLY_NAME
    data = use_private_key(
        call,
        managed,
        pkcs12.pkcs_12,
        list(_chain(call, managed)),
        key_bytes(password),
        name.encode(),
        cost=costs.PKCS_12,
    )
    # In 1.x, the Key Value of an encrypted key is a Byte String (KMIP 1.4 §2.1.4).
    value = data if call.version < V2_0 else KeyValue(key_material=data)
    return KeyBlock(key_format_type=KeyFormatType.PKCS_12, key_value=value)


def _linked(call: Call, managed: Managed, link_type: LinkType) -> Managed | None:
    for attribute in managed.instances(Tag.LINK):
        if attribute.value.link_type == link_type:
            is_password = link_type is LinkType.PKCS_12_PASSWORD_LINK
            action = KeyUse.WRAP_KEY if is_password else None
            return load(call, attribute.value.linked_object_identifier, action)
    return None


def _chain(call: Call, managed: Managed) -> Iterator[bytes]:
    """The certificates, the key's own first; a cycle of links ends the chain."""
    visited = {managed.id}
    current: Managed | None = managed
    while current is not None and len(visited) <= MAX_CHAIN_LENGTH:
        current = _linked(call, current, LinkType.PKCS_12_CERTIFICATE_LINK)
        if current is None or current.id in visited:
            return
        visited.add(current.id)
        value = current.object
        if not isinstance(value, Certificate):
            raise OperationError(
                ResultReason.INVALID_OBJECT_TYPE,
                f"a PKCS#12 Certificate Link leads to {title_with_article(current.object_type)}",
            )
        yield value.certificate_value
