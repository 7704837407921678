"""Key locators: the grammar, the spelling rules, and the exact round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.locator import (
    EMPTY,
    MAX_DEPTH,
    NULL,
    ROLES,
    SIMPLE,
    Element,
    KeyLocator,
    List,
    LocatorError,
    Node,
    Pair,
    Simple,
    escape,
    unescape,
)

PROVIDER = "vmware:key/list/(pair/(fqid/<VMWARE-NULL>/kp%2d1/a%2db,HMAC%2dSHA%2d256,AAEC))"

VALID = [
    PROVIDER,
    PROVIDER.replace("vmware:key", "VMware:Key"),
    PROVIDER.replace("<VMWARE-NULL>", "%3cVMWARE%2dNULL%3e"),
    PROVIDER.replace("%2d", "%2D"),
    PROVIDER.replace("%2d", "-"),
    "vmware:key/null/",
    "vmware:key/rawkey/AAEC",
    "vmware:key/phrase/id/pass2key%3dPBKDF2",
    "vmware:key/role/<VMWARE-EMPTYSTRING>/obfuscation",
    "vmware:key/ldap/a/b/c/636/true/d",
    "vmware:key/script/a/b/c",
    "vmware:key/list/(list/(null/),role/x/server)",
]

INVALID = [
    "",
    "vmware:key/",
    "vmware:lock/null/",
    "vmware:key/fqid/a/b",
    "vmware:key/fqid/a/b/c/d",
    "vmware:key/fqid/a/b/c ",
    "vmware:key/fqid/a/b/%2",
    "vmware:key/fqid/a/b/%zz",
    "vmware:key/FQID/a/b/c",
    "vmware:key/role/x/owner",
    "vmware:key/list/()",
    "vmware:key/list/(null/",
    "vmware:key/list/(null/,)",
    "vmware:key/pair/(null/,a)",
    "vmware:key/pair/(null/,a,b,c)",
    "vmware:key/null/é",
    "vmware:key/" + "list/(" * (MAX_DEPTH + 1) + "null/" + ")" * (MAX_DEPTH + 1),
    "vmware:key/null/" + "a" * 70000,
]


@pytest.mark.parametrize("text", VALID)
def test_what_is_read_is_written_byte_for_byte(text: str) -> None:
    assert str(KeyLocator.parse(text)) == text


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_locator_is_refused(text: str) -> None:
    with pytest.raises(LocatorError):
        KeyLocator.parse(text)


@pytest.mark.parametrize("spelling", ["<VMWARE-NULL>", "%3cVMWARE%2dNULL%3e", "<VMWARE%2DNULL>"])
def test_a_reader_unescapes_before_it_compares_with_the_markers(spelling: str) -> None:
    assert Element(spelling).value is None


def test_absent_and_empty_are_different() -> None:
    assert Element.of(None).spelling == NULL
    assert Element.of("").spelling == EMPTY
    assert (Element.of(None).value, Element.of("").value) == (None, "")


@pytest.mark.parametrize("marker", [NULL, EMPTY])
def test_a_marker_cannot_be_a_value(marker: str) -> None:
    with pytest.raises(LocatorError):
        Element.of(marker)


def test_the_locator_of_a_key_provider() -> None:
    key = CryptoKeyId("kp-1", "8f2c-é")
    text = str(KeyLocator.locked_by(key, b"\xff\xfe\xfd="))
    assert text == (
        "vmware:key/list/(pair/(fqid/<VMWARE-NULL>/kp%2d1/8f2c%2d%c3%a9,"
        "HMAC%2dSHA%2d256,%2f%2f79PQ%3d%3d))"
    )
    [locked] = KeyLocator.parse(text).locked()
    assert (locked.key_id, locked.mac, locked.data) == (key, "HMAC-SHA-256", b"\xff\xfe\xfd=")


def test_lockers_that_are_no_key_of_a_provider_are_passed_over() -> None:
    text = (
        "vmware:key/list/(pair/(phrase/a/b,HMAC%2dSHA%2d1,AA%3d%3d),"
        "pair/(fqid/<VMWARE-NULL>/p/k,HMAC%2dSHA%2d1,AQ%3d%3d))"
    )
    assert [locked.data for locked in KeyLocator.parse(text).locked()] == [b"\x01"]


def test_locked_data_that_is_not_base64() -> None:
    with pytest.raises(LocatorError, match="base64"):
        list(KeyLocator.parse(PROVIDER.replace("AAEC", "AAE")).locked())


def test_a_raw_key_does_not_show_itself() -> None:
    assert "AAEC" not in repr(KeyLocator.parse("vmware:key/rawkey/AAEC"))


texts = st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
elements = st.one_of(st.none(), texts).map(Element.of)


def simple_nodes() -> st.SearchStrategy[Simple]:
    def of_kind(kind: str) -> st.SearchStrategy[Simple]:
        parts = [elements] * len(SIMPLE[kind])
        if kind == "role":
            parts[1] = st.sampled_from(sorted(ROLES)).map(Element.of)
        return st.tuples(*parts).map(lambda elements: Simple(kind, elements))

    return st.sampled_from(sorted(SIMPLE)).flatmap(of_kind)


def compounds(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(inner, min_size=1, max_size=3).map(lambda members: List(tuple(members)))
    return st.one_of(lists, st.builds(Pair, inner, elements, elements))


nodes: st.SearchStrategy[Node] = st.recursive(simple_nodes(), compounds, max_leaves=8)


@given(nodes)
def test_parse_of_emit_is_the_same_tree(node: Node) -> None:
    locator = KeyLocator(node)
    assert KeyLocator.parse(str(locator)) == locator


@given(st.text(alphabet="vmware:key/listparfqd(),%2d<>-Q", max_size=60))
def test_any_text_gives_a_locator_or_a_locator_error(tail: str) -> None:
    text = "vmware:key/" + tail
    try:
        locator = KeyLocator.parse(text)
    except LocatorError:
        return
    assert str(locator) == text


@given(texts)
def test_escaping_can_be_undone(value: str) -> None:
    assert unescape(escape(value)) == value
    assert escape(value).isascii()
