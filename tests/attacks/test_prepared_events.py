"""What an administrator does holds for the next request, also for one whose answer is prepared.

A loss otherwise: the policy refuses a key, the account is blocked or the key belongs to somebody else
now, and the server goes on giving it out because it has been asked for it so often.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from administered import Administered
from kmipkit_client import calls, messages
from kmipkit_client.errors import OperationFailed
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.prepared import PreparedAnswers
from kmipkit_server.identity.identity import Identity
from tenancy import set_tenants, tenant

from kmipkit.model.codec import encode
from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_4, V2_1

AES = CryptographicAlgorithm.AES
CREATE = calls.create(AES, 256, CryptographicUsageMask.ENCRYPT, "disk", None)
ADDRESS = "192.0.2.1"


class Nothing(PreparedAnswers):
    """Keeps no answer."""

    def keep(self, *_: Any) -> None:
        pass


@dataclass
class Scene:
    """A server with prepared answers, the same without, and a key that was often asked for."""

    server: Administered
    key: str = ""

    def __post_init__(self) -> None:
        fast = self.server.dispatcher
        self.fast = fast
        self.ordinary = Dispatcher(
            store=fast.store,
            server=fast.server,
            accounts=fast.accounts,
            clock=fast.clock,
            seam=fast.seam,
            prepared=Nothing(),
        )

    @property
    def requests(self) -> list[bytes]:
        get = calls.get(self.key, None, None, None)
        attributes = calls.get_attributes(self.key, ())
        return [
            encode(messages.request(version, [call]), version)
            for call in (get, attributes)
            for version in (V1_4, V2_1)
        ]

    async def answer(self, dispatcher: Dispatcher, data: bytes, identity: Identity) -> bytes:
        account = await dispatcher.admit(identity)
        response = (await dispatcher.respond(data, account)).data
        # The number of a Server Correlation Value differs from response to response.
        return re.sub(rb"[0-9a-f]{32}-[0-9a-f]{12}", b"", response)

    async def prepare(self, account: str) -> None:
        """Create a key, and ask for it until the answers are prepared."""
        [made] = await self.server.request(CREATE, identity=account)
        self.key = str(made)
        for data in self.requests * 4:
            await self.answer(self.fast, data, Identity(account, address=ADDRESS))
        name = (await self.fast.admit(Identity(account))).name
        assert all(self.fast.prepared.find(data, name) for data in self.requests)

    async def compare(self, *accounts: str) -> None:
        """The answers to all, twice, are those of the ordinary way."""
        for account in accounts * 2:
            for address in (ADDRESS, "198.51.100.1"):
                identity = Identity(account, address=address)
                for data in self.requests:
                    fast = await self.answer(self.fast, data, identity)
                    assert fast == await self.answer(self.ordinary, data, identity)

    async def apply(self, text: str, **of: str) -> None:
        answer = await self.server.ask("POST", "/policy/versions", {"text": text, **of})
        assert answer.status == 200, answer.text

    async def do(self, method: str, path: str, **body: Any) -> None:
        answer = await self.server.ask(method, path, body)
        assert answer.status == 200, answer.text


DENY = '[rules.no]\ndeny = ["get", "get attributes"]\n'
SHARE = '[rules.share]\nwho = "other"\nallow = ["get", "get attributes"]\n'
HOURS = f'{DENY}when.hours = "13:00-14:00"\n'
HOME = f'{DENY}unless.who.networks = "192.0.2.0/24"\n'


async def _passes(scene: Scene, policy: str, **time: float) -> None:
    await scene.apply(policy)
    await scene.compare("me")
    scene.server.pass_time(**time)


async def _taken_back(scene: Scene) -> None:
    await scene.apply("")
    await scene.apply(SHARE)
    await scene.compare("me", "other")
    await scene.do("POST", "/policy/versions/1/revert")


async def _unblocked(scene: Scene) -> None:
    await scene.do("PUT", "/accounts/me/block", reason="stolen")
    await scene.compare("me")
    await scene.do("DELETE", "/accounts/me/block")


EVENTS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "nothing": lambda scene: scene.compare("me"),
    "denied": lambda scene: scene.apply(DENY),
    "shared": lambda scene: scene.apply(SHARE),
    "shared and taken back": _taken_back,
    "from one network only": lambda scene: scene.apply(HOME),
    "hours begin": lambda scene: _passes(scene, HOURS, hours=1),
    "hours end": lambda scene: _passes(scene, HOURS, hours=2),
    "an algorithm rule warns": lambda scene: _passes(
        scene, '[algorithms.age]\nmaximum_age_days = 40\nprocess = "refuse"\n', days=20
    ),
    "an algorithm rule refuses": lambda scene: _passes(
        scene, '[algorithms.age]\nmaximum_age_days = 40\nprocess = "refuse"\n', days=50
    ),
    "approvals": lambda scene: scene.apply(
        '[rules.two]\nrequire = "all"\napprovals = { by = "officer" }\n'
    ),
    "blocked": lambda scene: scene.do("PUT", "/accounts/me/block", reason="stolen"),
    "unblocked": _unblocked,
    "transferred": lambda scene: scene.do("POST", "/accounts/me/transfer", to="other"),
    "moved into a tenant": lambda scene: scene.do(
        "POST", "/tenants-moves", account="me", target="acme"
    ),
    "claimed by a tenant": lambda scene: scene.do("PATCH", "/tenants/acme", accounts=["me", "a-*"]),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    set_tenants(laboratory, tenant("acme", accounts=("a-*",)), tenant("globex", accounts=("g-*",)))
    yield laboratory
    laboratory.close()


@pytest.mark.parametrize("event", EVENTS)
def test_a_prepared_answer_is_that_of_the_ordinary_way_after(
    server: Administered, event: str
) -> None:
    async def work() -> None:
        scene = Scene(server)
        await scene.prepare("me")
        await EVENTS[event](scene)
        await scene.compare("me", "other", "a-1", "administrator")

    server.administer(work)


OF_TENANT: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "its policy": lambda scene: scene.apply(DENY, tenant="acme"),
    "the policy of another one": lambda scene: scene.apply(DENY, tenant="globex"),
    "the policy of the server": lambda scene: scene.apply(f'{DENY}who.tenants = "acme"\n'),
    "its limits": lambda scene: scene.do("PATCH", "/tenants/acme", limits={"objects": 1}),
    "its clients leave": lambda scene: scene.do("PATCH", "/tenants/acme", accounts=["x"]),
    "an account moves": lambda scene: scene.do(
        "POST", "/tenants-moves", account="a-1", source="acme", target="globex"
    ),
    "its account is blocked": lambda scene: scene.do("PUT", "/accounts/tenant:acme:a-1/block"),
    "another one is removed": lambda scene: scene.do("DELETE", "/tenants/globex"),
}


@pytest.mark.parametrize("event", OF_TENANT)
def test_a_tenant_has_the_same_after(server: Administered, event: str) -> None:
    async def work() -> None:
        scene = Scene(server)
        await scene.prepare("a-1")
        await OF_TENANT[event](scene)
        await scene.compare("a-1", "a-2", "g-1", "me")

    server.administer(work)


def test_each_repetition_counts(server: Administered) -> None:
    async def work() -> None:
        scene = Scene(server)
        await scene.prepare("me")
        await scene.apply('[rules.few]\nrequire = "get"\ncount = { times = 3, per = "day" }\n')
        get = calls.get(scene.key, None, None, None)
        results = [(await server.request(get))[0] for _ in range(5)]
        assert [isinstance(each, OperationFailed) for each in results] == 3 * [False] + 2 * [True]

    server.administer(work)


def test_the_record_of_each_repetition_has_who_asked(server: Administered) -> None:
    """Two tenants that send the same bytes, and a stranger who is refused."""

    async def work() -> None:
        scene = Scene(server)
        await scene.prepare("a-1")
        for account in ("a-1", "g-1", "a-1", "a-2"):
            await server.request(calls.get(scene.key, None, None, None), identity=account)

    server.administer(work)
    records = [each for each in server.operations() if each.operation == "Get"][-4:]
    seen = [(each.client.tenant, each.client.account, each.reason) for each in records]
    assert seen == [
        ("acme", "a-1", ""),
        ("globex", "g-1", "Object Not Found"),
        ("acme", "a-1", ""),
        ("acme", "a-2", "Permission Denied"),
    ]
    assert len({each.objects for each in records}) == 1
    assert all(each.server_correlation_value and each.client.address for each in records)
