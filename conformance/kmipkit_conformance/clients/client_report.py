"""The report on a client: its rules and profiles, as :mod:`kmipkit.reports` writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kmipkit import __version__
from kmipkit.reports import Outcome, Pane, Report, Result, Table
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.text import date_text
from kmipkit_conformance.clients.client_profiles import ProfileJudged
from kmipkit_conformance.clients.observed import Connection, Message, Session
from kmipkit_conformance.clients.rule import Judged, Level, Seen, Standing

OUTCOMES = (Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.SKIPPED)
MAX_BROKEN = 10
"""Occasions on which a rule was broken that lines and reports show."""


@dataclass(slots=True)
class Play:
    """A session that was judged, and how it came about."""

    session: Session
    rules: Sequence[Judged]
    profiles: Sequence[ProfileJudged] = ()
    source: str = ""
    """Where the client connected, or the file of the capture."""
    started: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    is_interrupted: bool = False
    problem: str = ""
    """Why the session ended early."""
    runs: Sequence[tuple[str, str]] = field(default_factory=list)
    """The runs of the client's command: the provocation, and how it ended."""

    @property
    def has_failed(self) -> bool:
        """Whether a rule that says SHALL was broken, or nothing could be judged."""
        return bool(self.problem) or any(verdict.is_failure for verdict in self.rules)


def silence(session: Session) -> str:
    """Why nothing can be judged, if the client has sent nothing. What is no message breaks a rule."""
    if session.exchanges or session.unreadable:
        return ""
    if not session.connections:
        return "no client connected"
    problems = [each.problem for each in session.connections if each.problem]
    return f"the client sent no request: {problems[-1] if problems else 'it closed the connection'}"


def outcome(verdict: Judged) -> Outcome:
    """The verdict in the words of all testers."""
    if verdict.standing is Standing.KEPT:
        return Outcome.PASSED
    if verdict.standing is Standing.NOT_SEEN:
        return Outcome.SKIPPED
    return Outcome.FAILED if verdict.rule.level is Level.SHALL else Outcome.WARNED


def make_report(play: Play) -> Report:
    """The report of a session."""
    session = play.session
    return Report(
        title="KMIP client",
        results=[_result(verdict) for verdict in play.rules],
        outcomes=OUTCOMES,
        name="rules",
        columns=("Rule", "Clause"),
        members={
            "source": play.source,
            "tool": f"kmipkit {__version__}",
            "started": date_text(int(play.started)),
            "seconds": round(play.seconds, 3),
            "interrupted": play.is_interrupted,
            "problem": play.problem,
            "connections": len(session.connections),
            "requests": len(session.exchanges),
            "runs": [{"provocation": name, "ended": ended} for name, ended in play.runs],
            "profiles": profile_members(play.profiles),
        },
        tables=[profile_table(play.profiles)] if play.profiles else (),
        facts=list(_facts(play)),
        problem=play.problem,
        failures_first=True,
    )


def profile_members(profiles: Sequence[ProfileJudged]) -> list[dict[str, object]]:
    """The profiles in the JSON document."""
    return [
        {
            "profile": each.profile.title,
            "clause": f"Profiles 2.1 {each.profile.clause}",
            "standing": each.standing.value,
            "because": list(each.because),
        }
        for each in profiles
    ]


def profile_table(profiles: Sequence[ProfileJudged]) -> Table:
    """The profiles on the page."""
    rows = [
        (each.profile.title, each.profile.clause, each.standing.value, "; ".join(each.because))
        for each in profiles
    ]
    return Table("Profiles", ("Profile", "Profiles 2.1", "Result", "Because"), rows, outcome=2)


def _meant(play: Play) -> Sequence[Connection]:
    """The connections that were meant to succeed."""
    return [each for each in play.session.connections if not each.is_impostor]


def _facts(play: Play) -> Iterator[tuple[str, str]]:
    yield "Client at", play.source
    yield "Tool", f"kmipkit {__version__}"
    yield "Started", date_text(int(play.started))
    yield "Duration", f"{play.seconds:.1f} s"
    yield "Connections", str(len(play.session.connections))
    yield "Requests", str(len(play.session.exchanges))
    refused = [each for each in _meant(play) if each.is_accepted is False]
    if refused:
        shown = (f"{each.where}: {each.problem}" for each in refused[:MAX_BROKEN])
        yield "Failed handshakes", "; ".join(shown)
    if play.runs:
        yield "Runs", ", ".join(f"{name}: {ended}" for name, ended in play.runs)
    if play.is_interrupted:
        yield "Interrupted", "by the user"
    if play.problem:
        yield "Ended early", play.problem


def _result(verdict: Judged) -> Result:
    rule = verdict.rule
    return Result(
        name=rule.key,
        group="client-rules",
        outcome=outcome(verdict),
        members={
            "rule": rule.key,
            "level": rule.level.value,
            "clause": rule.clause,
            "says": rule.says,
            "how": rule.how,
            "verdict": verdict.standing.value,
            "occasions": verdict.occasions,
            "broken": [_broken(seen) for seen in verdict.broken],
        },
        cells=(rule.key, rule.clause),
        reasons=list(lines(verdict)),
        panes=list(_panes(verdict.broken)),
        about=rule.says,
        tags={"Level": rule.level.value, "Verdict": verdict.standing.value},
    )


def _broken(seen: Seen) -> dict[str, str]:
    cause = {} if seen.cause is None else {"cause": seen.cause.where}
    return {"where": seen.where, "problem": seen.problem, **cause}


def lines(verdict: Judged) -> Iterator[str]:
    """Where a rule was broken, as lines of text; why it is not judged, if it is not."""
    if verdict.standing is Standing.NOT_SEEN:
        yield f"not seen: {verdict.rule.how}"
    for seen in verdict.broken[:MAX_BROKEN]:
        yield f"{seen.where}: {seen.problem}"
    if len(verdict.broken) > MAX_BROKEN:
        yield f"and {len(verdict.broken) - MAX_BROKEN} more"


def _panes(broken: Sequence[Seen]) -> Iterator[Pane]:
    """The messages of the first occasion, and those to which they are the reaction, without keys."""
    first = next((seen for seen in broken if seen.exchange is not None), None)
    if first is None:
        return
    for exchange in dict.fromkeys((first.cause, first.exchange)):
        if exchange is not None:
            sides = (("request", exchange.request), ("response", exchange.response))
            texts = [(name, _text(message)) for name, message in sides if message is not None]
            how = f", provoked: {exchange.provoked}" if exchange.provoked else ""
            yield Pane(f"Messages of {exchange.where}{how}", texts)


def _text(message: Message) -> str:
    if message.item is None:
        return f"a malformed message of {len(message.data)} bytes: {message.problem}"
    return format_item(message.item)
