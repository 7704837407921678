"""Names of the standard in messages."""

import pytest

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import ObjectType, Operation
from kmipkit.spec.titles import title, title_with_article


@pytest.mark.parametrize(
    ("member", "name"),
    [
        (Operation.CREATE_KEY_PAIR, "Create Key Pair"),
        (Operation.MAC_VERIFY, "MAC Verify"),
        (Operation.RE_KEY_KEY_PAIR, "Re-key Key Pair"),
        (Operation.PKCS_11, "PKCS#11"),
        (ObjectType.PGP_KEY, "PGP Key"),
        (Operation(0x8000ABCD), "0x8000ABCD"),
    ],
)
def test_titles_are_spelled_as_in_the_standard(member: OpenEnum, name: str) -> None:
    assert title(member) == name


def test_the_article_fits_the_name() -> None:
    assert title_with_article(ObjectType.OPAQUE_OBJECT) == "an Opaque Object"
    assert title_with_article(ObjectType.TEMPLATE) == "a Template"
