"""Names of the standard as messages and log lines show them: ``Create Key Pair``."""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enumeration import OpenEnum

_ACRONYMS = frozenset({"MAC", "OTP", "PGP", "RNG"})

_HYPHENATED: Mapping[str, str] = MappingProxyType(
    {
        "RE_CERTIFY": "Re-certify",
        "RE_KEY": "Re-key",
        "RE_KEY_KEY_PAIR": "Re-key Key Pair",
        "PKCS_11": "PKCS#11",
    }
)


def title(member: OpenEnum) -> str:
    """The name of an operation, object type or other value; a number for one without a name."""
    name = member.name
    if not member.is_named:
        return name
    return _HYPHENATED.get(name) or " ".join(
        word if word in _ACRONYMS else word.capitalize() for word in name.split("_")
    )


def title_with_article(member: OpenEnum) -> str:
    """The same with the indefinite article: ``an Opaque Object``, ``a Template``."""
    name = title(member)
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
