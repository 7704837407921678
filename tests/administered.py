"""A server without sockets that administrators send requests to."""

import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from audited import ADDRESS, AuditedLaboratory
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_server.administration.api import Api
from kmipkit_server.administration.context import Live, Parts
from kmipkit_server.administration.table import ROUTES
from kmipkit_server.audit.records import Entry, Event
from kmipkit_server.audit.service import Audit
from kmipkit_server.config import Config
from kmipkit_server.config.sections import AuditConfig, StoreConfig
from kmipkit_server.engine.peers import ALONE
from kmipkit_server.engine.sightings import AllSightings
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.application import WebRequest
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.revocation import RevocationFiles, Revocations
from kmipkit_server.net.sessions import Sessions
from kmipkit_server.net.validity import Validity
from kmipkit_server.service.backup import open_backups

PREFIX = "/admin/v1"
ADMINISTRATOR = "administrator"


class Answer(NamedTuple):
    """An answer with its body as JSON."""

    status: int
    body: Any
    text: str
    headers: dict[str, str]


class Administered(AuditedLaboratory):
    """A laboratory with the API of administrators; see :meth:`administer`."""

    api: Api
    listener: Listener
    audit: Audit

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.certificates: dict[str, PeerCertificate] = {}
        """Those of the connections of accounts; others have none."""
        self.validities: tuple[Validity, ...] = ()
        """The ends of the server's own certificates."""
        self.config = Config(
            store=StoreConfig(directory=folder), audit=AuditConfig(directory=self.directory)
        )

    def administer(self, work: Callable[[], Awaitable[Any]], **settings: Any) -> Any:
        """Run a test's work while requests can be sent, and are recorded."""

        async def run(audit: Audit) -> Any:
            self.audit = audit
            clock = self.dispatcher.clock
            self.listener = Listener(
                context=ssl.create_default_context,
                responder=self.dispatcher,
                requests=lambda *_: None,  # type: ignore[arg-type,return-value]  # none is sent
                identity_rule=IdentityRule(),
                revocations=Revocations(RevocationFiles(), clock),
            )
            backups = open_backups(self.config, None, self.store, clock, audit)
            sessions = Sessions(self.listener, ALONE)
            sightings = AllSightings(self.dispatcher.server.state.sightings, ALONE, clock)
            live = Live(self.dispatcher, sessions, sightings, lambda: self.validities, backups)
            parts = Parts(self.store, clock, lambda: self.config, live)
            self.api = Api(ROUTES, parts, audit.administration)
            return await work()

        return self.run(run, **settings)

    async def ask(  # type: ignore[override]  # of the API, not by KMIP
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Any = (),
        identity: str | Identity = ADMINISTRATOR,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        content_type: bytes = b"application/json",
    ) -> Answer:
        """The answer to a request."""
        presented = (
            Identity(identity, certificate=self.certificates.get(identity))
            if isinstance(identity, str)
            else identity
        )
        account = await self.dispatcher.admit(replace(presented, address=ADDRESS, port=4711))
        target = PREFIX + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = ((b"content-type", content_type), *headers)
        request = WebRequest(method, target, ((b"host", b"kms"), *headers), data)
        answer = await self.api.respond(request, account)
        text = answer.body.decode()
        return Answer(answer.status, json.loads(text), text, dict(answer.headers))

    def requests(self) -> list[Entry]:
        """The records of administrators' requests."""
        return [each for each in self.entries() if each.event is Event.ADMINISTRATION]
