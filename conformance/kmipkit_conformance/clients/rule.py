"""A rule for clients: a row of a table, and a function that looks at a session."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import V1_0, V3_0, Version
from kmipkit_conformance.clients.observed import Act, Exchange, Session


class Level(Enum):
    """How binding a rule is."""

    SHALL = "SHALL"
    SHOULD = "SHOULD"
    ADVICE = "advice"
    """The clause says what happens, and not what a client must do; breaking it hurts the user."""


class Standing(Enum):
    """The verdict on a rule."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_SEEN = "not seen"
    """The session had no occasion to keep or break it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An occasion on which a rule was kept, or broken if there is a problem."""

    where: str
    problem: str = ""
    exchange: Exchange | None = None
    """The messages that show it."""
    cause: Exchange | None = None
    """The messages before that, to which the client reacts, if it is about that."""


Judge = Callable[[Session], Iterator[Seen]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row. What ``says`` says holds in the versions of the clauses."""

    key: str
    level: Level = Level.SHALL
    clause: str
    """Where the standard says so: ``KMIP 1.4 §6.14, KMIP 2.1 §9.5``."""
    says: str
    """What a client does, in one sentence."""
    how: str
    """How the tester sees it."""
    judge: Judge


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a rule."""

    rule: Rule
    occasions: int
    broken: tuple[Seen, ...] = ()

    @property
    def standing(self) -> Standing:
        """Kept, broken, or not seen."""
        if self.broken:
            return Standing.BROKEN
        return Standing.KEPT if self.occasions else Standing.NOT_SEEN

    @property
    def is_failure(self) -> bool:
        """Whether a client does not conform because of it."""
        return bool(self.broken) and self.rule.level is Level.SHALL


def judge(session: Session, rules: Iterable[Rule]) -> list[Judged]:
    """The verdict on each rule."""
    verdicts = []
    for rule in rules:
        occasions = list(rule.judge(session))
        broken = tuple(seen for seen in occasions if seen.problem)
        verdicts.append(Judged(rule, len(occasions), broken))
    return verdicts


Problems = Iterable[str] | None
"""What is wrong on an occasion; nothing if the rule was kept, and None if it was no occasion."""


def each_request(
    check: Callable[[Exchange], Problems], since: Version = V1_0, until: Version = V3_0
) -> Judge:
    """Looks at each request of these versions that can be read."""

    def judge_session(session: Session) -> Iterator[Seen]:
        for exchange in session.exchanges:
            version = exchange.version
            if exchange.request.item is None or version is None:
                continue
            if since <= version <= until:
                yield from _occasions(exchange.where, check(exchange), exchange)

    return judge_session


def each_act(
    check: Callable[[Act], Problems],
    operations: Collection[Operation] = (),
    since: Version = V1_0,
    until: Version = V3_0,
) -> Judge:
    """Looks at each batch item for these operations; no operations mean all."""

    def judge_session(session: Session) -> Iterator[Seen]:
        for act in session.acts:
            version = act.exchange.version
            is_meant = not operations or act.operation in operations
            if is_meant and version is not None and since <= version <= until:
                yield from _occasions(act.where, check(act), act.exchange)

    return judge_session


def _occasions(where: str, problems: Problems, exchange: Exchange) -> Iterator[Seen]:
    if problems is None:
        return
    found = [Seen(where, problem, exchange) for problem in problems]
    yield from found or [Seen(where, exchange=exchange)]
