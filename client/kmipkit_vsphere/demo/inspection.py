"""Inspecting files: hexdumps, and a search for keys."""

import base64
from collections.abc import Iterator
from pathlib import Path

WIDTH = 16
BLOCK = 1 << 20


def hexdump(path: Path, offset: int, lines: int) -> Iterator[str]:
    """Some lines of a file as ``hexdump -C`` shows them."""
    with path.open("rb") as file:
        file.seek(offset)
        for number in range(lines):
            row = file.read(WIDTH)
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            yield f"{offset + number * WIDTH:08x}  {row.hex(' '):<{WIDTH * 3}} |{text}|"


def spellings(secret: bytes) -> tuple[bytes, ...]:
    """The forms of a secret in a file: raw, hexadecimal, base64 at any alignment."""
    encoded = [base64.b64encode(bytes(shift) + secret)[4 * (shift > 0) : -4] for shift in range(3)]
    hexadecimal = secret.hex()
    return (secret, hexadecimal.encode(), hexadecimal.upper().encode(), *encoded)


def files_with(folder: Path, secrets: tuple[bytes, ...]) -> list[Path]:
    """The files below a folder that hold any of these byte strings."""
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and contains(path, secrets)
    ]


def contains(path: Path, secrets: tuple[bytes, ...]) -> bool:
    """Whether a file holds any of these byte strings, also across the blocks it is read in."""
    overlap = max(map(len, secrets)) - 1
    tail = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            seen = tail + block
            if any(secret in seen for secret in secrets):
                return True
            tail = seen[-overlap:]
    return False
