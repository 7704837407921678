"""Published cases that contradict themselves or the standard.

Most are played with a correction, which says what is changed and why. A case whose intention is not
clear is not played.
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
    "the published AES-ECB ciphertext is wrong for the registered key; the cases of 1.4 and later"
    " publish the right one",
    "fd912d102dbb482f6f6e91bd57119095",
    "d9bcce11b0b437b90239552df3a360c9",
)

_FOURTH_PART = Correction(
    "the answer to the Get of the fourth part prints the identifier of the first",
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
_WRAPPED_ALONE = (
    Correction(
        "wraps the Key Material alone, for which it must ask (KMIP 1.1 §2.1.6), and no attribute then",
        r'<AttributeName type="TextString" value="Cryptographic Usage Mask"/>'
        r"(\s*</KeyWrappingSpecification>)",
        _NO_ENCODING + r"\1",
    ),
    Correction(
        "and says in the answer that it did (§2.1.5)",
        r"(</EncryptionKeyInformation>\s*)(</KeyWrappingData>)",
        r"\1" + _NO_ENCODING + r"\2",
    ),
)

_X_509 = Correction(
    "wants Raw as the format of a certificate, which is X.509 (KMIP 2.1 §4.26, Table 81)",
    r'(<KeyFormatType type="Enumeration" value=")Raw',
    r"\1X_509",
)

CORRECTIONS: Mapping[str, tuple[Correction, ...]] = MappingProxyType(
    {
        "CS-AC-M-3-12": (_ATTRIBUTE_NAME,),
        "CS-BC-M-6-12": (_CIPHERTEXT,),
        "CS-BC-M-6-13": (_CIPHERTEXT,),
        "TC-142-11": _WRAPPED_ALONE,
        "TC-142-12": _WRAPPED_ALONE,
        "TC-CERTATTR-1-14": (_X_509,),
        "TC-CERTATTR-1-20": (_X_509,),
        "TC-SJ-2-12": (_FOURTH_PART,),
        "TC-SJ-4-12": (_FOURTH_PART,),
        "TC-SJ-4-14": (_FOURTH_PART,),
    }
)
"""Case to what is changed before it is played."""

_OTHER_KEY = "the Get responses print other keys than those that were registered"

ERRATA: Mapping[str, str] = MappingProxyType(
    {
        "TC-92-10": "the second answer prints another Deactivation Date than was asked for",
        "TC-ECC-3-10": _OTHER_KEY,
        "TC-ECC-3-11": _OTHER_KEY,
        "TC-OFFSET-2-13": "prints the whole list newest first and its pages oldest first",
    }
)
"""Case to what is wrong with it; such a case is not played."""
