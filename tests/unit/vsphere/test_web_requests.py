"""Requests to the Web Services API: envelopes, limits, sessions, faults, versions."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.web_services import application, codec, xml_input
from kmipkit_vsphere.web_services.codec import Reader, Writer
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.faults import Fault, fault_of
from kmipkit_vsphere.web_services.sessions import IDLE_TIMEOUT
from kmipkit_vsphere.web_services.soap import fault as fault_envelope
from kmipkit_vsphere.web_services.versions import RELEASES, Version, of_client
from kmipkit_vsphere.web_services.vim25 import faults
from kmipkit_vsphere.web_services.vim25.basics import KeyAnyValue, KeyValue
from kmipkit_vsphere.web_services.vim25.declaration import (
    AnyType,
    Long,
    Ref,
    Shape,
    Value,
    shape_of,
)
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus
from kmipkit_vsphere.web_services.vim25.tasks import TaskReasonUser
from lxml import etree
from pyVmomi import SoapAdapter, VmomiSupport
from vsphere_scene import ADMINISTRATOR, Scene
from web_lab import NS, PASSWORD, XSI_TYPE, RawClient, WebLab, envelope, play_api, web_lab

V8 = Version.parse("8.0.3.0")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebLab]:
    """A laboratory without hosts."""
    with web_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


async def empty(_scene: Scene) -> None:
    return None


# Envelopes ----------------------------------------------------------------------------------------

CURRENT_TIME = (
    '<CurrentTime xmlns="urn:vim25">'
    '<_this type="ServiceInstance">ServiceInstance</_this></CurrentTime>'
)
ENVELOPES = [
    envelope(CURRENT_TIME),
    b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>'
    + CURRENT_TIME.encode()
    + b"</Body></Envelope>",
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:q="urn:vim25"><e:Header>'
    b"<operationID>7</operationID></e:Header><e:Body><q:CurrentTime>"
    b'<q:_this versionId="8.0.3.0" type="ServiceInstance"> ServiceInstance\n</q:_this>'
    b"</q:CurrentTime></e:Body></e:Envelope>",
    '<?xml version="1.0" encoding="UTF-16"?>\n'.encode("utf-16")
    + envelope(CURRENT_TIME).decode().encode("utf-16")[2:],
]


@pytest.mark.parametrize("body", ENVELOPES)
def test_any_prefix_and_encoding(lab: WebLab, body: bytes) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        assert (await client.send(body)).text("returnval")

    lab.play(test)


BAD = [
    b"",
    b"no XML",
    b"<a/>",
    envelope(""),
    envelope(CURRENT_TIME * 2),
    envelope('<CurrentTime xmlns="urn:vim25"/>'),
    envelope('<CurrentTime xmlns="urn:vim25"><_this>ServiceInstance</_this></CurrentTime>'),
    b'<!DOCTYPE a [<!ENTITY b "c">]>' + envelope(CURRENT_TIME),
    b"<!DOCTYPE a>" + envelope(CURRENT_TIME),
    '<!DOCTYPE a SYSTEM "file:///etc/passwd">'.encode("utf-16") + b"",
    envelope("<a>" * 100 + "</a>" * 100),
    envelope("<a/>" * (xml_input.MAX_ELEMENTS + 1)),
    envelope("<a " + " ".join(f'b{n}=""' for n in range(40)) + "/>"),
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_what_is_no_request(lab: WebLab, body: bytes) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        assert (await client.send(body)).fault == "InvalidRequest"

    lab.play(test)


def test_entities_are_never_expanded(lab: WebLab, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    entities = f'<!DOCTYPE x [<!ENTITY a SYSTEM "{secret.as_uri()}">]>'
    login = '<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>'
    body = entities.encode() + envelope(f"{login}<userName>&a;</userName></Login>")

    async def test(_: Scene, client: RawClient) -> None:
        answer = await client.send(body)
        assert answer.fault == "InvalidRequest"
        assert b"geheim" not in answer.body

    lab.play(test)


def test_sizes_and_paths(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        large = b" " * (application.MAX_BODY_WITHOUT_SESSION + 1)
        assert (await client.send(large)).status == 500
        assert (await client.send(b" " * (application.MAX_BODY + 1))).status == 413
        assert (await client.send(b"", **{"content-length": "99999999"})).status == 413
        client.cookie = ""
        assert (await client.send(large)).status == 413
        assert (await client.request("POST", "/nothing")).status == 404
        assert (await client.request("GET", "/sdk")).status == 405
        assert (await client.request("HEAD", "/sdk/vimServiceVersions.xml")).status == 405
        for path in ("/sdk", "/sdk/", "/sdk/vimService", "/sdk?x=y"):
            answer = await client.request("POST", path, envelope(CURRENT_TIME))
            assert answer.fault == "NotAuthenticated"

    lab.play(test)


def test_the_document_of_versions(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await client.request("GET", "/sdk/vimServiceVersions.xml")
        assert answer.status == 200
        assert answer.root.findtext("namespace/name") == "urn:vim25"
        assert answer.root.findtext("namespace/version") == "8.0.3.0"
        prior = [found.text for found in answer.root.findall("namespace/priorVersions/version")]
        assert "6.5" in prior
        assert "9.0.0.0" not in prior

    lab.play(test)


# Sessions -----------------------------------------------------------------------------------------


def test_what_needs_no_session(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        client.cookie = ""
        content = await client.call("ServiceInstance", "ServiceInstance", "RetrieveServiceContent")
        assert content.text("returnval/rootFolder") == "group-d1"
        names = [etree.QName(child).localname for child in content.values[0]]
        assert names[:4] == ["rootFolder", "propertyCollector", "viewManager", "about"]
        session = await client.fetch("SessionManager", "SessionManager", "currentSession")
        assert (session.status, session.values) == (200, [])
        for kind, moid in (("Folder", "group-d1"), ("Folder", "group-d99"), ("Task", "task-1")):
            assert (await client.fetch(kind, moid, "name")).fault in (
                "NotAuthenticated",
                "ManagedObjectNotFound",
            )
        answer = await client.fetch("SessionManager", "SessionManager", "sessionList")
        assert answer.fault == "NotAuthenticated"
        assert answer.fault_detail.findtext("v:privilegeId", None, NS) == "System.View"

    lab.play(test)


def test_the_check_of_govc_for_a_session_that_has_ended(lab: WebLab) -> None:
    """An object without properties, and no fault: then govc logs in again."""

    async def test(_: Scene, client: RawClient) -> None:
        fields = (
            "<specSet><propSet><type>SessionManager</type><pathSet>currentSession</pathSet></propSet>"
            '<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet>'
            "<options/>"
        )
        collector = ("PropertyCollector", "propertyCollector", "RetrievePropertiesEx", fields)
        known = await client.call(*collector)
        assert known.text("returnval/objects/propSet/val/userName") == ADMINISTRATOR
        client.cookie = "vmware_soap_session=0123"
        unknown = await client.call(*collector)
        assert unknown.text("returnval/objects/obj") == "SessionManager"
        assert unknown.text("returnval/objects/propSet") is None

    lab.play(test)


@pytest.mark.parametrize("form", ["{}", '"{}"', "{}; Path=/; HttpOnly; Secure", "a=b; {}"])
def test_forms_of_the_cookie(lab: WebLab, form: str) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        token = re.search(r"vmware_soap_session=(\w+)", client.cookie)
        assert token is not None
        if form == '"{}"':
            client.cookie = f'vmware_soap_session="{token[1]}"'
        else:
            client.cookie = form.format(token[0])
        answer = await client.call("ServiceInstance", "ServiceInstance", "CurrentTime")
        assert answer.status == 200

    lab.play(test)


def test_the_cookie_is_for_tls_and_not_for_scripts(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        client.cookie = ""
        cookie = (await client.login()).headers["set-cookie"]
        assert cookie.endswith("; Path=/; HttpOnly; Secure")

    lab.play(test)


def test_a_second_login_and_logout(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        assert (await client.login()).fault == "InvalidLogin"
        assert (await client.call("SessionManager", "SessionManager", "Logout")).status == 200
        answer = await client.call("ServiceInstance", "ServiceInstance", "CurrentTime")
        assert answer.fault == "NotAuthenticated"

    lab.play(test)


def test_a_session_ends_when_it_is_idle(tmp_path: Path) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        now = ("ServiceInstance", "ServiceInstance", "CurrentTime")
        scene.now += IDLE_TIMEOUT - timedelta(seconds=1)
        assert (await client.call(*now)).status == 200
        scene.now += IDLE_TIMEOUT - timedelta(seconds=1)
        assert (await client.call(*now)).status == 200
        scene.now += IDLE_TIMEOUT + timedelta(seconds=1)
        assert (await client.call(*now)).fault == "NotAuthenticated"

    play_api(tmp_path, test, prepare=empty)


def test_who_sees_and_ends_sessions(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        await scene.call("SetPassword", user="ada", password="geheimes Wort")
        await scene.call("SetPermission", principal="ada", role="ReadOnly")
        ada = RawClient(client.endpoint)
        key = (await ada.login("ada", "geheimes Wort")).text("returnval/key")
        for caller, count in ((ada, 1), (client, 2)):
            answer = await caller.fetch("SessionManager", "SessionManager", "sessionList")
            users = {found.text for found in answer.root.findall(".//v:userName", NS)}
            assert len(users) == count
        own = client.endpoint.sessions.all()[0].key
        end = ("SessionManager", "SessionManager", "TerminateSession")
        refused = await ada.call(*end, f"<sessionId>{own}</sessionId>")
        assert refused.fault == "NoPermission"
        privilege = refused.fault_detail.findtext("v:privilegeId", None, NS)
        assert privilege == "Sessions.TerminateSession"
        assert (await client.call(*end, f"<sessionId>{key}</sessionId>")).status == 200
        assert (await client.call(*end, f"<sessionId>{key}</sessionId>")).fault == "NotFound"
        answer = await ada.fetch("SessionManager", "SessionManager", "currentSession")
        assert answer.values == []

    lab.play(test)


def test_a_changed_password_ends_the_sessions_of_its_user(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        await scene.call("SetPassword", user="eva", password="geheimes Wort")
        eva = RawClient(client.endpoint)
        assert (await eva.login("eva", "geheimes Wort")).status == 200
        await scene.call("SetPassword", user="eva", password="anderes Wort")
        current = await eva.fetch("SessionManager", "SessionManager", "currentSession")
        assert current.values == []
        assert (await eva.login("eva", "geheimes Wort")).fault == "InvalidLogin"
        assert (await eva.login("eva", "anderes Wort")).status == 200

    lab.play(test)


# Methods and parameters ---------------------------------------------------------------------------


def test_unknown_methods_and_objects(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await client.call("ServiceInstance", "ServiceInstance", "Nothing")
        assert answer.fault == "MethodNotFound"
        receiver = answer.fault_detail.find("v:receiver", NS)
        assert receiver is not None
        assert (receiver.get("type"), receiver.text) == ("ServiceInstance", "ServiceInstance")
        assert answer.fault_detail.findtext("v:method", None, NS) == "Nothing"
        for kind, moid in (("Folder", "ServiceInstance"), ("Nothing", "x"), ("Folder", "vm-1")):
            answer = await client.call(kind, moid, "CurrentTime")
            assert answer.fault == "ManagedObjectNotFound"

    lab.play(test)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("", "container"),
        ('<container type="Folder">group-d1</container>', "recursive"),
        ('<container type="Folder">group-d1</container><recursive>ja</recursive>', "recursive"),
        ("<container>group-d1</container><recursive>1</recursive>", "container"),
        (
            '<container type="Folder">group-d1</container><recursive>1</recursive>'
            "<recursive>0</recursive>",
            "recursive",
        ),
        ('<container type="Task">t</container><recursive><a/></recursive>', "recursive"),
    ],
)
def test_wrong_parameters_are_named(lab: WebLab, fields: str, problem: str) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await client.call("ViewManager", "ViewManager", "CreateContainerView", fields)
        assert answer.fault == "InvalidArgument"
        assert answer.fault_detail.findtext("v:invalidProperty", None, NS) == problem
        assert problem in answer.fault_string

    lab.play(test)


def test_a_defect_is_a_fault_without_its_text(
    lab: WebLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: Endpoint, *_: object) -> None:
        raise ZeroDivisionError("a secret")

    async def test(_: Scene, client: RawClient) -> None:
        monkeypatch.setattr(Endpoint, "method_of", fail)
        answer = await client.call("ServiceInstance", "ServiceInstance", "CurrentTime")
        assert answer.fault == "SystemError"
        assert b"secret" not in answer.body
        assert "secret" not in caplog.text

    lab.play(test)


# Faults -------------------------------------------------------------------------------------------


def decoded(data: bytes) -> object:
    """What pyVmomi makes of a fault."""
    parser = SoapAdapter.SoapResponseDeserializer(None)
    return parser.Deserialize(data, VmomiSupport.GetVmodlType("void"))


@pytest.mark.parametrize("kind", [*errors.FAULTS.values(), errors.VSphereError])
def test_every_failure_of_vcenter_is_a_fault_that_pyvmomi_knows(
    kind: type[errors.VSphereError],
) -> None:
    required = {"required_key": [CryptoKeyId("KMS/1", "k")]}
    is_locked = kind is errors.EncryptionKeyRequired
    error = kind("ein\x00 Text", **(required if is_locked else {}))
    fault = fault_of(error, lambda entity: Ref("Folder", entity))
    assert fault.message == error.message
    found = decoded(fault_envelope(fault, V8))
    assert isinstance(found, VmomiSupport.GetVmodlType("vmodl.MethodFault"))
    assert type(found).__name__.rpartition(".")[2] == type(fault.detail).__name__
    assert found.msg == "ein\ufffd Text"
    if is_locked:
        assert found.requiredKey[0].providerId.id == "KMS/1"


def test_no_permission_names_object_and_privilege() -> None:
    error = errors.NoPermission("nein", object="machine/db1", privilege_id="Cryptographer.Clone")
    found = decoded(fault_envelope(fault_of(error, lambda _: Ref("VirtualMachine", "vm-7")), V8))
    assert found.object._moId == "vm-7"  # type: ignore[attr-defined]
    assert found.privilegeId == "Cryptographer.Clone"  # type: ignore[attr-defined]
    assert found.missingPrivileges[0].privilegeIds == ["Cryptographer.Clone"]  # type: ignore[attr-defined]


def test_a_runtime_fault_is_named_twice_fault() -> None:
    """pyVmomi takes the type from the name of the element, without its last five letters."""
    data = fault_envelope(Fault(faults.RuntimeFault(), "x"), V8)
    assert b"<RuntimeFaultFault " in data


def test_a_fault_that_is_newer_than_the_client_becomes_its_base() -> None:
    data = fault_envelope(Fault(faults.EncryptionKeyRequired(), "x"), Version.parse("6.5"))
    assert b"<InvalidStateFault " in data


# Values -------------------------------------------------------------------------------------------


def written(value: object, version: str = "8.0.3.0") -> etree._Element:
    root = etree.Element(
        "{urn:vim25}x", nsmap={None: "urn:vim25", "xsd": codec.XSD, "xsi": codec.XSI}
    )
    Writer(Version.parse(version)).write_any(root, "{urn:vim25}val", value)
    return root[0]


ANY = [
    ("text", "xsd:string", "text"),
    ("a\x01b", "xsd:string", "a\ufffdb"),
    (True, "xsd:boolean", "true"),
    (7, "xsd:int", "7"),
    (Value(shape_of(Long), 7), "xsd:long", "7"),
    (b"\x00\xff", "xsd:base64Binary", "AP8="),
    (ManagedEntityStatus.GREEN, "ManagedEntityStatus", "green"),
    (Ref("Folder", "group-d1"), "ManagedObjectReference", "group-d1"),
]


@pytest.mark.parametrize(("value", "kind", "text"), ANY)
def test_a_value_of_any_type_says_what_it_is(value: object, kind: str, text: str) -> None:
    element = written(value)
    assert (element.get(XSI_TYPE), element.text) == (kind, text)


ARRAYS = [
    (["a", "b"], "ArrayOfString", "string"),
    ([1], "ArrayOfInt", "int"),
    ([Ref("Folder", "x")], "ArrayOfManagedObjectReference", "ManagedObjectReference"),
    ([KeyValue(key="a", value="b")], "ArrayOfKeyValue", "KeyValue"),
    (Value(Shape(KeyValue, is_array=True), ()), "ArrayOfKeyValue", None),
]


@pytest.mark.parametrize(("value", "kind", "item"), ARRAYS)
def test_an_array_of_any_type_is_wrapped(value: object, kind: str, item: str | None) -> None:
    element = written(value)
    assert element.get(XSI_TYPE) == kind
    assert {etree.QName(child).localname for child in element} == ({item} if item else set())
    read = Reader(V8).read(element, AnyType)
    assert tuple(read) == tuple(value.value if isinstance(value, Value) else value)  # type: ignore[arg-type]


def test_what_has_subclasses_names_its_type() -> None:
    root = etree.Element("{urn:vim25}x", nsmap={None: "urn:vim25", "xsi": codec.XSI})
    shape = shape_of(TaskReasonUser.__mro__[1])
    Writer(V8).write(root, "{urn:vim25}reason", shape, TaskReasonUser(user_name="ä"))
    assert root[0].get(XSI_TYPE) == "TaskReasonUser"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("1", bool, True),
        (" false\n", bool, False),
        ("-2147483648", int, -(1 << 31)),
        ("2147483648", Long, 1 << 31),
    ],
)
def test_simple_values(text: str, kind: object, expected: object) -> None:
    element = etree.fromstring(f"<x>{text}</x>")
    assert Reader(V8).read(element, shape_of(kind).kind) == expected


@pytest.mark.parametrize(
    ("text", "kind"), [("2147483648", int), ("", int), ("1.5", int), ("TRUE", bool), ("٣", int)]
)
def test_wrong_simple_values(text: str, kind: object) -> None:
    element = etree.fromstring(f"<x>{text}</x>")
    with pytest.raises(errors.InvalidArgument):
        Reader(V8).read(element, shape_of(kind).kind)


def test_any_type_keeps_key_and_value() -> None:
    element = written(KeyAnyValue(key="a", value=7))
    assert Reader(V8).read(element, AnyType) == KeyAnyValue(key="a", value=7)


@pytest.mark.parametrize(
    ("action", "release", "expected"),
    [
        ('"urn:vim25/6.5"', "8.0.3", "6.5"),
        ("urn:vim25/9.1.0.0", "8.0.3", "8.0.3.0"),
        ("urn:vim25/9.1.0.0", "9.0.0", "9.0.0.0"),
        ("urn:vim25", "9.0.0", "9.0.0.0"),
        ("", "8.0.3", "8.0.3.0"),
        ("urn:vim25/..", "8.0.3", "8.0.3.0"),
    ],
)
def test_the_version_of_a_client(action: str, release: str, expected: str) -> None:
    assert str(of_client(action, RELEASES[release])) == expected


@pytest.mark.parametrize("password", [PASSWORD.upper(), "", PASSWORD + " "])
def test_a_wrong_password(lab: WebLab, password: str) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        client.cookie = ""
        answer = await client.login(password=password)
        assert answer.fault == "InvalidLogin"
        assert "set-cookie" not in answer.headers

    lab.play(test)
