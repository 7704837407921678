"""A root key in a PKCS #11 token, which never leaves it.

The token wraps and unwraps. A session is opened for each use, so that a token that was removed and
put back, or a network HSM that was restarted, serves the next one; that is at a start and at a
rotation only. Keys that are wrapped pass through the session as objects that end with it.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from kmipkit_server.vault import secrets
from kmipkit_server.vault.base import KEY_SIZE, Vault
from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.modules import LOCK, Key, Module, Session, load, module_path
from kmipkit_server.vault.pkcs11_uri import PKCS11URI
from kmipkit_server.vault.token_errors import explained, is_passing
from kmipkit_server.vault.token_mechanisms import MECHANISMS
from kmipkit_server.vault.token_search import NoKey, NoToken, find_key, find_token

_Result = TypeVar("_Result")

SUBJECT = "PIN of the token"


def pin_source(uri: PKCS11URI, base: Path) -> secrets.SecretSource:
    """Where the PIN is. ValueError if the URI does not say it in a way that is known.

    It is a file, as a path or as a URI (RFC 7512 §2.4); beyond that, there are ``fd:``, ``env:`` and
    ``credential:``. No program is run for it.
    """
    text = uri.query.get("pin-source")
    if text is None:
        return secrets.SecretSource()
    if text.startswith("|"):
        raise ValueError(
            "has a command as pin-source, which the server does not run; write the PIN into a file with"
            " mode 0600"
        )
    kind, colon, value = text.partition(":")
    if not colon or "/" in kind:
        kind, value = "file", text
    return secrets.source(kind, value.removeprefix("//") if kind == "file" else value, base)


class TokenVault(Vault):
    """Wraps keys with a root key in a token."""

    kind = "pkcs11"

    def __init__(
        self, uri: PKCS11URI, place: str, counter: CounterFile, pin: Callable[[], str]
    ) -> None:
        """Use :meth:`open`."""
        super().__init__(place, counter)
        self._uri = uri
        self._pin = pin
        self._identifier = ""
        self._mechanism = ""

    @classmethod
    def open(
        cls, uri: PKCS11URI, place: str, counter: CounterFile, *, may_ask: bool
    ) -> "TokenVault":
        """Find the token and the key. VaultError if that fails; the text says what to do."""
        vault = cls(uri, place, counter, _reader_of_pin(uri, may_ask=may_ask))
        vault._identify()
        return vault

    @property
    def identifier(self) -> str:
        """See :class:`.base.Vault`."""
        return self._identifier

    @property
    def parameters(self) -> str:
        """The mechanism that wraps."""
        return self._mechanism

    def fits(self, identifier: str, parameters: str) -> bool:
        """See :class:`.base.Vault`."""
        if self.identifier != identifier or parameters not in MECHANISMS:
            return self.identifier == identifier and not parameters
        self._mechanism = parameters
        return True

    def wrap(self, key: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        mechanism = MECHANISMS[self._mechanism]
        return self._with_key(lambda session, root: mechanism.wrap(session, root, key))

    def unwrap(self, wrapped: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        mechanism = MECHANISMS[self._mechanism]
        key = self._with_key(lambda session, root: mechanism.unwrap(session, root, wrapped))
        if len(key) != KEY_SIZE:
            raise VaultError(self.other_key())
        return key

    def _identify(self) -> None:
        def identified(session: Session, root: Key) -> tuple[str, str]:
            offered = session.token.slot.get_mechanisms()
            names = [name for name, each in MECHANISMS.items() if each.mechanism() in offered]
            if not names:
                raise VaultError(
                    f"the token {session.token.label!r} has none of the mechanisms"
                    f" {', '.join(MECHANISMS)},"
                    " one of which the root key needs; use another token"
                )
            mechanism = MECHANISMS[names[0]]
            return names[0], mechanism.identifier(session, root)

        self._mechanism, self._identifier = self._with_key(identified)

    def _with_key(self, use: Callable[[Session, Key], _Result]) -> _Result:
        """What a function of a session and the root key returns; tried again after a passing failure."""

        def run(session: Session) -> _Result:
            return use(session, find_key(session, self._uri, self.place))

        return in_session(self._uri, self._pin, run)


def _reader_of_pin(uri: PKCS11URI, *, may_ask: bool) -> Callable[[], str]:
    """Reads the PIN for each use, so that it is in memory no longer than that."""
    wanted = pin_source(uri, Path())

    def pin() -> str:
        try:
            return secrets.read(wanted, SUBJECT, may_ask=may_ask).decode()
        except UnicodeDecodeError:
            raise VaultError(f"{wanted} has a PIN that is not UTF-8") from None

    return pin


def in_session(
    uri: PKCS11URI,
    pin: Callable[[], str],
    use: Callable[[Session], _Result],
    *,
    writes: bool = False,
) -> _Result:
    """What a function of a session with a token returns. VaultError if it fails.

    A failure of the session or of the device is followed by one more attempt, with the module
    initialized again. A wrong PIN is never tried twice: tokens count them.
    """
    path = module_path(uri)
    # Modules that use OpenSSL leave errors in its queue, which belongs to the thread: in this one, they
    # would turn up as errors of TLS connections.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_attempts, path, uri, pin, use, writes=writes).result()


def _attempts(
    path: Path,
    uri: PKCS11URI,
    pin: Callable[[], str],
    use: Callable[[Session], _Result],
    *,
    writes: bool,
) -> _Result:
    with LOCK:
        module = load(path)
        from pkcs11 import PKCS11Error

        for attempt in (1, 2):
            try:
                with _session(module, uri, pin, writes=writes) as session:
                    return use(session)
            except NoToken:  # modules notice a token that is new when they are initialized
                if attempt == 2:
                    raise
            except PKCS11Error as error:
                if attempt == 2 or not is_passing(error):
                    raise VaultError(explained(error, uri, path)) from None
            _initialize(module, path)
    raise AssertionError("the second attempt returns or raises")


def _initialize(module: Module, path: Path) -> None:
    """Forget all sessions and look at the tokens again."""
    from pkcs11 import PKCS11Error

    try:
        module.reinitialize()
    except PKCS11Error as error:
        raise VaultError(f"the PKCS #11 module {path} does not recover: {error!r}") from None


@contextmanager
def _session(
    module: Module, uri: PKCS11URI, pin: Callable[[], str], *, writes: bool
) -> Iterator[Session]:
    import pkcs11

    token = find_token(module, uri)
    has_keypad = bool(token.flags & pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH)
    asks_itself = has_keypad and "pin-source" not in uri.query
    secret: Any = pkcs11.PROTECTED_AUTH if asks_itself else pin()
    with token.open(rw=writes, user_pin=secret) as session:
        yield session


def create_key(uri: PKCS11URI, place: str) -> None:
    """Generate a root key in a token, which cannot leave it. VaultError if that fails."""
    label = uri.attributes.get("object", "")
    if not label and uri.id is None:
        raise VaultError(
            "the URI does not say what the key is called; add object=NAME, for example"
            " object=kmipkit-root"
        )

    def generate(session: Session) -> None:
        import pkcs11

        with suppress(NoKey):
            find_key(session, uri, place)
            raise VaultError(
                f"the token {session.token.label!r} has this key already; use it as it is"
            )
        mechanisms = pkcs11.MechanismFlag
        session.generate_key(
            pkcs11.KeyType.AES,
            8 * KEY_SIZE,
            id=uri.id or os.urandom(16),
            label=label,
            store=True,
            capabilities=mechanisms.WRAP
            | mechanisms.UNWRAP
            | mechanisms.ENCRYPT
            | mechanisms.DECRYPT,
            template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
        )

    in_session(uri, _reader_of_pin(uri, may_ask=True), generate, writes=True)
