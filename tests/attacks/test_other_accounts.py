"""An object belongs to its account: another account gets nothing, an administrator only attributes."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from kmipkit_client.calls import Call
from laboratory import Laboratory

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    PaddingMethod,
    ResultReason,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask

AES, Mask = CryptographicAlgorithm.AES, CryptographicUsageMask
CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)
ATTEMPTS: dict[str, Callable[[str], Call[Any]]] = {
    "get": lambda key: calls.get(key, None, None, None),
    "attributes": lambda key: calls.get_attributes(key, ()),
    "attribute names": calls.get_attribute_list,
    "add": lambda key: calls.add_attribute(key, "Contact Information", "thief"),
    "activate": calls.activate,
    "revoke": lambda key: calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, None),
    "destroy": calls.destroy,
    "encrypt": lambda key: calls.encrypt(key, b"x", CBC, None, None),
}


SEEN_BY_ADMINISTRATORS = {"attributes", "attribute names"}
CASES = [
    (attempt, identity)
    for attempt in ATTEMPTS
    for identity in ("thief", "administrator", "owner ", "OWNER")
    if not (identity == "administrator" and attempt in SEEN_BY_ADMINISTRATORS)
]


@pytest.mark.parametrize(("attempt", "identity"), CASES)
def test_objects_of_others_are_refused(attempt: str, identity: str, tmp_path: Path) -> None:
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        key = laboratory.ask(calls.create(AES, 256, Mask.ENCRYPT, "disk", None), identity="owner")
        before = laboratory.ask(calls.get_attributes(key, ()), identity="owner")
        with pytest.raises(OperationFailed) as refusal:
            laboratory.ask(ATTEMPTS[attempt](key), identity=identity)
        assert refusal.value.reason is ResultReason.PERMISSION_DENIED
        located = laboratory.ask(
            calls.locate("disk", None, None, None, None, None), identity=identity
        )
        assert located.ids == ()
        assert laboratory.ask(calls.get_attributes(key, ()), identity="owner") == before
