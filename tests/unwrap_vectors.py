"""Reads the vectors of conformance/suite/unwrap: one file, one key to unwrap, one outcome.

The form is that of the Community Cryptography Test Vectors: a header of ``name: value`` lines, a
blank line, the payload. Hexadecimal values may go on in lines that begin with a space. The payload
is the wrapped key, in hexadecimal. A header name that is not known, or missing, is an error: a
vector that is read only in part would test something else than it says.

===========  ==========================================================================
source       where it is from, or how it was made
method       a name of :data:`METHODS`
expect       a name of :data:`OUTCOMES`
key          the wrapping key: its bytes, or a private key of RSA in PKCS #1
unwrapped    what must come out (only with ``expect: success``, and always then)
iv           the IV/Counter/Nonce (GCM)
tag length   bytes of the tag, 16 if not said (GCM)
hash         Hashing Algorithm (OAEP)
mask hash    Mask Generator Hashing Algorithm (OAEP)
label        P Source, empty if not said (OAEP)
comment      anything
===========  ==========================================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    PaddingMethod,
    ResultReason,
)

FOLDER = Path(__file__).parents[1] / "conformance" / "suite" / "unwrap"

METHODS = {
    "nist key wrap": Parameters(block_cipher_mode=BlockCipherMode.NISTKEYWRAP),
    "aes key wrap padding": Parameters(block_cipher_mode=BlockCipherMode.AESKEYWRAPPADDING),
    "gcm": Parameters(block_cipher_mode=BlockCipherMode.GCM),
    "rsa oaep": Parameters(padding_method=PaddingMethod.OAEP),
}

OUTCOMES = {
    "success": None,
    "wrong key": ResultReason.CRYPTOGRAPHIC_FAILURE,
    "altered": ResultReason.CRYPTOGRAPHIC_FAILURE,
    "short input": ResultReason.INVALID_FIELD,
}
"""What unwrapping has to come to: the Result Reason of the error, or none."""

_REQUIRED = frozenset({"source", "method", "expect", "key"})
_OPTIONAL = {
    "nist key wrap": frozenset[str](),
    "aes key wrap padding": frozenset[str](),
    "gcm": frozenset({"iv", "tag length"}),
    "rsa oaep": frozenset({"hash", "mask hash", "label"}),
}


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One file."""

    name: str
    source: str
    method: str
    expect: str
    key: bytes
    parameters: Parameters
    iv: bytes | None
    wrapped: bytes
    unwrapped: bytes | None

    @property
    def algorithm(self) -> CryptographicAlgorithm:
        """Of the wrapping key."""
        return CryptographicAlgorithm.RSA if "rsa" in self.method else CryptographicAlgorithm.AES

    @property
    def reason(self) -> ResultReason | None:
        """The Result Reason of the error that unwrapping must give; ``None`` for success."""
        return OUTCOMES[self.expect]


def vectors(folder: Path = FOLDER) -> Iterator[Vector]:
    """All vectors of the folder, in the order of their names."""
    for path in sorted(folder.glob("*.txt")):
        try:
            yield parse(path.stem, path.read_text(encoding="utf-8"))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error


def parse(name: str, text: str) -> Vector:
    """One vector; ``ValueError`` or ``KeyError`` for what the text above does not allow."""
    head, _, payload = text.partition("\n\n")
    fields = _header(head)
    method, expect = fields["method"], fields["expect"]
    needed = _REQUIRED | ({"unwrapped"} if OUTCOMES[expect] is None else frozenset())
    unknown = fields.keys() - needed - _OPTIONAL[method] - {"comment"}
    if unknown or needed - fields.keys():
        raise ValueError(f"unknown: {sorted(unknown)}; missing: {sorted(needed - fields.keys())}")
    return Vector(
        name=name,
        source=fields["source"],
        method=method,
        expect=expect,
        key=bytes.fromhex(fields["key"]),
        parameters=_parameters(fields),
        iv=_hex(fields, "iv"),
        wrapped=bytes.fromhex(payload),
        unwrapped=_hex(fields, "unwrapped"),
    )


def _header(head: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in head.splitlines():
        if line.startswith(" ") and last:
            fields[last] += line.strip()
            continue
        last, colon, value = line.partition(":")
        if not colon or last in fields:
            raise ValueError(f"not a header line, or a second one of its name: {line!r}")
        fields[last] = value.strip()
    return fields


def _hex(fields: dict[str, str], name: str) -> bytes | None:
    return bytes.fromhex(fields[name]) if name in fields else None


def _parameters(fields: dict[str, str]) -> Parameters:
    base = METHODS[fields["method"]]
    return Parameters(
        block_cipher_mode=base.block_cipher_mode,
        padding_method=base.padding_method,
        tag_length=int(fields["tag length"]) if "tag length" in fields else None,
        hashing_algorithm=_hash(fields.get("hash")),
        mask_generator_hashing_algorithm=_hash(fields.get("mask hash")),
        p_source=_hex(fields, "label"),
    )


def _hash(name: str | None) -> HashingAlgorithm | None:
    return None if name is None else HashingAlgorithm[name]
