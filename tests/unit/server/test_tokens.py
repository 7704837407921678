"""Root keys in PKCS #11 tokens, with SoftHSM: they never leave the token."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault import token as token_module
from kmipkit_server.vault import token_errors, token_mechanisms
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.kinds import create_root_key, open_vault, parse
from kmipkit_server.vault.pkcs11_uri import PKCS11URI
from kmipkit_server.vault.token_search import find_token
from stored_objects import insert, record
from tokens import PIN, Token, missing, needs_softhsm

pytestmark = needs_softhsm

if not missing():
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

KEY = bytes(range(32))


def opened(token: Token, name: str = "root", **query: str) -> token_module.TokenVault:
    uri = parse(token.uri(name, **query), token.folder)
    vault = open_vault(uri, token.folder / "counter", may_ask=False)
    assert isinstance(vault, token_module.TokenVault)
    return vault


def create(token: Token, name: str = "root") -> None:
    create_root_key(parse(token.uri(name), token.folder))


@contextmanager
def session_with(token: Token) -> Iterator["pkcs11.Session"]:
    """A session of the test's own, by which it looks into the token."""
    module = pkcs11.lib(dict(parse_query(token))["module-path"])
    found = find_token(module, PKCS11URI({"token": token.label}))
    with found.open(rw=True, user_pin=PIN) as session:
        yield session


def parse_query(token: Token) -> Iterator[tuple[str, str]]:
    for pair in token.uri().partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        yield name, value


def test_the_key_cannot_leave_the_token(token: Token) -> None:
    """Neither in plaintext nor wrapped: a thief of the server's memory does not have it."""
    create(token)
    with session_with(token) as session:
        [key] = session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        assert key[Attribute.SENSITIVE]
        assert key[Attribute.ALWAYS_SENSITIVE]
        assert not key[Attribute.EXTRACTABLE]
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert key[Attribute.TOKEN]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


def test_what_is_wrapped_is_rfc_5649_and_nothing_is_left_in_the_token(token: Token) -> None:
    create(token)
    vault = opened(token)
    assert vault.parameters == "AES_KEY_WRAP_PAD"
    wrapped = vault.wrap(KEY)
    assert len(wrapped) == 40
    assert wrapped == vault.wrap(KEY), "it is deterministic, as RFC 5649 is"
    assert opened(token).unwrap(wrapped) == KEY
    with pytest.raises(VaultError, match="another root key"):
        vault.unwrap(bytes(40))
    with session_with(token) as session:
        assert len(list(session.get_objects({}))) == 1


def test_two_keys_have_two_identifiers_and_one_has_always_the_same(token: Token) -> None:
    create(token, "a")
    create(token, "b")
    assert opened(token, "a").identifier == opened(token, "a").identifier
    assert opened(token, "a").identifier != opened(token, "b").identifier


def test_a_token_that_does_not_wrap_uses_gcm(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    create(token)
    gcm = {"AES_GCM": token_mechanisms.MECHANISMS["AES_GCM"]}
    with monkeypatch.context() as only_gcm:
        only_gcm.setattr(token_module, "MECHANISMS", gcm)
        vault = opened(token)
        assert vault.parameters == "AES_GCM"
        first, second = vault.wrap(KEY), vault.wrap(KEY)
        assert first != second, "a nonce that repeats breaks GCM"
        assert opened(token).unwrap(first) == KEY
        changed = bytearray(first)
        changed[20] ^= 1
        with pytest.raises(VaultError):
            opened(token).unwrap(bytes(changed))
        with closing(SQLiteDatabase.open(token.folder / "db", vault)) as store:
            insert(store, record())
        SQLiteDatabase.open(token.folder / "db", opened(token)).close()
        assert opened(token).identifier == vault.identifier


def test_a_token_without_any_mechanism_is_refused(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(token)
    for kind in (token_mechanisms.KeyWrap, token_mechanisms.GCM):
        monkeypatch.setattr(kind, "mechanism", lambda _: Mechanism.SEED_KEY_GEN)
    with pytest.raises(VaultError, match="has none of the mechanisms AES_KEY_WRAP_PAD, AES_GCM"):
        opened(token)


def test_the_store_asks_the_token_at_a_start_only(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token takes milliseconds for each key, during which nobody would be served."""
    create(token)
    with closing(SQLiteDatabase.open(token.folder / "db", opened(token))) as store:
        monkeypatch.setattr(token_module, "in_session", None)
        for number in range(3):
            insert(store, record(f"id-{number}"))
            store._transaction.sealer.retire_current_key()
            store._sealer._keys.clear()
        for number in range(3):
            stored = store.reader.get(f"id-{number}")
            assert stored is not None
            assert stored.material == record().material


def test_a_token_that_was_removed_serves_again_when_it_is_back(token: Token) -> None:
    create(token)
    vault = opened(token)
    wrapped = vault.wrap(KEY)
    token.remove()
    reset(token)
    with pytest.raises(VaultError, match="no token matches"):
        vault.unwrap(wrapped)
    token.insert()
    assert vault.unwrap(wrapped) == KEY


def reset(token: Token) -> None:
    """What the module notices when a token is pulled out."""
    module = pkcs11.lib(dict(parse_query(token))["module-path"])
    with ThreadPoolExecutor(
        1
    ) as executor:  # it leaves errors in the queue of OpenSSL of its thread
        executor.submit(module.reinitialize).result()


def test_a_session_that_the_token_has_ended_is_opened_again(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network HSM that was restarted has forgotten all sessions."""
    create(token)
    vault = opened(token)
    real, calls = token_module.find_key, []

    def once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise pkcs11.SessionHandleInvalid
        return real(*arguments)  # type: ignore[arg-type]  # those of the real one

    monkeypatch.setattr(token_module, "find_key", once)
    assert vault.unwrap(vault.wrap(KEY)) == KEY


def test_a_wrong_pin_is_tried_once(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens count wrong PINs, and lock."""
    create(token)
    token.set_pin("0000")
    real, calls = token_module.find_token, []

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]  # those of the real one

    monkeypatch.setattr(token_module, "find_token", counted)
    with pytest.raises(VaultError, match="refuses the PIN") as caught:
        opened(token)
    assert len(calls) == 1
    assert "0000" not in str(caught.value)


ERRORS = sorted(token_errors._TEXTS)


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_of_a_token_is_a_sentence(
    token: Token, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    create(token)

    def fail(*_: object) -> None:
        raise getattr(pkcs11, name)

    monkeypatch.setattr(token_module, "find_key", fail)
    with pytest.raises(VaultError, match=f"token '{token.label}': [a-z]"):
        opened(token)


def test_errors_that_the_table_knows_are_those_of_the_library() -> None:
    known = {name for name in dir(pkcs11) if isinstance(getattr(pkcs11, name), type)}
    assert token_errors._TEXTS.keys() | token_errors._PASSING <= known


def test_a_key_that_can_leave_the_token_is_refused(token: Token) -> None:
    create(token)
    opened(token)
    with session_with(token) as session:
        session.generate_key(
            KeyType.AES, 256, label="weak", store=True,
            capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
            template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
        )  # fmt: skip
        session.generate_key(KeyType.AES, 128, label="short", store=True)
    with pytest.raises(VaultError, match="can leave it; make one that cannot"):
        opened(token, "weak")
    with pytest.raises(VaultError, match="not an AES key of 256 bits"):
        opened(token, "short")


def test_a_key_that_is_there_is_not_made_again(token: Token) -> None:
    create(token)
    with pytest.raises(VaultError, match="has this key already"):
        create(token)


def test_a_missing_key_says_how_to_make_one(token: Token) -> None:
    with pytest.raises(
        VaultError, match=r"no such key; to make a new one, run: kmipkit admin keys"
    ):
        opened(token)


def test_a_key_without_a_name_is_not_made(token: Token) -> None:
    text = token.uri().replace(";object=root", "")
    with pytest.raises(VaultError, match="add object=NAME"):
        create_root_key(parse(text, token.folder))


def test_two_keys_of_one_name_are_told_apart_by_their_ids(token: Token) -> None:
    for number in (1, 2):
        text = token.uri().replace("?", f";id=%{number:02x}?", 1)
        create_root_key(parse(text, token.folder))
    with pytest.raises(VaultError, match=r"has 2 keys that match .* add object= or id="):
        opened(token)
    text = token.uri().replace("?", ";id=%02?", 1)
    assert open_vault(parse(text, token.folder), token.folder / "counter").identifier


WRONG_TOKENS = (
    "serial=1", "model=x", "manufacturer=x", "slot-id=12345", "library-version=0.1",
    "library-manufacturer=x", "library-description=x", "slot-description=x", "slot-manufacturer=x",
)  # fmt: skip


@pytest.mark.parametrize("attribute", WRONG_TOKENS)
def test_each_attribute_of_the_uri_counts(token: Token, attribute: str) -> None:
    create(token)
    text = token.uri().replace("?", f";{attribute}?", 1)
    with pytest.raises(VaultError, match="no token matches"):
        open_vault(parse(text, token.folder), token.folder / "counter")


def test_a_module_that_is_none(token: Token, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=r"nosuch\.so does not exist; install it"):
        opened(token, module_path="/usr/lib/nosuch.so")
    broken = tmp_path / "broken.so"
    broken.write_text("no module")
    with pytest.raises(VaultError, match=r"broken\.so cannot be loaded"):
        opened(token, module_path=str(broken))
    with pytest.raises(VaultError, match="no PKCS #11 module 'nosuch' in"):
        opened(token, module_path="", module_name="nosuch")


def test_a_module_is_found_by_its_name(token: Token) -> None:
    create(token)
    assert opened(token, module_path="", module_name="softhsm2").identifier


def test_the_package_is_missing(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(VaultError, match=r"pip install 'kmipkit\[hsm\]'"):
        opened(token)


def test_a_pin_without_a_terminal(token: Token) -> None:
    with pytest.raises(VaultError, match="no terminal to ask for the PIN of the token"):
        opened(token, pin_source="")


def test_the_pin_is_locked(token: Token) -> None:
    """SoftHSM does not lock PINs; the text is that of tokens which do."""
    error = pkcs11.PinLocked()
    text = token_errors.explained(error, PKCS11URI({"token": "kms"}), Path("m.so"))
    assert text.startswith("token 'kms': the PIN of the token is locked")
    assert "security officer" in text


def test_another_tool_sees_the_same_key(token: Token) -> None:
    """An operator looks at the token with the tools of OpenSC, if they are there."""
    create(token)
    module = dict(parse_query(token))["module-path"]
    try:
        listed = subprocess.run(
            ["pkcs11-tool", "--module", module, "--token-label", token.label, "--login",
             "--pin", PIN, "--list-objects"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except FileNotFoundError:
        pytest.skip("pkcs11-tool is not installed (Debian: opensc)")
    assert "Secret Key Object; AES length 32" in listed
    assert "sensitive" in listed
    assert "never extractable" in listed
