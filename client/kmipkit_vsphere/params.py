"""Parameters of a call, read from JSON.

Each getter raises :class:`InvalidArgument` with the name of the parameter that is not as it must
be, and never its value. Key bytes are read by :meth:`Params.as_key_plain` alone.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kmipkit_vsphere.errors import InvalidArgument
from kmipkit_vsphere.keys import CryptoKeyId, CryptoKeyPlain, Secret

MAX_TEXT = 4096


class Params:
    """The ``params`` object of a request, or an object inside it (``where`` is its name).

    ``caller`` is the name in the certificate of who calls.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "", caller: str = "") -> None:
        self.caller = caller
        self._values = values
        self._where = where

    def __repr__(self) -> str:  # the values may hold keys
        return f"<Params {', '.join(sorted(self._values))}>"

    def fail(self, name: str, wanted: str) -> InvalidArgument:
        """The fault for a parameter that is not what it must be."""
        return InvalidArgument(f"the parameter {self._where}{name} must be {wanted}")

    def has(self, name: str) -> bool:
        """Whether the parameter was given and is not null."""
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A string of at most 4096 characters, not empty."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
            raise self.fail(name, f"a string of 1 to {MAX_TEXT} characters")
        return value

    def integer(
        self, name: str, *, minimum: int = 0, maximum: int = 1 << 62, default: int | None = None
    ) -> int:
        """An integer in a range, both ends included."""
        value = self._values.get(name, default)
        if type(value) is not int or not minimum <= value <= maximum:
            raise self.fail(name, f"an integer from {minimum} to {maximum}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def uuid(self, name: str) -> UUID:
        """A UUID in its usual spelling."""
        try:
            return UUID(self.text(name))
        except ValueError:
            raise self.fail(name, "a UUID") from None

    def inner(self, name: str) -> "Params":
        """An object."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise self.fail(name, "an object")
        return Params(value, f"{self._where}{name}.")

    def inner_list(self, name: str) -> list["Params"]:
        """A list of objects."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.fail(name, "a list of objects")
        return [Params(one, f"{self._where}{name}[{n}].") for n, one in enumerate(value)]

    def data(self, name: str) -> bytes:
        """Bytes, as base64."""
        value = self._values.get(name)
        try:
            return base64.b64decode(value if isinstance(value, str) else "*", validate=True)
        except (binascii.Error, ValueError):
            raise self.fail(name, "base64") from None

    def key_id(self, name: str = "keyId") -> CryptoKeyId:
        """A ``CryptoKeyId`` (vsphere.md §4.3)."""
        return self.inner(name).as_key_id()

    def as_key_id(self) -> CryptoKeyId:
        """This object as a ``CryptoKeyId``."""
        return CryptoKeyId(self.text("providerId"), self.text("keyId"))

    def key_plain(self, name: str) -> CryptoKeyPlain:
        """A ``CryptoKeyPlain`` (vsphere.md §4.3)."""
        return self.inner(name).as_key_plain()

    def as_key_plain(self) -> CryptoKeyPlain:
        """This object as a ``CryptoKeyPlain``."""
        secret = Secret(self.data("keyData"))
        return CryptoKeyPlain(self.key_id(), self.text("algorithm"), secret)


def key_plain_to_json(key: CryptoKeyPlain) -> dict[str, Any]:
    """The one place where key bytes are put into a message: the parameters of AddKey and Enable."""
    return {
        "keyId": key.key_id.to_json(),
        "algorithm": key.algorithm,
        "keyData": base64.b64encode(key.key_data.reveal()).decode("ascii"),
    }
