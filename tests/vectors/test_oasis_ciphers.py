"""The ciphers against the OASIS cases: each Encrypt and Decrypt of the cryptographic profiles.

Only the cryptography is played here, with the key that the case registers or has made; messages,
states and usage masks are tested with the server. Not played: streams, which are several requests
to one cipher, and two published files with a ciphertext of another key.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, rsa
from kmipkit.keys.formats import load_private_key, load_public_key
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    KeyFormatType,
    PaddingMethod,
    ResultReason,
)

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "oasis-all"
WRONG_CIPHERTEXT = {"CS-BC-M-6-12", "CS-BC-M-6-13"}
OF_THE_KEY = {"PermissionDenied", "WrongKeyLifecycleState"}
"""Reasons for which the state or the mask of the key decides."""
STREAM = {"CorrelationValue", "InitIndicator", "FinalIndicator"}
CASES = [
    path
    for pattern in ("CS-BC-*.xml", "CS-AC-M-OAEP-*.xml")
    for path in sorted(FOLDER.glob(f"*/*/{pattern}"))
    if path.stem not in WRONG_CIPHERTEXT
]

ENUMERATIONS = {
    "BlockCipherMode": ("block_cipher_mode", BlockCipherMode),
    "PaddingMethod": ("padding_method", PaddingMethod),
    "HashingAlgorithm": ("hashing_algorithm", HashingAlgorithm),
    "CryptographicAlgorithm": ("cryptographic_algorithm", CryptographicAlgorithm),
    "MaskGeneratorHashingAlgorithm": ("mask_generator_hashing_algorithm", HashingAlgorithm),
}


def _member(enumeration: Any, text: str) -> Any:
    """The member that a case calls ``ChaCha20`` or ``SHA_256``."""
    plain = text.replace("_", "").upper()
    (member,) = [candidate for candidate in enumeration if candidate.name.replace("_", "") == plain]
    return member


def _parameters(structure: ET.Element) -> Parameters:
    values: dict[str, Any] = {}
    for item in structure:
        text = item.get("value", "")
        if item.tag in ENUMERATIONS:
            name, enumeration = ENUMERATIONS[item.tag]
            values[name] = _member(enumeration, text)
        elif item.tag == "RandomIV":
            values["random_iv"] = text == "true"
        elif item.tag == "TagLength":
            values["tag_length"] = int(text)
        elif item.tag == "PSource":
            values["p_source"] = bytes.fromhex(text)
    return Parameters(**values)


def _text(element: ET.Element, tag: str) -> str | None:
    child = next(element.iter(tag), None)
    return None if child is None else child.get("value")


class Player:
    """Plays one case: remembers keys by their variables, and what an answer gave."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[ET.Element, bytes | None]] = {}
        self.bound: dict[str, bytes] = {}
        self.played = 0

    def bytes_of(self, payload: ET.Element, tag: str) -> bytes | None:
        text = _text(payload, tag)
        if text is None:
            return None
        return self.bound[tag] if text.startswith("$") else bytes.fromhex(text)

    def register(self, request: ET.Element, answer: ET.Element) -> None:
        material = _text(request, "KeyMaterial")
        data = None if material is None else bytes.fromhex(material)
        self.keys[_text(answer, "UniqueIdentifier") or ""] = (request, data)

    def use(self, request: ET.Element, answer: ET.Element) -> None:
        made_by, material = self.keys[_text(request, "UniqueIdentifier") or ""]
        own = request.find(".//CryptographicParameters")
        structure = own if own is not None else made_by.find(".//CryptographicParameters")
        if structure is None:
            structure = _attribute(made_by, "Cryptographic Parameters")
        parameters = Parameters() if structure is None else _parameters(structure)
        expected = _text(answer, "ResultReason")
        if expected in OF_THE_KEY:
            return
        if expected is not None:
            with pytest.raises(OperationError) as caught:
                self.run(request, answer, made_by, material, parameters)
            assert caught.value.reason == _member(ResultReason, expected)
        else:
            self.run(request, answer, made_by, material, parameters)
        self.played += 1

    def run(
        self,
        request: ET.Element,
        answer: ET.Element,
        made_by: ET.Element,
        material: bytes | None,
        parameters: Parameters,
    ) -> None:
        algorithm = _member(
            CryptographicAlgorithm, _text(made_by, "CryptographicAlgorithm") or "AES"
        )
        key_format = _member(KeyFormatType, _text(made_by, "KeyFormatType") or "Raw")
        data = self.bytes_of(request, "Data") or b""
        expected = _text(answer, "Data")
        encrypts = _text(request, "Operation") == "Encrypt"
        if algorithm == CryptographicAlgorithm.RSA:
            assert material is not None
            if encrypts:
                public = load_public_key(material, key_format)
                assert len(rsa.encrypt(public, parameters, data)) == public.key_size // 8
            else:
                private = load_private_key(material, key_format)
                assert rsa.decrypt(private, parameters, data).hex() == expected
            return
        options = {
            "iv": self.bytes_of(request, "IVCounterNonce"),
            "additional_data": self.bytes_of(request, "AuthenticatedEncryptionAdditionalData")
            or b"",
        }
        key = material if material is not None else bytes(range(16))
        if not encrypts:
            tag = self.bytes_of(request, "AuthenticatedEncryptionTag")
            opened = cipher.decrypt(key, algorithm, parameters, data, tag=tag, **options)
            assert material is None or opened.hex() == expected
            return
        sealed = cipher.encrypt(
            key, algorithm, parameters, data, random=secrets.token_bytes, **options
        )
        self.bound["Data"] = sealed.data
        self.bound["IVCounterNonce"] = sealed.iv or b""
        if expected is not None and not expected.startswith("$"):
            made_here = material is None or sealed.iv is not None
            assert len(sealed.data) == len(expected) // 2
            assert made_here or sealed.data.hex() == expected
        self.bound["AuthenticatedEncryptionTag"] = sealed.tag or b""
        tag = _text(answer, "AuthenticatedEncryptionTag") or ""
        assert tag.startswith("$") or (sealed.tag or b"").hex() == tag


def _attribute(request: ET.Element, name: str) -> ET.Element | None:
    """The value of an attribute in the form of 1.x."""
    for attribute in request.iter("Attribute"):
        if _text(attribute, "AttributeName") == name:
            return attribute.find("AttributeValue")
    return None


def _exchanges(path: Path) -> Iterator[tuple[ET.Element, ET.Element]]:
    items = list(ET.parse(path).getroot().iter("BatchItem"))
    return zip(items[::2], items[1::2], strict=True)


def test_the_cases_are_there() -> None:
    if not FOLDER.is_dir():
        pytest.skip("the OASIS cases are not beside the repository")
    assert len(CASES) > 60


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_case(path: Path) -> None:
    player = Player()
    for request, answer in _exchanges(path):
        operation = _text(request, "Operation")
        if operation in {"Register", "Create"}:
            player.register(request, answer)
        elif operation in {"Encrypt", "Decrypt"} and not STREAM & {i.tag for i in request.iter()}:
            player.use(request, answer)
    if not player.played:
        pytest.skip("the case has streams, or what the key does not permit")
