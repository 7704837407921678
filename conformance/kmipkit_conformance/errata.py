"""Published cases that contradict themselves, each other or the standard.

Most are played with a correction, which gives the change and the reason. A case is not played if no
correction is certain. Of cases that show different answers to the same request, a server passes one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Correction:
    """A change to the text of a case: a pattern and its replacement."""

    reason: str
    pattern: str
    replacement: str

    def apply(self, text: str) -> str:
        """The corrected text."""
        return re.sub(self.pattern, self.replacement, text, flags=re.DOTALL)


_CIPHERTEXT = Correction(
    "the published AES-ECB ciphertext is wrong for the registered key; the cases for 1.4 and later"
    " have the correct one",
    "fd912d102dbb482f6f6e91bd57119095",
    "d9bcce11b0b437b90239552df3a360c9",
)

_FOURTH_PART = Correction(
    "the response to the Get of the fourth part has the identifier of the first part",
    r'\$UNIQUE_IDENTIFIER_1("/>\s*<SplitKey>\s*<SplitKeyParts [^>]*>\s*'
    r'<KeyPartIdentifier type="Integer" value="4"/>)',
    r"$UNIQUE_IDENTIFIER_4\1",
)

_ATTRIBUTE_NAME = Correction(
    "the second request has an Attribute without Attribute Name",
    r"<Attribute>(\s*)<AttributeValue>",
    r'<Attribute>\1<AttributeName type="TextString" value="Cryptographic Parameters"/>'
    r"\1<AttributeValue>",
)

_NO_ENCODING = '<EncodingOption type="Enumeration" value="NoEncoding"/>'
_MATERIAL_WRAPPED_ALONE = (
    Correction(
        "only the Key Material is wrapped, but the request does not ask for that (KMIP 1.1 §2.1.6)",
        r'<AttributeName type="TextString" value="Cryptographic Usage Mask"/>'
        r"(\s*</KeyWrappingSpecification>)",
        _NO_ENCODING + r"\1",
    ),
    Correction(
        "the response does not say that only the Key Material is wrapped (KMIP 1.1 §2.1.5)",
        r"(</EncryptionKeyInformation>\s*)(</KeyWrappingData>)",
        r"\1" + _NO_ENCODING + r"\2",
    ),
)

_X_509 = Correction(
    "the Key Format Type of an X.509 certificate is Raw instead of X.509 (KMIP 2.1 §4.26, Table 81)",
    r'(<KeyFormatType type="Enumeration" value=")Raw',
    r"\1X_509",
)

_ARCHIVED = Correction(
    "an archived object must be recovered before Get Attributes, which fails with Object Archived"
    " (KMIP 1.0 §4, §11.12; KMIP 1.1 and 1.2 §11.13)",
    r'("GetAttributes"/>\s*<ResultStatus type="Enumeration" value=")Success"/>\s*'
    r"<ResponsePayload>.*?</ResponsePayload>",
    r'\1OperationFailed"/><ResultReason type="Enumeration" value="ObjectArchived"/>',
)

_IDENTIFIER = Correction(
    "a response has the identifier of the author's server instead of a placeholder",
    '"8590e6e9-61c1-4b81-98d3-053a3c6a521b"',
    '"$UNIQUE_IDENTIFIER_0"',
)


def _registered(element: str, field: str) -> Correction:
    """The last such element has the value with which the first one was registered."""
    value = rf'<{element}>(?:(?!</{element}>).)*<{field} type="ByteString" value="'
    return Correction(
        f"the {element} that Get returns is not the one that was registered (KMIP 1.0 §4.10)",
        rf'({value})([0-9a-fA-F]+)(".*{value})[0-9a-fA-F]+',
        r"\1\2\3\2",
    )


_PRIVATE_KEY = _registered("PrivateKey", "KeyMaterial")
_REGISTERED = (
    _PRIVATE_KEY,
    _registered("PublicKey", "KeyMaterial"),
    _registered("Certificate", "CertificateValue"),
)

_DATES = tuple(
    Correction(
        "the dates are fixed, and the response has another Deactivation Date than the request; the"
        " case of 1.1 has dates relative to now",
        pattern,
        replacement,
    )
    for pattern, replacement in (
        (r"2009-0(2-11|4-17)T13:01:5[89]\+00:00", "$NOW"),
        (r"20[17]0-0(2-11|4-17)T13:03:5[89]\+00:00", "$NOW+120"),
    )
)

_MINOR_VERSION = r'(<ProtocolVersionMinor type="Integer" value=")[0-9]("/>\s*</ProtocolVersion>)'
_VERSION_1_2 = Correction(
    "requests of the server are in KMIP 1.0, although the client has used 1.2 (KMIP 1.2 §6.1)",
    _MINOR_VERSION,
    r"\g<1>2\g<2>",
)
_VERSION_1_4 = Correction(
    "a response is in KMIP 1.3, although its request is in 1.4 (KMIP 1.4 §6.1)",
    _MINOR_VERSION,
    r"\g<1>4\g<2>",
)

_CREATED = Correction(
    "the requests have an identifier that no response has, instead of that of the created object",
    "UNIQUE_IDENTIFIER_1",
    "UNIQUE_IDENTIFIER_0",
)

_TEMPLATE = Correction(
    "the server supports Templates, which KMIP 2.0 does not have (KMIP 2.0 §2)",
    r'<ObjectType type="Enumeration" value="Template"/>',
    "",
)

_UNWRAP = (
    Correction(
        "the server unwraps a key with a key that may only wrap (KMIP 1.4 §3.19); the case of 2.0 has"
        " both uses",
        r'value="WrapKey"',
        'value="WrapKey UnwrapKey"',
    ),
    Correction(
        "the Key Value of a wrapped key is not a Byte String (KMIP 1.4 §2.1.4), as in the case of 2.0",
        r"<KeyValue>\s*<KeyMaterial( [^>]*/>)\s*</KeyValue>"
        r"((?:(?!</KeyBlock>).)*<KeyWrappingData>)",
        r"<KeyValue\1\2",
    ),
    Correction(
        "the request does not ask for the key unwrapped before it is wrapped again, as in the case of"
        " 2.0 (Key Wrap Type, KMIP 1.4 §4.11)",
        r'(<KeyFormatType type="Enumeration" value="Raw"/>\s*)(<KeyWrappingSpecification>)',
        r'\1<KeyWrapType type="Enumeration" value="NotWrapped"/>\2',
    ),
)

_SERIAL_NUMBER = (
    Correction(
        "Get Attributes returns the Certificate Serial Number without the DER header that Locate has"
        " (KMIP 1.4 §3.10)",
        r'(<CertificateSerialNumber type="ByteString" value=")00d2',
        r"\g<1>020900d2",
    ),
    Correction(
        "the Serial Number is in another form than in TC-134",
        r'(<SerialNumber type="TextString" value=")00d2f5bad76a5ac8f9',
        r"\1D2F5BAD76A5AC8F9",
    ),
)

CORRECTIONS: Mapping[str, tuple[Correction, ...]] = MappingProxyType(
    {
        "CS-AC-M-3-12": (_ATTRIBUTE_NAME,),
        "CS-AC-M-8-12": (_ATTRIBUTE_NAME,),
        "CS-BC-M-6-12": (_CIPHERTEXT,),
        "CS-BC-M-6-13": (_CIPHERTEXT,),
        "OMOS-O-1-14": (_VERSION_1_4,),
        "SUITEB_128-M-1-20": (_TEMPLATE,),
        "SUITEB_192-M-1-20": (_TEMPLATE,),
        "TC-101-10": (_ARCHIVED,),
        "TC-101-11": (_ARCHIVED,),
        "TC-101-12": (_ARCHIVED,),
        "TC-142-11": _MATERIAL_WRAPPED_ALONE,
        "TC-142-12": _MATERIAL_WRAPPED_ALONE,
        "TC-312-12": (_IDENTIFIER,),
        "TC-92-10": _DATES,
        "TC-CERTATTR-1-14": (_X_509,),
        "TC-CERTATTR-1-20": (_X_509,),
        "TC-ECC-2-12": (_PRIVATE_KEY,),
        "TC-ECC-2-14": (_PRIVATE_KEY,),
        "TC-ECC-2-20": (_PRIVATE_KEY,),
        "TC-ECC-3-10": _REGISTERED,
        "TC-ECC-3-11": _REGISTERED,
        "TC-IMPEXP-5-20": (_X_509,),
        "TC-NP-2-12": (_VERSION_1_2,),
        "TC-PKCS12-2-14": _SERIAL_NUMBER,
        "TC-PKCS12-2-20": _SERIAL_NUMBER,
        "TC-RNG-ATTR-2-13": (_CREATED,),
        "TC-SJ-2-12": (_FOURTH_PART,),
        "TC-SJ-4-12": (_FOURTH_PART,),
        "TC-SJ-4-14": (_FOURTH_PART,),
        "TC-WRAP-2-14": _UNWRAP,
        "TC-WRAP-3-14": _UNWRAP,
    }
)
"""The corrections of each case."""

_ORDER = (
    "the whole list has the newest object first, its pages have the oldest first; KMIP 2.0 §6.1.27"
    " has the newest first in both"
)

ERRATA: Mapping[str, str] = MappingProxyType(
    {
        "TC-OFFSET-1-13": _ORDER,
        "TC-OFFSET-2-13": _ORDER,
    }
)
"""The error in each case that is not played."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Cases of which a server can pass one only: the same requests with different responses."""

    cases: frozenset[str]
    """Their names, without the version."""
    reason: str


ALTERNATIVES = (
    Alternatives(
        frozenset({"CS-RNG-O-1", "CS-RNG-O-2", "CS-RNG-O-3", "CS-RNG-O-4"}),
        "the server decides whether it takes a seed, and how much of it (KMIP 1.4 §4.36)",
    ),
    Alternatives(
        frozenset({"TC-OTP-3", "TC-OTP-4"}),
        "the server decides whether Get of a one-time pad returns it without its value or fails"
        " (KMIP 1.3 §4.11)",
    ),
)
"""What the standard leaves to the server, and the published cases show in several ways."""


def alternatives_of(name: str) -> tuple[list[str], str]:
    """The names of the other cases of a group, in the version of this one, and the reason."""
    base, _, version = name.rpartition("-")
    for group in ALTERNATIVES:
        if base in group.cases:
            return [f"{each}-{version}" for each in sorted(group.cases - {base})], group.reason
    return [], ""
