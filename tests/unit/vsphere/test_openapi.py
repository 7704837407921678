"""The OpenAPI descriptions: they are valid, complete, and true of all that the roles answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import vsphere_scene
from jsonschema import Draft202012Validator
from kmipkit_vsphere.calls import guest, host
from kmipkit_vsphere.host.service import host_calls
from kmipkit_vsphere.model.encoding import decode, encode, json_schema
from kmipkit_vsphere.model.errors import FAULTS, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret, SecretText
from kmipkit_vsphere.roles import descriptions
from kmipkit_vsphere.rpc.api import Api, Caller
from kmipkit_vsphere.rpc.call import Row
from kmipkit_vsphere.rpc.faults import Problem
from kmipkit_vsphere.rpc.http import Call, Head
from kmipkit_vsphere.vcenter.calls import ROWS
from openapi_spec_validator import validate
from software_tpm import NOW, Maker
from trusted_scene import Whole, whole
from vsphere_scene import Scene, ask, play

ROLES: dict[str, Callable[[], dict[str, Any]]] = {
    "vcenter": descriptions.vcenter,
    "host": descriptions.host,
    "trust authority": lambda: descriptions.trust_authority(services=False),
    "services": lambda: descriptions.trust_authority(services=True),
}


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_description_is_valid_and_complete(role: str) -> None:
    document = ROLES[role]()
    validate(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"].endswith("."), "what it does"
            assert "Needs " in operation["description"], "what its caller needs"
            assert "\n" not in operation["summary"]
            assert operation["security"][0]["mutualTLS"] or path == "/caller"
            assert {"200", "400", "403", "404", "409", "500", "503"} < set(operation["responses"])


@pytest.mark.parametrize("role", sorted(ROLES))
def test_the_spelling_of_a_description(role: str) -> None:
    assert "colour" not in json.dumps(ROLES[role]()).lower()


def test_a_call_names_what_its_caller_needs() -> None:
    paths = descriptions.vcenter()["paths"]
    for row in ROWS:
        operation = paths[row.request.path()]["post"]
        assert operation["security"] == [{"mutualTLS": list(row.needs)}]
        assert row.privilege in operation["description"]
    hosted = descriptions.host()["paths"]
    assert hosted["/api/ReadDisk"]["get"]["security"] == [{"mutualTLS": ["guest"]}]
    assert hosted["/api/AddKey"]["post"]["security"] == [{"mutualTLS": ["management"]}]
    assert "get" not in hosted["/api/AddKey"]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_what_lists_is_a_query_and_a_query_has_plain_fields(role: str) -> None:
    document = ROLES[role]()
    for path, methods in document["paths"].items():
        assert "get" in methods or not path.startswith("/api/List")
        for parameter in methods.get("get", {}).get("parameters", ()):
            for schema in parameter["schema"].get("anyOf", [parameter["schema"]]):
                plain = schema.get("items", schema)
                name = plain.get("$ref", "").rpartition("/")[2]
                plain = document["components"]["schemas"].get(name, plain)
                assert "enum" in plain or plain["type"] not in ("object", "array"), parameter


def test_the_faults_are_those_of_the_table() -> None:
    responses = descriptions.host()["components"]["responses"]
    names = [
        name
        for response in responses.values()
        for part in response["content"]["application/problem+json"]["schema"].get("allOf", ())
        for name in part.get("properties", {}).get("fault", {}).get("enum", ())
    ]
    assert sorted(names) == sorted(FAULTS)


def test_keys_are_described_without_becoming_something_else() -> None:
    schemas, _ = json_schema([Secret, SecretText, bytes])
    assert schemas == [
        {"type": "string", "contentEncoding": "base64"},
        {"type": "string", "format": "password"},
        {"type": "string", "contentEncoding": "base64"},
    ]


def test_a_role_serves_what_the_command_prints_to_everybody(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        api = Api(s.rows, "kmipkit vCenter")
        head = Head("GET", "/openapi.json", "", "", "")
        nobody = Caller("nobody", frozenset())
        api.accept(head, nobody)
        answer = await api.answer(Call(head, b""), nobody)
        document = descriptions.vcenter()
        assert json.loads(answer.body) == json.loads(encode(document))
        answer = await api.answer(Call(head._replace(path="/caller"), b""), nobody)
        assert json.loads(answer.body) == {"name": "nobody", "roles": []}
        assert "/caller" in document["paths"]

    play(tmp_path, test).close()


# Answers -----------------------------------------------------------------------------------------


class Record:
    """All calls of a session, each held against the description of its role."""

    def __init__(self) -> None:
        self.methods: set[str] = set()
        self.faults: set[str] = set()
        self._documents = [make() for make in ROLES.values()]
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, row: Row, request: bytes, answer: bytes) -> None:
        self.methods.add(row.request.method())
        operation = self._operation(row)
        content = operation["requestBody"]["content"], operation["responses"]["200"]["content"]
        for schema, data in zip(content, (request, answer), strict=True):
            self._validate(schema["application/json"]["schema"], data, row)

    def check_fault(self, row: Row, fault: VSphereError) -> None:
        problem = Problem.of(fault)
        self.faults.add(problem.fault)
        reference = self._operation(row)["responses"][str(problem.status)]
        self._validate(reference, encode(problem), row)

    def _operation(self, row: Row) -> Any:
        """The operation of the role that has this call, and not one of the same name."""
        [operation] = [
            document["paths"][row.request.path()]["post"]
            for document in self._documents
            if self._needs(document, row) == list(row.needs)
        ]
        return operation

    @staticmethod
    def _needs(document: dict[str, Any], row: Row) -> list[str] | None:
        methods = document["paths"].get(row.request.path())
        return list(methods["post"]["security"][0]["mutualTLS"]) if methods else None

    def _validate(self, schema: dict[str, Any], data: bytes, row: Row) -> None:
        [document] = [
            document
            for document in self._documents
            if self._needs(document, row) == list(row.needs)
        ]
        name = schema.get("$ref", "")
        if "/responses/" in name:
            response = document["components"]["responses"][name.rpartition("/")[2]]
            schema = response["content"]["application/problem+json"]["schema"]
        key = json.dumps([document["info"]["title"], schema])
        if key not in self._validators:
            root = {**schema, "components": document["components"]}
            self._validators[key] = Draft202012Validator(root)
        self._validators[key].validate(json.loads(data))


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """The record of all calls in scenes."""
    made = Record()

    async def answer_of(row: Row, params: bytes, caller: str) -> bytes:
        request = encode(decode(params, row.request))
        try:
            answer = encode(await row.handler(decode(params, row.request), caller))
        except VSphereError as fault:
            made.check_fault(row, fault)
            raise
        made.check(row, request, answer)
        return answer

    monkeypatch.setattr(vsphere_scene, "answer_of", answer_of)
    return made


PASSWORD = "correct horse ☃ battery"
SESSION: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CreateFolder", {"name": "Büro"}),
    ("CreateCluster", {"name": "prod"}),
    ("GenerateKey", {"customAttributes": {"Department": "finance"}}),
    ("CreateVM", {"host": "esx01", "name": "web 1", "diskSize": 16384, "encrypt": True}),
    ("EncryptVM", {"name": "db1"}),
    ("RecryptVM", {"name": "db1", "deep": True}),
    ("AddDisk", {"name": "db1", "diskSize": 4096}),
    ("CloneVM", {"name": "db1", "newName": "db2"}),
    ("RemoveDisk", {"name": "db2", "disk": 1}),
    ("PowerOnVM", {"name": "db1"}),
    ("PowerOffVM", {"name": "db1"}),
    ("SetMigrateEncryption", {"name": "db1", "migrateEncryption": "required"}),
    ("ConfigureCryptoKey", {"host": "esx02"}),
    ("ChangeHostKey", {"host": "esx01"}),
    ("DumpCore", {"host": "esx01", "world": "hostd"}),
    ("ListCoreDumps", {"host": "esx01"}),
    ("UnregisterVM", {"name": "db2"}),
    ("RegisterVM", {"host": "esx01", "name": "db2"}),
    ("CryptoUnlock", {"name": "db2"}),
    ("DecryptVM", {"name": "db2"}),
    ("UnregisterVM", {"name": "db2"}),
    ("DeleteFiles", {"host": "esx01", "name": "db2"}),
    ("DestroyVM", {"name": "web 1"}),
    ("ListDatastore", {"host": "esx01"}),
    ("CreateSnapshot", {"name": "db1", "snapshot": "before"}),
    ("ListSnapshots", {"name": "db1"}),
    ("RevertToSnapshot", {"name": "db1", "snapshot": "before"}),
    ("RemoveAllSnapshots", {"name": "db1"}),
    ("ConsolidateDisks", {"name": "db1"}),
    ("CheckIntegrity", {"name": "db1"}),
    ("CreateStoragePolicy", {"name": "Gold ☃", "encrypt": True}),
    ("ListStoragePolicies", {}),
    ("SetStoragePolicy", {"name": "db1", "policy": "Gold ☃"}),
    ("CheckCompliance", {"allParts": True}),
    ("ListVMs", {}),
    ("ListInventory", {}),
    ("ListKeys", {}),
    ("ListKmsClusters", {}),
    ("ListKmipServers", {}),
    ("RetrieveKmipServersStatus", {}),
    ("IsKmsClusterActive", {"clusterId": "KMS"}),
    ("GetDefaultKmsCluster", {}),
    ("ClearDefaultKmsCluster", {}),
    ("GetDefaultKmsCluster", {}),
    ("SetDefaultKmsCluster", {"clusterId": "KMS"}),
    ("MarkDefault", {"clusterId": "KMS"}),
    ("GenerateSelfSignedClientCert", {"clusterId": "KMS"}),
    ("RetrieveSelfSignedClientCert", {"clusterId": "KMS"}),
    ("GenerateClientCsr", {"clusterId": "KMS"}),
    ("RetrieveClientCsr", {"clusterId": "KMS"}),
    ("RetrieveRootCert", {}),
    ("IssueClientCert", {"clusterId": "KMS"}),
    ("RetrieveClientCert", {"clusterId": "KMS"}),
    ("RetrieveKmipServerCert", {"clusterId": "KMS", "serverName": "kms1"}),
    ("SetRole", {"name": "Encrypter", "privileges": ["Cryptographer.Encrypt"]}),
    ("SetMember", {"group": "team", "member": "ada"}),
    ("SetPermission", {"principal": "team", "role": "Encrypter", "group": True}),
    ("ListRoles", {}),
    ("ListGroups", {}),
    ("ListPermissions", {}),
    ("HasPrivilege", {"privileges": ["System.View"], "user": "ada"}),
    ("RemovePermission", {"principal": "team", "group": True}),
    ("RemoveRole", {"name": "Encrypter"}),
    ("CreateNativeProvider", {"provider": "NKP", "anyHost": True}),
    ("DeleteNativeProvider", {"provider": "NKP", "force": True}),
    ("ReconnectHost", {"name": "esx01"}),
    ("QueryEvents", {"limit": 5}),
    ("ExportEvents", {"format": "jsonl"}),
    ("ListAlarms", {}),
    ("ListAlarmDefinitions", {}),
    ("DisableCrypto", {"host": "esx02"}),
)

FAILURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("EncryptVM", {"name": "missing"}),
    ("CreateVM", {"host": "esx01", "name": "db1", "diskSize": 16384}),
    ("ExportProvider", {"provider": "KMS"}),
    ("SetPermission", {"principal": "x", "role": "missing"}),
    ("DownloadBackup", {"token": "missing"}),
)


async def session(s: Scene) -> None:
    """A bit of everything with a key server and a native provider."""
    await s.prepare("esx01", "esx02")
    for method, params in SESSION:
        await s.call(method, **params)
    for method, params in FAILURES:
        with pytest.raises(VSphereError):
            await s.call(method, **params)
    with pytest.raises(VSphereError):
        await s.call("EncryptVM", "nobody", name="db1")
    await keys_and_backups(s)
    rows = host_calls(s.host())
    await ask(rows, guest.WriteDisk("db1", 3, b"salaries"))
    assert await ask(rows, guest.ReadDisk("db1", 3, 8)) == b"salaries"
    await ask(rows, guest.DiskInfo("db1"))
    await ask(rows, guest.FlushDisk("db1"))
    await ask(rows, host.GetCryptoKeyStatus([CryptoKeyId("KMS", "x")]))
    s.reboot("esx01")
    with pytest.raises(VSphereError):
        await ask(host_calls(s.host()), guest.ReadDisk("db1", 0, 8))
    s.hosts["esx01"] = None
    with pytest.raises(VSphereError):
        await s.call("PowerOnVM", name="db1")
    s.servers["kms1"].is_up = False
    assert not (await s.call("GenerateKey"))["success"]
    with pytest.raises(VSphereError):
        await s.call("ConfigureCryptoKey", host="esx02")
    await s.call("RetrieveKmipServersStatus")


async def keys_and_backups(s: Scene) -> None:
    """The calls that need what an earlier one answered."""
    key = (await s.call("GenerateKey"))["keyId"]
    await s.call("QueryCryptoKeyStatus", keyIds=[key])
    await s.call("QueryCryptoKeyStatus", keyIds=[key], checkKeyBitMap=1)
    await s.call("SetKeyCustomAttributes", keyId=key, customAttributes={"Owner": "Zoë"})
    await s.call("RemoveKeys", keyIds=[key])
    dump = (await s.call("ListCoreDumps", host="esx01"))[0]["file"]
    await s.call("ExportCoreDump", host="esx01", file=dump, password=PASSWORD)
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
    prepared = await s.call("ExportProvider", provider="NKP", password=PASSWORD)
    token = prepared["location"]["downloadToken"]["token"]
    backup = await s.call("DownloadBackup", token=token)
    await s.call("ImportProvider", backup=backup, password=PASSWORD, dryRun=True)


def test_every_answer_of_a_session_is_as_described(tmp_path: Path, record: Record) -> None:
    play(tmp_path, session).close()
    assert len(record.methods) > 75
    assert {"NotFound", "AlreadyExists", "NoPermission", "HostUnreachable"} < record.faults
    assert {"EncryptionKeyRequired", "KeyServerUnreachable"} < record.faults


def test_every_answer_of_a_trust_authority_is_as_described(tmp_path: Path, record: Record) -> None:
    async def test(w: Whole) -> None:
        await w.trusted_host()
        await w.workload.call("EncryptVM", name="db1")
        health = await w.ta("TrustAuthorityHealth")
        assert health
        await w.ta("TrustAuthorityRemediate")
        await w.ta("ExportTrustServices")
        await w.workload.call("ListAlarms")

    whole(tmp_path, Maker("TPM maker", NOW), test)
    assert {"Challenge", "Attest", "NewKey", "ApplyConfiguration", "ServiceInfo"} < record.methods
