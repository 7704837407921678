"""The table of the kinds of root keys, by the schemes of their URIs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.vault import file, passphrase, pkcs11_uri, secrets, token
from kmipkit_server.vault.base import Vault
from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.credential import CredentialVault
from kmipkit_server.vault.environment import EnvironmentVault
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.file import FileVault
from kmipkit_server.vault.uri import RootKeyURI, file_uri, is_path, path_of


class Opening(NamedTuple):
    """How a root key is opened."""

    counter: CounterFile
    may_create: bool
    """Whether it may be made if there is none; only files are."""
    may_ask: bool
    """Whether to ask for a secret at the terminal."""


class Kind(NamedTuple):
    """A kind of root key."""

    parse: Callable[[str, Path], str]
    """What follows the scheme, with absolute paths; ValueError with what is wrong."""
    open: Callable[[RootKeyURI, Opening], Vault]
    create: Callable[[RootKeyURI], None]
    """Make a root key; VaultError if that is not possible, with what to do instead."""
    secret: Callable[[RootKeyURI], secrets.SecretSource | None] = lambda _: None
    """Where its passphrase or PIN comes from."""


def parse(text: str, base: Path) -> RootKeyURI:
    """The URI of a root key, or the path of its file; relative paths are relative to ``base``.

    ValueError with what is wrong with it, as the end of a sentence about it.
    """
    uri = RootKeyURI(text)
    if not text or "\0" in text:
        raise ValueError("is empty")
    kind = KINDS[uri.scheme]
    return RootKeyURI(
        str(base / text) if is_path(text) else f"{uri.scheme}:{kind.parse(uri.rest, base)}"
    )


def open_vault(
    uri: RootKeyURI, counter: CounterFile | Path, *, may_create: bool = False, may_ask: bool = True
) -> Vault:
    """Open a root key. VaultError if that fails; the text says what to do.

    Nothing is changed, unless the file of a root key does not exist and ``may_create`` permits to
    make it.

    Args:
        counter: where the counter of transactions is.
        may_create: whether the database is new.
        may_ask: whether to ask at the terminal; a server that runs has nobody to ask.
    """
    at = counter if isinstance(counter, CounterFile) else CounterFile(counter)
    return KINDS[uri.scheme].open(uri, Opening(at, may_create, may_ask))


def create_root_key(uri: RootKeyURI) -> None:
    """Make a new root key. VaultError if there is one already, or if this kind of key is made
    elsewhere."""
    KINDS[uri.scheme].create(uri)


def read_secret(uri: RootKeyURI, *, is_new: bool = False) -> None:
    """Read a secret that can be had only once now, while there is a terminal. VaultError without one.

    ``is_new`` is whether it is chosen now.
    """
    kind = KINDS[uri.scheme]
    wanted = kind.secret(uri)
    if wanted is not None and wanted.is_read_once:
        twice = is_new and uri.scheme == "passphrase"
        secrets.read(wanted, _SUBJECTS[uri.scheme], may_ask=True, twice=twice)


def needs_terminal(uri: RootKeyURI) -> bool:
    """Whether somebody must be asked for a secret."""
    wanted = KINDS[uri.scheme].secret(uri)
    return wanted is not None and wanted.kind == "terminal"


_SUBJECTS = {"passphrase": passphrase.SUBJECT, "pkcs11": token.SUBJECT}


def _parse_file(rest: str, base: Path) -> str:
    return file_uri(base / path_of(rest)).removeprefix("file:")


def _open_file(uri: RootKeyURI, opening: Opening) -> Vault:
    assert uri.path is not None
    return FileVault.open(uri.path, may_create=opening.may_create, counter=opening.counter)


def _create_file(uri: RootKeyURI) -> None:
    assert uri.path is not None
    try:
        file.create(uri.path)
    except FileExistsError:
        raise VaultError(f"{uri.path} exists already; name another file") from None


def _parse_name(rest: str, _base: Path) -> str:
    if not rest or "/" in rest or "=" in rest:
        raise ValueError("must have a name after the colon")
    return rest


def _open_environment(uri: RootKeyURI, opening: Opening) -> Vault:
    return EnvironmentVault.open(uri.rest, opening.counter)


def _open_credential(uri: RootKeyURI, opening: Opening) -> Vault:
    return CredentialVault.open(uri.rest, opening.counter)


def _refuse(text: str) -> Callable[[RootKeyURI], None]:
    def refuse(_uri: RootKeyURI) -> None:
        raise VaultError(text)

    return refuse


def _parse_passphrase(rest: str, base: Path) -> str:
    wanted, _ = passphrase.parse(rest, base)
    _, mark, query = rest.partition("?")
    place = "" if wanted.kind == "terminal" else f"{wanted.kind}={wanted.value}"
    return f"{place}{mark}{query}"


def _open_passphrase(uri: RootKeyURI, opening: Opening) -> Vault:
    wanted, cost = passphrase.parse(uri.rest, Path())
    # A new passphrase is entered twice: nobody can tell that it was mistyped.
    is_new = opening.may_create
    secret = secrets.read(wanted, passphrase.SUBJECT, may_ask=opening.may_ask, twice=is_new)
    return passphrase.PassphraseVault(secret, wanted, cost, str(uri), opening.counter)


def _parse_pkcs11(rest: str, base: Path) -> str:
    uri = pkcs11_uri.parse(rest)
    query = dict(uri.query)
    wanted = token.pin_source(uri, base)
    if wanted.kind != "terminal":
        query["pin-source"] = f"{wanted.kind}:{wanted.value}"
    if "module-path" in query:
        query["module-path"] = str((base / query["module-path"]).absolute())
    return str(uri.with_query(query)).removeprefix("pkcs11:")


def _open_pkcs11(uri: RootKeyURI, opening: Opening) -> Vault:
    parsed = pkcs11_uri.parse(uri.rest)
    return token.TokenVault.open(parsed, str(uri), opening.counter, may_ask=opening.may_ask)


def _create_pkcs11(uri: RootKeyURI) -> None:
    token.create_key(pkcs11_uri.parse(uri.rest), str(uri))


KINDS: Mapping[str, Kind] = {
    "file": Kind(_parse_file, _open_file, _create_file),
    "passphrase": Kind(
        _parse_passphrase,
        _open_passphrase,
        _refuse("a passphrase is chosen by you: its root key is computed when it is used first"),
        lambda uri: passphrase.parse(uri.rest, Path())[0],
    ),
    "env": Kind(
        _parse_name,
        _open_environment,
        _refuse(
            "a root key in the environment is made by you; for example with: openssl rand -hex 32"
        ),
    ),
    "credential": Kind(
        _parse_name,
        _open_credential,
        _refuse(
            "the root key of a credential is made by you; for example with: openssl rand -hex 32 |"
            " systemd-creds encrypt --name=NAME - FILE"
        ),
    ),
    "pkcs11": Kind(
        _parse_pkcs11,
        _open_pkcs11,
        _create_pkcs11,
        lambda uri: token.pin_source(pkcs11_uri.parse(uri.rest), Path()),
    ),
}
