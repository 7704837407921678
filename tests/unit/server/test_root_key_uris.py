"""URIs of root keys: all of RFC 7512, paths as before, and a clear word about everything else."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.vault import pkcs11_uri
from kmipkit_server.vault.kinds import parse
from kmipkit_server.vault.pkcs11_uri import PKCS11URI

BASE = Path("/base")

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
ATTRIBUTES = st.dictionaries(st.sampled_from(pkcs11_uri._TEXTS), TEXTS)
QUERIES = st.dictionaries(st.sampled_from(("pin-source", "module-name", "module-path")), TEXTS)
NUMBERS = st.integers(0, 255)
URIS = st.builds(
    PKCS11URI,
    ATTRIBUTES,
    st.none() | st.binary(max_size=20),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.tuples(NUMBERS, NUMBERS),
    QUERIES,
)


@given(URIS)
def test_what_is_written_is_read_again(uri: PKCS11URI) -> None:
    """Labels have any characters, and are compared with those of tokens."""
    scheme, rest = str(uri).split(":", 1)
    assert scheme == "pkcs11"
    assert rest.isascii()
    assert pkcs11_uri.parse(rest) == uri


@given(URIS, st.data())
def test_every_spelling_of_a_character_is_the_same(uri: PKCS11URI, data: st.DataObject) -> None:
    """Each octet may be percent-encoded, in upper and in lower case (RFC 3986 §2.1)."""

    def spelled(text: str) -> str:
        if not data.draw(st.booleans()):
            return quote(text, safe="")
        return "".join(f"%{byte:02x}" for byte in text.encode())

    path = [f"{name}={spelled(value)}" for name, value in uri.attributes.items()]
    if uri.id is not None:
        path.append(f"id={''.join(f'%{byte:02X}' for byte in uri.id)}")
    query = [f"{name}={spelled(value)}" for name, value in uri.query.items()]
    found = pkcs11_uri.parse(";".join(path) + ("?" if query else "") + "&".join(query))
    assert (found.attributes, found.id, found.query) == (uri.attributes, uri.id, uri.query)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """A mistake in the configuration is a line, and never a traceback."""
    for scheme in ("", "pkcs11:", "file:", "passphrase:", "env:", "credential:"):
        with suppress(ValueError):
            uri = parse(scheme + text, BASE)
            assert parse(uri, Path("/elsewhere")) == uri, "absolute, and its own canonical form"


EXAMPLES = (
    ("pkcs11:", PKCS11URI()),
    ("pkcs11:object=my-key;type=secret-key", PKCS11URI({"object": "my-key", "type": "secret-key"})),
    (
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
        "object=my-key;id=%69%95%3E%5C%F4%BD%EC%91?pin-source=file:/etc/token_pin",
        PKCS11URI(
            {
                "token": "The Software PKCS#11 Softtoken", "manufacturer": "Snake Oil, Inc.",
                "model": "1.0", "object": "my-key",
            },
            bytes.fromhex("69953e5cf4bdec91"),
            query={"pin-source": "file:/etc/token_pin"},
        ),
    ),
    ("pkcs11:slot-description=Sun%20Metaslot", PKCS11URI({"slot-description": "Sun Metaslot"})),
    (
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-version=3",
        PKCS11URI({"library-manufacturer": "Snake Oil, Inc."}, library_version=(3, 0)),
    ),
    ("pkcs11:slot-id=327", PKCS11URI(slot_id=327)),
    (
        "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-source=/p",
        PKCS11URI(
            {"token": "Software PKCS#11 softtoken", "manufacturer": "Snake Oil, Inc."},
            query={"pin-source": "/p"},
        ),
    ),
    ("pkcs11:?vendor-x=1&vendor-x=2", PKCS11URI()),
)  # fmt: skip
"""Most are from RFC 7512 §3."""


@pytest.mark.parametrize(("text", "expected"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_examples_of_the_standard(text: str, expected: PKCS11URI) -> None:
    assert pkcs11_uri.parse(text.removeprefix("pkcs11:")) == expected


WRONG = (
    ("pkcs11:token=a b", "' ' in the value of token; write it as %20"),
    ("pkcs11:token=a/b", "'/' in the value of token; write it as %2F"),
    ("pkcs11:token=%zz", "% in the value of token without two hexadecimal digits"),
    ("pkcs11:token=%ff", "value of token that is not UTF-8"),
    ("pkcs11:token=a;token=b", "token twice"),
    ("pkcs11:token", "must have NAME=VALUE"),
    ("pkcs11:token=a;", "must have NAME=VALUE"),
    ("pkcs11:lable=a", "unknown attribute 'lable'"),
    ("pkcs11:token=a?", "ends with [?]"),
    ("pkcs11:token=a?pin-value=1234", "a PIN in a setting can be read .*pin-source=file:PATH"),
    ("pkcs11:token=a?pin-source=/a&pin-source=/b", "pin-source twice"),
    ("pkcs11:token=a?pin-source=%7ccat%20pin", "a command as pin-source"),
    ("pkcs11:token=a?pin-source=ftp:pin", "file=PATH"),
    ("pkcs11:type=private", "must have type=secret-key"),
    ("pkcs11:type=banana", "unknown type"),
    ("pkcs11:slot-id=x", "slot-id that is not a number"),
    ("pkcs11:library-version=1.2.3", "library-version that is not"),
    (
        "vault:secret/kms",
        r"unknown scheme 'vault'; there are file, passphrase, .* [.]/vault:secret",
    ),
    ("", "is empty"),
    ("file:", "no path"),
    ("file://other/root.key", "a file of another host, 'other'"),
    ("file:%ff", "not UTF-8"),
    ("env:", "must have a name"),
    ("env:A=b", "must have a name"),
    ("credential:a/b", "must have a name"),
    ("passphrase:secret", "file=PATH, fd=NUMBER"),
    ("passphrase:file=", "nothing after file="),
    ("passphrase:fd=x", "a number after fd="),
    ("passphrase:fd=99999999", "a number after fd="),
    ("passphrase:credential=../x", "without a slash"),
    ("passphrase:?memory=0", "a cost such as"),
    ("passphrase:?memory=5000", "a cost such as"),
    ("passphrase:?passes=", "a cost such as"),
    ("passphrase:?lanes=4&lanes=5", "a cost such as"),
    ("passphrase:?rounds=4", "a cost such as"),
)


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text or "empty" for text, _ in WRONG])
def test_a_wrong_one_is_refused_with_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text, BASE)


PATHS = (
    ("root.key", "/base/root.key", "/base/root.key"),
    ("/etc/root.key", "/etc/root.key", "/etc/root.key"),
    ("a b%20c", "/base/a b%20c", "/base/a b%20c"),
    ("./env:x", "/base/env:x", "/base/env:x"),
    ("file:root.key", "file:/base/root.key", "/base/root.key"),
    ("FILE:root.key", "file:/base/root.key", "/base/root.key"),
    ("file:///etc/root.key", "file:/etc/root.key", "/etc/root.key"),
    ("file:a%20b", "file:/base/a%20b", "/base/a b"),
    ("env:NAME", "env:NAME", None),
    ("passphrase:file=x?memory=8", "passphrase:file=/base/x?memory=8", None),
    ("passphrase:", "passphrase:", None),
    ("pkcs11:object=a?pin-source=pin", "pkcs11:object=a?pin-source=file:/base/pin", None),
    ("pkcs11:object=a?module-path=m.so", "pkcs11:object=a?module-path=/base/m.so", None),
    ("pkcs11:object=a?pin-source=env:PIN", "pkcs11:object=a?pin-source=env:PIN", None),
)


@pytest.mark.parametrize(("text", "expected", "path"), PATHS, ids=[text for text, _, _ in PATHS])
def test_relative_paths_are_those_of_the_configuration(
    text: str, expected: str, path: str | None
) -> None:
    """A server that is started from another directory has the same root key."""
    uri = parse(text, BASE)
    assert uri == expected
    assert uri.path == (None if path is None else Path(path))
