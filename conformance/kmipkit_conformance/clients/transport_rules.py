"""Rules about TLS, certificates and versions of the protocol."""

from collections.abc import Callable, Iterator

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
from kmipkit_conformance.clients.hello import TLS_1_2, TLS_1_3, VERSION_NAMES, Hello
from kmipkit_conformance.clients.observed import Exchange, Session
from kmipkit_conformance.clients.rule import Judge, Level, Problems, Rule, Seen

IMPOSTOR, OLDER = "impostor", "older-version"
"""Provocations of a connection: a certificate that nobody trusts, and a server of an older version."""

_SUITES_1_3 = frozenset({0x1302, 0x1303})
"""TLS_AES_256_GCM_SHA384 and TLS_CHACHA20_POLY1305_SHA256."""

_WEAK = frozenset(
    {
        *range(0x0007),  # without encryption, RC4, and of export strength
        *range(0x0008, 0x001C),  # DES, 3DES, export strength, anonymous
        *range(0x002C, 0x002F),  # without encryption
        0x0034, 0x003A,  # anonymous
        0x003B,  # without encryption
        *range(0x006C, 0x006E), *range(0x00A6, 0x00A8),  # anonymous
        *range(0x008A, 0x008C), *range(0x008E, 0x0090), *range(0x0092, 0x0094),  # PSK with RC4 and 3DES
        *range(0x00B0, 0x00B2), *range(0x00B4, 0x00B6), *range(0x00B8, 0x00BA),  # without encryption
        *range(0xC001, 0xC004), *range(0xC006, 0xC009), *range(0xC00B, 0xC00E),  # the same with ECDH
        *range(0xC010, 0xC013), *range(0xC015, 0xC01A), *range(0xC033, 0xC035), *range(0xC039, 0xC03C),
    }
)  # fmt: skip
"""Suites of the registry of IANA that do not encrypt, do not authenticate, or use DES, 3DES or RC4. No
version of the profiles has one of them."""


def _each_hello(check: Callable[[Hello], Problems]) -> Judge:
    def judge(session: Session) -> Iterator[Seen]:
        for connection in session.connections:
            if connection.hello is not None and (problems := check(connection.hello)) is not None:
                found = [Seen(connection.where, problem) for problem in problems]
                yield from found or [Seen(connection.where)]

    return judge


def _no_old_tls(hello: Hello) -> Problems:
    old = sorted(version for version in hello.versions if version < TLS_1_2)
    return [f"{VERSION_NAMES.get(version, hex(version))} is offered" for version in old]


def _newest_tls(hello: Hello) -> Problems:
    return [] if TLS_1_3 in hello.versions else ["TLS 1.3 is not offered"]


def _suites_of_1_3(hello: Hello) -> Problems:
    if TLS_1_3 not in hello.versions:
        return None
    has_one = _SUITES_1_3 & set(hello.suites)
    return [] if has_one else ["neither AES_256_GCM_SHA384 nor CHACHA20_POLY1305_SHA256 is offered"]


def _no_weak_suites(hello: Hello) -> Problems:
    weak = [suite for suite in hello.suites if suite in _WEAK]
    return [f"the cipher suite 0x{suite:04X} is offered" for suite in weak]


def _shows_certificate(session: Session) -> Iterator[Seen]:
    for connection in session.connections:
        if connection.has_certificate is not None and not connection.is_impostor:
            problem = "" if connection.has_certificate else connection.problem
            yield Seen(connection.where, problem)


def _verifies_server(session: Session) -> Iterator[Seen]:
    for connection in session.connections:
        if connection.is_impostor:
            has_trusted = bool(connection.exchanges)
            problem = (
                "a request to a server whose certificate nobody has signed" if has_trusted else ""
            )
            exchange = connection.exchanges[0] if has_trusted else None
            yield Seen(connection.where, problem, exchange)


def _negotiated(session: Session) -> Iterator[Seen]:
    """Requests after Discover Versions; the answers are those that the client got."""
    offered: frozenset[Version] = frozenset()
    for exchange in session.exchanges:
        if exchange.operations == [Operation.DISCOVER_VERSIONS]:
            offered = _offered(exchange) or offered
        elif offered and exchange.version is not None:
            names = ", ".join(map(str, sorted(offered)))
            is_kept = exchange.version in offered
            problem = "" if is_kept else f"KMIP {exchange.version}; the server has {names}"
            yield Seen(exchange.where, problem, exchange)


def _offered(exchange: Exchange) -> frozenset[Version]:
    """The versions in the answer to Discover Versions; none if it failed."""
    if exchange.response is None:
        return frozenset()
    try:
        message, _ = decode_response(exchange.response.data, tolerant=True)
        payload = message.batch_items[0].response_payload
        return frozenset(entry.version for entry in payload.protocol_versions)  # type: ignore[union-attr]  # of Discover Versions
    except (ProtocolError, AttributeError, IndexError):
        return frozenset()


def _falls_back(session: Session) -> Iterator[Seen]:
    """Rounds in which the tester had an older version of the same major version only."""
    exchanges = [each for each in session.exchanges if each.connection.round == OLDER]
    if not any(each.provoked == OLDER for each in exchanges):
        return
    played = [each for each in exchanges if each.provoked != OLDER and each.version is not None]
    lower = [each for each in played if set(each.operations) != {Operation.DISCOVER_VERSIONS}]
    shown = lower[0] if lower else next(each for each in exchanges if each.provoked == OLDER)
    problem = "" if lower else "no request in the older version followed"
    yield Seen(shown.where, problem, shown)


_SUITE = "Profiles 2.1 §3.1"

TRANSPORT_RULES = (
    Rule(
        key="tls-no-old-versions",
        clause=f"{_SUITE}.1",
        says="The client does not offer TLS 1.1, TLS 1.0 or SSL.",
        how="the ClientHello of each connection",
        judge=_each_hello(_no_old_tls),
    ),
    Rule(
        key="tls-1.3",
        level=Level.SHOULD,
        clause=f"{_SUITE}.1",
        says="The client offers TLS 1.3.",
        how="the ClientHello of each connection",
        judge=_each_hello(_newest_tls),
    ),
    Rule(
        key="tls-1.3-suites",
        clause=f"{_SUITE}.2",
        says="With TLS 1.3, the client offers AES_256_GCM_SHA384 or CHACHA20_POLY1305_SHA256.",
        how="the ClientHello of each connection",
        judge=_each_hello(_suites_of_1_3),
    ),
    Rule(
        key="tls-no-weak-suites",
        clause=f"{_SUITE}.2",
        says="The client offers no cipher suite without encryption or authentication, nor with DES,"
        " 3DES or RC4.",
        how="the ClientHello of each connection",
        judge=_each_hello(_no_weak_suites),
    ),
    Rule(
        key="client-certificate",
        clause=f"{_SUITE}.3",
        says="The client shows a certificate that the server accepts.",
        how="the handshake of each connection",
        judge=_shows_certificate,
    ),
    Rule(
        key="server-certificate-verified",
        clause="KMIP 1.4 §10, KMIP 2.1 §10.4, Profiles 2.1 §3.1",
        says="The client sends nothing to a server whose certificate it cannot verify.",
        how="the provocation 'impostor' shows a certificate of an unknown authority",
        judge=_verifies_server,
    ),
    Rule(
        key="negotiated-version",
        level=Level.ADVICE,
        clause="KMIP 1.4 §4.26, KMIP 2.1 §6.1.16",
        says="After Discover Versions, the client uses a version that the server has.",
        how="the requests after each Discover Versions",
        judge=_negotiated,
    ),
    Rule(
        key="backward-compatible",
        level=Level.ADVICE,  # the support is a SHALL; that the client falls back by itself is not
        clause="KMIP 1.4 §6.1, KMIP 2.1 §9.16",
        says="With a server of an older version of the same major version, which clients support, the"
        " client falls back by itself.",
        how="the provocation 'older-version' refuses the version that the client prefers",
        judge=_falls_back,
    ),
)
