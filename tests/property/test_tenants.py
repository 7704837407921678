"""A tenant sees what it would see on a server of its own, whatever the other tenants do.

Three servers run side by side: one with two tenants, and one for each tenant alone. Accounts, names of
objects, users and identifiers are the same in both tenants. Every operation is carried out on the shared
server and on the tenant's own, with the same random bytes, and must have the same response.
"""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from kmipkit_client import calls, messages, opaque_object
from kmipkit_client.calls import Call
from laboratory import Laboratory
from tenancy import ADMINISTRATOR, laboratory_of, member

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Link, Name
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    PasswordCredential,
)
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    GetConstraintsRequest,
    SetConstraintsRequest,
)
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import (
    CredentialType,
    CryptographicAlgorithm,
    LinkType,
    NameType,
    ObjectClass,
    ObjectType,
    Operation,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0, Version

TENANTS = st.sampled_from(["acme", "globex"])
ACCOUNTS = st.sampled_from(["db01", "db02", ADMINISTRATOR])
NAMES = st.sampled_from(["disk", "tape", "blob"])
BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
SYSTEM = {"Object Class": ObjectClass.SYSTEM}


class Bytes:
    """Random bytes that depend on nothing but how many of them a tenant has used on a server."""

    def __init__(self) -> None:
        self.tenant = ""
        self._used: Counter[str] = Counter()

    def __call__(self, count: int) -> bytes:
        self._used[self.tenant] += 1
        seed = f"{self.tenant} {self._used[self.tenant]}".encode()
        return hashlib.shake_256(seed).digest(count)


class Server:
    """A server with its own random bytes."""

    def __init__(self, folder: Path, *tenants: str) -> None:
        self.bytes = Bytes()
        self.laboratory: Laboratory = laboratory_of(folder, *tenants, random=self.bytes)

    def answer(
        self, tenant: str, account: str, request: Any, version: Version
    ) -> tuple[ResponseBatchItem, ...]:
        self.bytes.tenant = tenant
        identity = member(tenant, account)
        return self.laboratory.send(request, version, identity).batch_items


class Tenants(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.shared = Server(self.folder / "shared", "acme", "globex")
        self.own = {name: Server(self.folder / name) for name in ("acme", "globex")}
        self.known = ["no-such-object"]
        """Identifiers that a client of either tenant may have seen."""

    def teardown(self) -> None:
        for server in (self.shared, *self.own.values()):
            server.laboratory.close()
        shutil.rmtree(self.folder)

    def same(
        self,
        tenant: str,
        account: str,
        *batch: Call[Any],
        version: Version = V2_1,
        credential: Credential | None = None,
    ) -> ResponseBatchItem:
        """The response of both servers to a message; of several results, the first one."""
        request = messages.request(version, batch, credential)
        shared, *more = self.shared.answer(tenant, account, request, version)
        assert (shared, *more) == self.own[tenant].answer(tenant, account, request, version)
        for name in ("unique_identifier", "private_key_unique_identifier"):
            identifier = getattr(shared.response_payload, name, None)
            if isinstance(identifier, str) and identifier not in self.known:
                self.known.append(identifier)
        return shared

    @rule(tenant=TENANTS, account=ACCOUNTS, name=NAMES | st.none())
    def create(self, tenant: str, account: str, name: str | None) -> None:
        self.same(tenant, account, calls.create(CryptographicAlgorithm.AES, 128, BOTH, name, None))

    @rule(tenant=TENANTS, account=ACCOUNTS, number=st.integers(0, 30), replace=st.booleans())
    def import_(self, tenant: str, account: str, number: int, replace: bool) -> None:
        """With an identifier of an object of either tenant, or a new one."""
        known = [*self.known, "chosen"]
        request = ImportRequest(
            unique_identifier=known[number % len(known)],
            object_type=ObjectType.OPAQUE_OBJECT,
            replace_existing=replace or None,
            attributes=Attributes(),
            object=opaque_object(b"imported"),
        )
        self.same(tenant, account, calls.raw(Operation.IMPORT, request))

    @rule(
        tenant=TENANTS,
        account=ACCOUNTS,
        number=st.integers(0, 30),
        use=st.sampled_from(
            [
                lambda key: calls.get(key, None, None, None),
                lambda key: calls.get_attributes(key, ()),
                calls.activate,
                calls.destroy,
                lambda key: calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, None),
                lambda key: calls.add_attribute(key, "Contact Information", "me"),
                lambda key: calls.add_attribute(key, Tag.NAME, _name("tape")),
                lambda key: calls.add_attribute(key, Tag.LINK, _link(key)),
                lambda key: calls.locate(
                    None, None, {Tag.UNIQUE_IDENTIFIER: key}, None, None, None
                ),
            ]
        ),
    )
    def use(self, tenant: str, account: str, number: int, use: Callable[[str], Call[Any]]) -> None:
        self.same(tenant, account, use(self.known[number % len(self.known)]))

    @rule(tenant=TENANTS, account=ACCOUNTS, name=NAMES | st.none(), of_system=st.booleans())
    def locate(self, tenant: str, account: str, name: str | None, of_system: bool) -> None:
        criteria = SYSTEM if of_system else None
        call = calls.locate(name, None, criteria, None, None, None)
        self.same(tenant, account, call, version=V3_0)

    @rule(tenant=TENANTS, account=ACCOUNTS, name=NAMES)
    def create_user(self, tenant: str, account: str, name: str) -> None:
        """With a password, if the account is that of an administrator."""
        credential = CreateCredentialRequest(
            credential_type=CredentialType.PASSWORD,
            attributes=Attributes(),
            credential=PasswordCredential(password=f"{tenant} {name}"),
        )
        made = self.same(
            tenant, account, calls.raw(Operation.CREATE_CREDENTIAL, credential), version=V3_0
        )
        payload: Any = made.response_payload
        links = () if payload is None else ((Tag.CREDENTIAL_LINK, payload.unique_identifier),)
        user = CreateUserRequest(attributes=Attributes.of((Tag.NAME, _name(name)), *links))
        self.same(tenant, account, calls.raw(Operation.CREATE_USER, user), version=V3_0)

    @rule(tenant=TENANTS, name=NAMES, password_of=TENANTS)
    def login(self, tenant: str, name: str, password_of: str) -> None:
        """With the password that a user of this name has here, or in the other tenant."""
        credential = Credential(
            credential_type=CredentialType.USERNAME_AND_PASSWORD,
            credential_value=UsernameAndPassword(username=name, password=f"{password_of} {name}"),
        )
        self.forgive()
        call = calls.create(CryptographicAlgorithm.AES, 128, BOTH, "disk", None)
        self.same(tenant, "db01", call, credential=credential)
        self.same(tenant, "db01", calls.raw(Operation.LOGIN, LoginRequest()), credential=credential)

    def forgive(self) -> None:
        """Failed logins would make the test wait."""
        for server in (self.shared, *self.own.values()):
            server.laboratory.dispatcher.accounts.guesses._failures.clear()

    @rule(tenant=TENANTS, account=ACCOUNTS, bits=st.sampled_from([128, 256]))
    def constrain(self, tenant: str, account: str, bits: int) -> None:
        rules = Constraint(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, bits)))
        request = SetConstraintsRequest(constraints=Constraints(constraints=(rules,)))
        self.same(tenant, account, calls.raw(Operation.SET_CONSTRAINTS, request))

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        for server in (self.shared, *self.own.values()):
            server.laboratory.pass_time(seconds=timedelta(minutes=minutes).total_seconds())

    @invariant()
    def everybody_sees_the_same_as_alone(self) -> None:
        batch = [
            calls.locate(None, None, None, None, None, None),
            calls.raw(Operation.GET_CONSTRAINTS, GetConstraintsRequest()),
        ]
        for tenant in ("acme", "globex"):
            self.same(tenant, "db01", *batch)


def _name(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def _link(identifier: str) -> Link:
    return Link(link_type=LinkType.PARENT_LINK, linked_object_identifier=identifier)


TestTenants = Tenants.TestCase
TestTenants.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)
