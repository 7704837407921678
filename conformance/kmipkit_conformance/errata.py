"""Published cases that contradict themselves or the standard.

Most are played with a correction, which gives the change and the reason. A case is not played if no
correction is certain.
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

CORRECTIONS: Mapping[str, tuple[Correction, ...]] = MappingProxyType(
    {
        "CS-AC-M-3-12": (_ATTRIBUTE_NAME,),
        "CS-BC-M-6-12": (_CIPHERTEXT,),
        "CS-BC-M-6-13": (_CIPHERTEXT,),
        "TC-142-11": _MATERIAL_WRAPPED_ALONE,
        "TC-142-12": _MATERIAL_WRAPPED_ALONE,
        "TC-CERTATTR-1-14": (_X_509,),
        "TC-CERTATTR-1-20": (_X_509,),
        "TC-SJ-2-12": (_FOURTH_PART,),
        "TC-SJ-4-12": (_FOURTH_PART,),
        "TC-SJ-4-14": (_FOURTH_PART,),
    }
)
"""The corrections of each case."""

_OTHER_KEYS = "the Get responses have other keys than those that were registered"

ERRATA: Mapping[str, str] = MappingProxyType(
    {
        "TC-92-10": "the second response has another Deactivation Date than the request",
        "TC-ECC-3-10": _OTHER_KEYS,
        "TC-ECC-3-11": _OTHER_KEYS,
        "TC-OFFSET-2-13": "the whole list has the newest object first, its pages have the oldest first",
    }
)
"""The error in each case that is not played."""
