"""The profiles of clients (Profiles 2.1 §5, §6): what each demands, and the verdict on it.

In free play and captures, a profile is shown if the session has the operations that it demands, and
breaks no rule. When cases are played, a client must pass one of the mandatory cases of the profile, and
an HTTPS client all of them (Profiles 2.1 §6.1, §6.4).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kmipkit.reports import Outcome
from kmipkit.spec.enums import Operation
from kmipkit_conformance.clients.attribute_views import given
from kmipkit_conformance.clients.hello import TLS_1_3
from kmipkit_conformance.clients.observed import Session
from kmipkit_conformance.clients.rule import Judged
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.wording import listed, operation_title

_OP = Operation


class ProfileStanding(Enum):
    """The verdict on a profile."""

    SHOWN = "shown"
    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, slots=True)
class ProfileJudged:
    """The verdict on a profile, and what explains it."""

    profile: "ClientProfile"
    standing: ProfileStanding
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProfile:
    """A row: a profile of clients."""

    title: str
    clause: str
    """Its conditions, and its conformance clause."""
    cases: str
    """How the names of its mandatory cases begin: a regular expression."""
    needs_all: frozenset[Operation] = frozenset()
    needs_one_of: frozenset[Operation] = frozenset()
    transport: str = ""
    """Over what it goes, if that is not TTLV over TLS."""
    demands: Callable[[Session], Iterator[str]] = lambda _session: iter(())
    """What a session breaks of the conditions that only this profile has."""


def _barcodes(session: Session) -> Iterator[str]:
    for act in session.acts:
        if act.operation is _OP.LOCATE:
            names = {attribute.name for attribute in given(act)}
            if "Alternative Name" in names:
                yield f"{act.where}: Locate by Alternative Name (Profiles 2.1 §5.12.3)"


def _newest_tls(session: Session) -> Iterator[str]:
    for connection in session.connections:
        if connection.hello is not None and TLS_1_3 not in connection.hello.versions:
            yield f"{connection.where}: TLS 1.3 is not offered (Profiles 2.1 §5.15)"


_BASELINE = frozenset({_OP.GET, _OP.GET_ATTRIBUTES, _OP.LOCATE, _OP.QUERY})
_CRYPTOGRAPHIC = frozenset(
    {_OP.DECRYPT, _OP.ENCRYPT, _OP.HASH, _OP.MAC, _OP.MAC_VERIFY, _OP.RNG_RETRIEVE, _OP.RNG_SEED}
    | {_OP.SIGN, _OP.SIGNATURE_VERIFY}
)

CLIENT_PROFILES = (
    ClientProfile(title="Baseline Client", clause="§5.1.1, §6.1", cases="BL-M-"),
    ClientProfile(
        title="HTTPS Client", clause="§5.3.1, §6.4", cases="MSGENC-HTTPS-M-", transport="HTTPS"
    ),
    ClientProfile(
        title="XML Client", clause="§5.4.2, §6.6", cases="MSGENC-XML-M-", transport="XML"
    ),
    ClientProfile(
        title="JSON Client", clause="§5.5.2, §6.8", cases="MSGENC-JSON-M-", transport="JSON"
    ),
    ClientProfile(title="Symmetric Key Lifecycle Client", clause="§5.6.1, §6.10", cases="SKLC-M-"),
    ClientProfile(
        title="Basic Symmetric Key Foundry Client", clause="§5.7.1, §6.12", cases="SKFF-M-[1-4]-"
    ),
    ClientProfile(
        title="Intermediate Symmetric Key Foundry Client",
        clause="§5.7.2, §6.13",
        cases="SKFF-M-[5-8]-",
    ),
    ClientProfile(
        title="Advanced Symmetric Key Foundry Client",
        clause="§5.7.3, §6.14",
        cases="SKFF-M-(9|1[0-2])-",
    ),
    ClientProfile(title="Asymmetric Key Lifecycle Client", clause="§5.8.1, §6.16", cases="AKLC-M-"),
    ClientProfile(
        title="Basic Cryptographic Client",
        clause="§5.9.1, §6.18",
        cases="CS-BC-M-",
        needs_one_of=frozenset({_OP.DECRYPT, _OP.ENCRYPT}),
    ),
    ClientProfile(
        title="Advanced Cryptographic Client",
        clause="§5.9.2, §6.19",
        cases="CS-AC-M-",
        needs_one_of=_CRYPTOGRAPHIC,
    ),
    ClientProfile(
        title="RNG Cryptographic Client",
        clause="§5.9.3, §6.20",
        cases="CS-RNG-M-",
        needs_one_of=frozenset({_OP.RNG_RETRIEVE, _OP.RNG_SEED}),
    ),
    ClientProfile(
        title="Opaque Managed Object Store Client", clause="§5.10.1, §6.24", cases="OMOS-M-"
    ),
    ClientProfile(
        title="Storage Array with Self-Encrypting Drives Client",
        clause="§5.11.1, §6.26",
        cases="SASED-M-",
    ),
    ClientProfile(
        title="Tape Library Client", clause="§5.12.4, §6.28", cases="TL-M-", demands=_barcodes
    ),
    ClientProfile(title="AES XTS Client", clause="§5.13.1, §6.30", cases="AX-M-"),
    ClientProfile(
        title="Quantum Safe Client", clause="§5.15, §6.32", cases="QS-M-", demands=_newest_tls
    ),
    ClientProfile(
        title="PKCS#11 Client",
        clause="§5.18.3, §6.34",
        cases="PKCS11-M-",
        needs_all=frozenset({_OP.PKCS_11}),
    ),
)
"""In the order of the document. Each also demands what the Baseline Client demands."""


def judge_session(session: Session, rules: Sequence[Judged]) -> Iterator[ProfileJudged]:
    """The verdict on each profile by what a session shows."""
    failures = tuple(f"rule {verdict.rule.key}" for verdict in rules if verdict.is_failure)
    used = {act.operation for act in session.acts if act.has_succeeded}
    for profile in CLIENT_PROFILES:
        broken = (*failures, *profile.demands(session))
        missing = tuple(_missing(profile, used))
        if profile.transport:
            why = f"the session is TTLV over TLS, not {profile.transport}"
            yield ProfileJudged(profile, ProfileStanding.NOT_TESTABLE, (why,))
        elif broken:
            yield ProfileJudged(profile, ProfileStanding.FAILED, broken)
        elif missing:
            yield ProfileJudged(profile, ProfileStanding.NOT_SHOWN, missing)
        else:
            yield ProfileJudged(profile, ProfileStanding.SHOWN)


def _missing(profile: ClientProfile, used: set[Operation]) -> Iterator[str]:
    """The operations that a session does not have, or not with success."""
    needed = sorted((_BASELINE | profile.needs_all) - used, key=operation_title)
    if needed:
        yield f"no {listed(needed)}"
    if profile.needs_one_of and not profile.needs_one_of & used:
        yield f"none of {listed(profile.needs_one_of)}"


def judge_cases(verdicts: Sequence[Verdict]) -> Iterator[ProfileJudged]:
    """The verdict on each profile whose mandatory cases were played."""
    for profile in CLIENT_PROFILES:
        played = [each for each in verdicts if re.match(profile.cases, each.case.name)]
        if not played:
            continue
        if profile.transport:
            why = f"cases are played with TTLV over TLS, not {profile.transport}"
            yield ProfileJudged(profile, ProfileStanding.NOT_TESTABLE, (why,))
            continue
        passed = tuple(each.case.name for each in played if each.outcome is Outcome.PASSED)
        failed = tuple(each.case.name for each in played if each.outcome is Outcome.FAILED)
        standing = ProfileStanding.PASSED if passed else ProfileStanding.FAILED
        yield ProfileJudged(profile, standing, passed or failed)
