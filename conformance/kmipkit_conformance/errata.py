"""Published cases that contradict themselves or the standard, and what is wrong with each."""

from collections.abc import Mapping
from types import MappingProxyType

_WRONG_CIPHERTEXT = (
    "the published AES-ECB ciphertext is wrong for the registered key; the cases of 1.4 and later"
    " publish the right one"
)

_OTHER_KEY = "the Get responses print other keys than those that were registered"

_FIRST_PART = "the answer to the Get of the fourth part prints the identifier of the first"

ERRATA: Mapping[str, str] = MappingProxyType(
    {
        "CS-AC-M-3-12": "the second request has an Attribute without Attribute Name",
        "CS-BC-M-6-12": _WRONG_CIPHERTEXT,
        "CS-BC-M-6-13": _WRONG_CIPHERTEXT,
        "TC-ECC-3-10": _OTHER_KEY,
        "TC-ECC-3-11": _OTHER_KEY,
        "TC-SJ-2-12": _FIRST_PART,
        "TC-SJ-4-12": _FIRST_PART,
        "TC-SJ-4-14": _FIRST_PART,
    }
)
"""Case to what is wrong with it; such a case is not played."""
