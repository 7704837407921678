"""A private key as PKCS #12, from what its links name (KMIP 1.4 §3.35, KMIP 2.1 §4.31).

The password is secret data behind the PKCS#12 Password Link. Certificates stand behind PKCS#12
Certificate Links, from the key and then from one to the next.
"""

from collections.abc import Iterator

from kmipkit.errors import OperationError
from kmipkit.keys import pkcs12
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import Certificate
from kmipkit.spec.enums import KeyFormatType, LinkType, ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes, private_key
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed

NO_NAME = "alias"
"""The friendly name of a key that has none (KMIP 1.4 §3.45)."""

LONGEST = 32
"""Certificates of a chain at most."""


def to_pkcs_12(call: Call, managed: Managed) -> KeyBlock:
    """The key block that holds the container.

    OperationError: Key Format Type Not Supported where there is no password or the object is no
    private key.
    """
    password = _linked(call, managed, LinkType.PKCS_12_PASSWORD_LINK)
    if managed.object_type is not ObjectType.PRIVATE_KEY or password is None:
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            "PKCS #12 is for a Private Key with a PKCS#12 Password Link",
        )
    name = managed.get(Tag.PKCS_12_FRIENDLY_NAME) or NO_NAME
    data = pkcs12.pkcs_12(
        private_key(managed),
        list(_chain(call, managed)),
        key_bytes(password),
        name.encode(),
    )
    # 1.x has the Key Value of a key that is encrypted as a Byte String (KMIP 1.4 §2.1.4).
    value = data if call.version < V2_0 else KeyValue(key_material=data)
    return KeyBlock(key_format_type=KeyFormatType.PKCS_12, key_value=value)


def _linked(call: Call, managed: Managed, link_type: LinkType) -> Managed | None:
    for attribute in managed.instances(Tag.LINK):
        if attribute.value.link_type == link_type:
            return load(call, attribute.value.linked_object_identifier)
    return None


def _chain(call: Call, managed: Managed) -> Iterator[bytes]:
    """The certificates, the key's own first; a circle of links ends where it began."""
    seen = {managed.id}
    following: Managed | None = managed
    while following is not None and len(seen) <= LONGEST:
        following = _linked(call, following, LinkType.PKCS_12_CERTIFICATE_LINK)
        if following is None or following.id in seen:
            return
        seen.add(following.id)
        value = following.object
        if not isinstance(value, Certificate):
            raise OperationError(
                ResultReason.ILLEGAL_OBJECT_TYPE, "a PKCS#12 Certificate Link leads elsewhere"
            )
        yield value.certificate_value
