"""Parameters of a call, read from JSON.

Each getter raises :class:`InvalidArgument` with the name of the parameter that is not as it must
be, and never its value. Key bytes are read by :meth:`Params.as_key_plain` alone.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret

MAX_TEXT = 4096
MAX_LONG_TEXT = 1 << 16

E = TypeVar("E", bound=Enum)


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

    def long_text(self, name: str) -> str:
        """A string of at most 65536 characters, such as a certificate in PEM."""
        value = self._values.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_LONG_TEXT:
            raise self.fail(name, f"a string of 1 to {MAX_LONG_TEXT} characters")
        return value

    def port(self, default: int | None = None) -> int:
        """The parameter ``port``."""
        return self.integer("port", minimum=1, maximum=65535, default=default)

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

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.fail(name, "a list of strings")
        return list(value)

    def mapping(self, name: str) -> dict[str, str]:
        """An object of strings; an empty one if it was not given."""
        value = self._values.get(name) or {}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self.fail(name, "an object of strings")
        return dict(value)

    def moment(self, name: str) -> datetime | None:
        """A time in ISO 8601, UTC unless it says otherwise; None if it was not given."""
        if not self.has(name):
            return None
        try:
            found = datetime.fromisoformat(self.text(name))
        except ValueError:
            raise self.fail(name, "a time such as 2026-01-31T12:00:00") from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def member(self, name: str, kind: type[E]) -> E:
        """A value of an enumeration."""
        try:
            return kind(self.text(name))
        except ValueError:
            raise self.fail(name, f"one of {', '.join(str(one.value) for one in kind)}") from None

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
        """This object as a ``CryptoKeyId``; its ``keyId`` is empty for a key to be made (§4.3)."""
        key_id = "" if self._values.get("keyId") == "" else self.text("keyId")
        return CryptoKeyId(self.text("providerId"), key_id)

    @property
    def values(self) -> Mapping[str, Any]:
        """All values, as they came."""
        return self._values

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
