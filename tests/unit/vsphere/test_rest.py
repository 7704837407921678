"""The REST API for native key providers, as govc and scripts use it (shared facts §10)."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.web_services.rest.routing import ROUTES
from vmomi_scene import Client, WebScene, talk
from vsphere_scene import ADMINISTRATOR, Scene

BASE = "/api/vcenter/crypto-manager/kms/providers"
NEW_ID = "0f0e0d0c-1111-4222-8333-444455556666"
PASSWORD = "geheim µ"


async def cluster(s: Scene) -> None:
    """A cluster with two hosts, and a password of the administrator."""
    await s.call("CreateCluster", name="prod")
    for name in ("a", "b"):
        s.start_host(name)
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
    await s.call("SetPassword", user=ADMINISTRATOR, password=PASSWORD)


def create(client: Client, provider: str = "NKP", **more: Any) -> Any:
    body = {"provider": provider, "constraints": {"tpm_required": False}, **more}
    return client.rest("POST", BASE, body)


def download(client: Client, **export: Any) -> Any:
    """Export a provider, then download its backup."""
    prepared = client.rest("POST", BASE + "?action=export", {"provider": "NKP", **export}).json
    location = prepared["location"]
    path = location["url"].removeprefix("https://vc.example.net")
    token = location["download_token"]["token"]
    return client.rest("GET", path, authorization=f"Bearer {token}")


def check(folder: Path, test: Callable[[Client], None]) -> None:
    talk(folder, lambda web: test(web.client()), cluster)


# Sessions ----------------------------------------------------------------------------------------


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


LOGINS = {
    "/rest/com/vmware/cis/session": (200, lambda answer: answer["value"], "?~action=get", 200),
    "/api/session": (201, lambda answer: answer, None, 204),
}


@pytest.mark.parametrize("path", LOGINS)
def test_a_session_begins_is_shown_and_ends(tmp_path: Path, path: str) -> None:
    status, token_of, action, ended = LOGINS[path]

    def test(client: Client) -> None:
        header = basic(ADMINISTRATOR, PASSWORD)
        made = client.rest("POST", path, authorization=header)
        assert made.status == status
        session = {"vmware-api-session-id": token_of(made.json)}
        shown = client.rest("POST" if action else "GET", path + (action or ""), **session)
        content = shown.json["value"] if action else shown.json
        assert content == {
            "user": ADMINISTRATOR,
            "created_time": "2026-11-24T12:00:00.000Z",
            "last_accessed_time": "2026-11-24T12:00:00.000Z",
        }
        assert client.rest("GET", BASE, **session).status == 200
        assert client.rest("DELETE", path, **session).status == ended
        assert client.rest("GET", BASE, **session).status == 401

    check(tmp_path, test)


WRONG = {
    "the password": basic(ADMINISTRATOR, "wrong"),
    "the user": basic("nobody", PASSWORD),
    "nothing": "",
    "another scheme": "Bearer " + base64.b64encode(b"a:b").decode(),
    "no base64": "Basic ***",
    "no colon": "Basic " + base64.b64encode(b"administrator").decode(),
    "no UTF-8": "Basic " + base64.b64encode(b"a:\xff").decode(),
}


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG)
def test_a_login_that_is_wrong(tmp_path: Path, header: str) -> None:
    def test(client: Client) -> None:
        for path in LOGINS:
            answer = client.rest("POST", path, authorization=header)
            assert (answer.status, answer.body) == (401, b"")

    check(tmp_path, test)


def test_every_route_needs_a_session_but_for_login_and_download(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        paths = [
            (route.method, route.path.pattern.replace("\\", ""), route.action)
            for route in ROUTES
            if not route.is_public
        ]
        assert len(paths) >= 12
        for method, pattern, action in paths:
            path = pattern.replace("(?P<provider>.+)", "NKP").replace("(?P<host>.+)", "host-1")
            query = f"?action={action}" if action else ""
            answer = client.rest(method, path + query, {}, accept="*/*")
            assert (answer.status, answer.body) == (401, b""), path

    check(tmp_path, test)


# Providers ---------------------------------------------------------------------------------------


def test_a_native_provider_from_creation_to_removal(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        made = create(client, native_spec={"key_id": NEW_ID})
        assert (made.status, made.json) == (201, "NKP")
        assert client.rest("GET", BASE).json == [
            {"provider": "NKP", "type": "NATIVE", "health": "ERROR"}
        ]
        shown = client.rest("GET", BASE + "/NKP").json
        [detail] = shown.pop("details")
        assert "not backed up" in detail["default_message"]
        assert shown == {
            "health": "ERROR",
            "constraints": {"tpm_required": False},
            "type": "NATIVE",
            "native_info": {"key_id": NEW_ID},
        }
        file = download(client, password=PASSWORD)
        assert file.status == 200
        assert "attachment; filename=NKP20261124120000.p12" in file.headers["content-disposition"]
        assert client.rest("GET", BASE + "/NKP").json["health"] == "OK"
        [info] = client.key_manager.ListKmsClusters()
        assert (info.managementType, info.hasBackup, info.tpmRequired, info.keyId) == (
            "nativeProvider",
            True,
            False,
            NEW_ID,
        )
        changed = client.rest("PATCH", BASE + "/NKP", {"native_spec": {}})
        assert (changed.status, changed.body) == (204, b"")
        assert client.rest("GET", BASE + "/NKP").json["native_info"]["key_id"] != NEW_ID
        assert client.rest("GET", BASE + "?health=ERROR").json[0]["provider"] == "NKP"
        assert client.rest("GET", BASE + "?health=OK&health=NONE").json == []
        assert client.rest("GET", BASE + "?providers=OTHER").json == []
        removed = client.rest("DELETE", BASE + "/NKP")
        assert (removed.status, removed.body) == (204, b"")
        assert client.rest("GET", BASE).json == []

    check(tmp_path, test)


def test_a_backup_is_restored(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        create(client)
        key_id = client.rest("GET", BASE + "/NKP").json["native_info"]["key_id"]
        config = base64.b64encode(download(client, password=PASSWORD).body).decode()
        backup = {"config": config, "password": PASSWORD}
        path = BASE + "?action=import"
        for dry_run in (False, True):
            exists = client.rest("POST", path, {**backup, "dry_run": dry_run})
            assert (exists.status, exists.json["error_type"]) == (400, "ALREADY_EXISTS")
        client.rest("DELETE", BASE + "/NKP")
        for wrong in ({"password": "x"}, {"config": "AAAA"}, {"config": "?"}, {"config": None}):
            refused = client.rest("POST", path, {**backup, **wrong})
            assert (refused.status, refused.json["error_type"]) == (400, "INVALID_ARGUMENT")
        expected = {
            "provider": "NKP",
            "type": "NATIVE",
            "native_info": {"key_id": key_id},
            "export_time": "2026-11-24T12:00:00Z",
            "constraints": {"tpm_required": False},
        }
        assert client.rest("POST", path, {**backup, "dry_run": True}).json == expected
        assert client.rest("GET", BASE).json == []
        constraints = {"tpm_required": True}
        restored = client.rest("POST", path, {**backup, "constraints": constraints})
        assert restored.json == {**expected, "constraints": constraints}
        assert client.rest("GET", BASE + "/NKP").json["constraints"] == constraints

    check(tmp_path, test)


def test_a_download_token_is_valid_once_and_for_a_minute(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        create(client)
        export = client.rest("POST", BASE + "?action=export", {"provider": "NKP"})
        assert export.json["type"] == "LOCATION"
        location = export.json["location"]
        path = location["url"].removeprefix("https://vc.example.net")
        token = location["download_token"]["token"]
        assert location["download_token"]["expiry"] == "2026-11-24T12:01:00Z"
        for header in ("Bearer wrong", "Bearer", token, f"Basic {token}"):
            assert client.rest("GET", path, authorization=header).status == 401
        assert client.rest("GET", path).status == 401, "the session is not enough"
        assert client.rest("POST", path, authorization=f"bearer {token}").status == 200
        assert client.rest("GET", path, authorization=f"Bearer {token}").status == 401
        export = client.rest("POST", BASE + "?action=export", {"provider": "NKP"})
        client.web.scene.pass_time(seconds=61)
        late = export.json["location"]["download_token"]["token"]
        assert client.rest("GET", path, authorization=f"Bearer {late}").status == 401
        exported = client.web.run(client.web.scene.events, user=ADMINISTRATOR)[-2]
        assert exported["operation"] == "ExportNativeKeyProvider", "by the user who exported it"

    check(tmp_path, test)


ERRORS: dict[str, tuple[str, str, Any, int, str]] = {
    "the name is missing": ("POST", BASE, {}, 400, "INVALID_ARGUMENT"),
    "the name is empty": ("POST", BASE, {"provider": ""}, 400, "INVALID_ARGUMENT"),
    "no JSON": ("POST", BASE, None, 400, "INVALID_ARGUMENT"),
    "it exists": ("POST", BASE, {"provider": "NKP"}, 400, "ALREADY_EXISTS"),
    "a standard one has its name": ("POST", BASE, {"provider": "KMS"}, 400, "ALREADY_EXISTS"),
    "a key id that is none": (
        *("POST", BASE, {"provider": "x", "native_spec": {"key_id": "y"}}, 400),
        "INVALID_ARGUMENT",
    ),
    "a short key": (
        *("POST", BASE, {"provider": "x", "native_spec": {"key_derivation_key": "AAAA"}}, 400),
        "INVALID_ARGUMENT",
    ),
    "show an unknown one": ("GET", BASE + "/x", None, 404, "NOT_FOUND"),
    "show a standard one": ("GET", BASE + "/KMS", None, 400, "INVALID_ARGUMENT"),
    "delete an unknown one": ("DELETE", BASE + "/x", None, 404, "NOT_FOUND"),
    "delete a standard one": ("DELETE", BASE + "/KMS", None, 400, "INVALID_ARGUMENT"),
    "delete one in use": ("DELETE", BASE + "/NKP", None, 400, "RESOURCE_IN_USE"),
    "change an unknown one": ("PATCH", BASE + "/x", {}, 404, "NOT_FOUND"),
    "change a standard one": (
        *("PATCH", BASE + "/KMS", {"native_spec": {}}, 400),
        "INVALID_ARGUMENT",
    ),
    "export an unknown one": (
        *("POST", BASE + "?action=export", {"provider": "x"}, 404),
        "NOT_FOUND",
    ),
    "the action of one": ("POST", BASE + "/NKP?action=export", {}, 404, "NOT_FOUND"),
    "an unknown action": ("POST", BASE + "?action=x", {}, 404, "NOT_FOUND"),
    "an unknown path": ("GET", "/api/vcenter/x", None, 404, "NOT_FOUND"),
    "a health that is none": ("GET", BASE + "?health=x", None, 400, "INVALID_ARGUMENT"),
    "a method": ("PUT", BASE, {}, 405, "UNSUPPORTED"),
}


async def in_use(s: Scene) -> None:
    """A native provider that a machine uses, and a standard one."""
    await cluster(s)
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
    prepared = await s.call("ExportProvider", provider="NKP")
    await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
    await s.call("CreateVM", host="a", name="db1", diskSize=4096, encrypt=True)
    s.add_server("kms1")
    await s.add_kms("KMS", "kms1")


def test_errors_have_a_status_a_type_and_a_text(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        client = web.client()
        for name, (method, path, body, status, kind) in ERRORS.items():
            answer = client.rest(method, path, body)
            assert (answer.status, answer.json["error_type"]) == (status, kind), name
            [message] = answer.json["messages"]
            assert message["default_message"], name
        missing = client.rest("GET", "/rest/com/vmware/x").json
        assert missing["type"] == "com.vmware.vapi.std.errors.not_found"

    talk(tmp_path, test, in_use)


CALLS = {
    "list": ("GET", BASE, None, "Cryptographer.ReadKeyServersInfo"),
    "show": ("GET", BASE + "/NKP", None, "Cryptographer.ReadKeyServersInfo"),
    "create": ("POST", BASE, {"provider": "new"}, "Cryptographer.ManageKeyServers"),
    "change": (
        *("PATCH", BASE + "/NKP", {"native_spec": {}}),
        "Cryptographer.ManageKeyServers",
    ),
    "delete": ("DELETE", BASE + "/NKP", None, "Cryptographer.ManageKeyServers"),
    "export": (
        *("POST", BASE + "?action=export", {"provider": "NKP"}),
        "Cryptographer.ManageKeyServers",
    ),
    "import": (
        "POST",
        BASE + "?action=import",
        {"config": "AA=="},
        "Cryptographer.ManageKeyServers",
    ),
}


def test_every_call_needs_its_privilege(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        stranger = web.client("stranger")
        before = web.client().rest("GET", BASE + "/NKP").json
        for name, (method, path, body, privilege) in CALLS.items():
            answer = stranger.rest(method, path, body)
            assert (answer.status, answer.json["error_type"]) == (403, "UNAUTHORIZED"), name
            event = web.run(web.scene.events)[-1]
            assert event["arguments"]["privilege_id"] == privilege, name
        assert web.client().rest("GET", BASE + "/NKP").json == before

    talk(tmp_path, test, in_use)


def test_names_of_providers_in_paths(tmp_path: Path) -> None:
    names = ["with space", "Schlüssel µ", "a/b", "x?action=export"]

    def test(client: Client) -> None:
        for name in names:
            assert create(client, name).status == 201
        listed = [known["provider"] for known in client.rest("GET", BASE).json]
        assert listed == names
        for name in names[:3]:
            shown = client.rest("GET", f"{BASE}/{name}")
            assert shown.json["type"] == "NATIVE"

    check(tmp_path, test)


def test_the_url_of_a_download_does_not_repeat_what_is_no_host(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        create(client)
        session = {"vmware-api-session-id": client.token}
        hosts = {
            "vc.example.net:8443": "vc.example.net:8443",
            "[2001:db8::1]:443": "[2001:db8::1]:443",
            "evil/../x": "localhost",
            "a b": "localhost",
        }
        for host, expected in hosts.items():
            body = {"provider": "NKP"}
            answer = client.rest("POST", BASE + "?action=export", body, **session, host=host)
            assert answer.json["location"]["url"].startswith(f"https://{expected}/cryptomanager/")

    check(tmp_path, test)


def test_the_native_providers_of_a_host(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        client = web.client()
        host = web.moid("host/a")
        path = f"/api/vcenter/crypto-manager/hosts/{host}/kms/providers"
        assert client.rest("GET", path).json == [
            {"provider": "NKP", "type": "NATIVE", "health": "OK"}
        ]
        assert client.rest("GET", path + "?health=ERROR").json == []
        shown = client.rest("GET", path + "/NKP").json
        assert shown == {"health": "OK", "details": [], "type": "NATIVE"}
        for missing in (path + "/KMS", path.replace(host, "host-999")):
            assert client.rest("GET", missing).json["error_type"] == "NOT_FOUND"
        assert web.client("stranger").rest("GET", path).status in (403, 404)

    talk(tmp_path, test, in_use)
