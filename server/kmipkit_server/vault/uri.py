"""Where a root key is, as a text: a URI, or the path of a file."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

SCHEMES = ("file", "passphrase", "env", "credential", "pkcs11")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
"""Those that stay as they are in the path of a URI (RFC 3986 §3.3)."""


class RootKeyURI(str):
    """A URI with absolute paths, or a path; :func:`kmipkit_server.vault.kinds.parse` makes one."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """The scheme, in lower case; ``file`` for a path."""
        return split(self)[0]

    @property
    def rest(self) -> str:
        """What follows the scheme; for a path, the path as it is."""
        return split(self)[1]

    @property
    def path(self) -> Path | None:
        """The file of the root key; None for the other kinds."""
        scheme, rest = split(self)
        if scheme != "file":
            return None
        return Path(rest) if is_path(self) else path_of(rest)


def split(text: str) -> tuple[str, str]:
    """Scheme and rest. ValueError for a scheme that there is not."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        return "file", text
    scheme = match[1].lower()
    if scheme not in SCHEMES:
        raise ValueError(
            f"has the unknown scheme {match[1]!r}; there are {', '.join(SCHEMES)}; a file with such a"
            f" name is ./{text}"
        )
    return scheme, match[2]


def is_path(text: str) -> bool:
    """Whether a text is the path of a file, and not a URI."""
    return _SCHEME.fullmatch(text) is None


def path_of(rest: str) -> Path:
    """The path in a URI of a file (RFC 8089 §2), also a relative one. ValueError if there is none."""
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError(f"names a file of another host, {host!r}")
        rest = slash + path
    try:
        path = unquote(rest, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has a path that is not UTF-8") from None
    if not path or "\0" in path:
        raise ValueError("has no path")
    return Path(path)


def file_uri(path: Path) -> str:
    """The URI of a file."""
    return f"file:{quote(str(path.absolute()), safe=_PATH_CHARACTERS)}"
