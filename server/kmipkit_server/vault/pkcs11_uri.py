"""PKCS #11 URIs (RFC 7512): which key in which token, by which module, and where its PIN is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote_to_bytes

_TEXTS = (
    "token", "manufacturer", "serial", "model", "object",
    "library-manufacturer", "library-description", "slot-manufacturer", "slot-description",
)  # fmt: skip
_PATH = (*_TEXTS, "library-version", "slot-id", "type", "id")
"""The attributes of the path (RFC 7512 §2.3)."""
_QUERY = ("pin-source", "pin-value", "module-name", "module-path")
_TYPES = ("public", "private", "cert", "secret-key", "data")

_UNRESERVED = r"A-Za-z0-9\-._~"
_COMMON = r":\[\]@!$'()*+,="
_VALUE = {
    "path": re.compile(rf"(?:[{_UNRESERVED}{_COMMON}&]|%[0-9A-Fa-f]{{2}})*"),
    "query": re.compile(rf"(?:[{_UNRESERVED}{_COMMON}/?|]|%[0-9A-Fa-f]{{2}})*"),
}
"""What a value may have in each part (RFC 7512 §2.3, ``pk11-pchar`` and ``pk11-qchar``)."""
_NAME = re.compile(r"[A-Za-z0-9\-_]+")
_VERSION = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?")

PIN_VALUE = (
    "has pin-value: a PIN in a setting can be read by whoever sees the configuration; put it into a file"
    " with mode 0600, and write pin-source=file:PATH"
)


@dataclass(frozen=True, slots=True)
class PKCS11URI:
    """The attributes of a URI; those that it does not have are not in the mappings."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    """Those of the path whose values are texts, by their names."""
    id: bytes | None = None
    """The attribute CKA_ID of the key."""
    slot_id: int | None = None
    library_version: tuple[int, int] | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    def with_query(self, query: Mapping[str, str]) -> "PKCS11URI":
        """The same with other attributes of the query."""
        return replace(self, query=query)

    def __str__(self) -> str:
        path = [f"{name}={_quoted(value, _PATH_SAFE)}" for name, value in self.attributes.items()]
        if self.library_version is not None:
            path.append("library-version={}.{}".format(*self.library_version))
        if self.slot_id is not None:
            path.append(f"slot-id={self.slot_id}")
        if self.id is not None:
            path.append(f"id={''.join(f'%{byte:02x}' for byte in self.id)}")
        query = [f"{name}={_quoted(value, _QUERY_SAFE)}" for name, value in self.query.items()]
        return f"pkcs11:{';'.join(path)}{'?' if query else ''}{'&'.join(query)}"


_PATH_SAFE = ":[]@!$'()*+,=&~"
_QUERY_SAFE = ":[]@!$'()*+,=/?|~"


def _quoted(value: str, safe: str) -> str:
    return quote(value, safe=safe)


def parse(rest: str) -> PKCS11URI:
    """The URI, without its scheme. ValueError with what is wrong with it."""
    path_text, mark, query_text = rest.partition("?")
    if mark and not query_text:
        raise ValueError("ends with ?")
    path = dict(_pairs(path_text, ";", "path"))
    query = dict(_pairs(query_text, "&", "query"))
    unknown = [name for name in path if name not in _PATH]
    if unknown:
        # A key that differs in an attribute that nobody compares would be the wrong one.
        raise ValueError(f"has the unknown attribute {unknown[0]!r}; known are {', '.join(_PATH)}")
    if "pin-value" in query:
        raise ValueError(PIN_VALUE)
    if path.get("type", b"secret-key") != b"secret-key":
        known = path["type"].decode(errors="replace") in _TYPES
        raise ValueError("must have type=secret-key" if known else "has an unknown type")
    return PKCS11URI(
        {name: _text(name, path[name]) for name in path if name in _TEXTS or name == "type"},
        path.get("id"),
        _number(path["slot-id"]) if "slot-id" in path else None,
        _version(path["library-version"]) if "library-version" in path else None,
        {name: _text(name, value) for name, value in query.items() if name in _QUERY},
    )


def _pairs(text: str, separator: str, part: str) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for pair in text.split(separator) if text else ():
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(f"must have NAME=VALUE in its {part}, and not {pair!r}")
        _require_valid(name, value, _VALUE[part])
        if name in seen and (part == "path" or name in _QUERY):
            raise ValueError(f"has {name} twice")
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _require_valid(name: str, value: str, pattern: re.Pattern[str]) -> None:
    match = pattern.match(value)
    wrong = value[match.end() if match else 0 :][:1]
    if wrong == "%":
        raise ValueError(f"has a % in the value of {name} without two hexadecimal digits")
    if wrong:
        raise ValueError(
            f"has {wrong!r} in the value of {name}; write it as {quote(wrong, safe='')} (RFC 7512 §2.3)"
        )


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"has a value of {name} that is not UTF-8") from None


def _number(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise ValueError("has a slot-id that is not a number")
    return int(value)


def _version(value: bytes) -> tuple[int, int]:
    match = _VERSION.fullmatch(value.decode("ascii", "replace"))
    if match is None:
        raise ValueError("has a library-version that is not MAJOR or MAJOR.MINOR")
    return int(match[1]), int(match[2] or 0)
