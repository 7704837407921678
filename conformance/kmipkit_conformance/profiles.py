"""The verdict per profile: what its mandatory cases say, where the server claims it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kmipkit.spec.profiles import SERVER_PROFILES, ServerProfile
from kmipkit.spec.versions import V1_3, Version
from kmipkit_conformance.player import Outcome, Verdict
from kmipkit_conformance.support import Offer


class Standing(Enum):
    """What can be said of a profile."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CLAIMED = "not claimed"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, slots=True)
class ProfileVerdict:
    """The standing of a profile in one version, and the cases that make it so."""

    version: Version
    profile: ServerProfile
    standing: Standing
    played: int = 0
    because: tuple[str, ...] = ()
    """Cases that failed, with the step, or that could not be played."""


_MANDATORY = "-M-"


def judged(verdicts: Sequence[Verdict], offer: Offer) -> Iterator[ProfileVerdict]:
    """The profiles of which there were cases, version by version."""
    for version in sorted({verdict.case.version for verdict in verdicts}):
        cases = [one for one in verdicts if one.case.version == version]
        for profile in SERVER_PROFILES:
            wanted = [one for one in cases if _belongs(one, profile)]
            if profile.known_in(version) and wanted:
                yield _verdict(version, profile, wanted, offer)


def _belongs(verdict: Verdict, profile: ServerProfile) -> bool:
    name = verdict.case.name
    return _MANDATORY in name and name.startswith(profile.cases or ("\0",))


def _verdict(
    version: Version, profile: ServerProfile, wanted: Sequence[Verdict], offer: Offer
) -> ProfileVerdict:
    if not _claims(version, profile, offer):
        return ProfileVerdict(version, profile, Standing.NOT_CLAIMED, len(wanted))
    for outcome, standing in (
        (Outcome.FAILED, Standing.FAILED),
        (Outcome.KNOWN, Standing.FAILED),
        (Outcome.SKIPPED, Standing.NOT_TESTABLE),
    ):
        found = [one for one in wanted if one.outcome is outcome]
        if found:
            return ProfileVerdict(version, profile, standing, len(wanted), tuple(_named(found)))
    return ProfileVerdict(version, profile, Standing.PASSED, len(wanted))


def _named(verdicts: Iterable[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        played = verdict.outcome is not Outcome.SKIPPED
        yield f"{verdict.case.name}, step {verdict.step}" if played else verdict.case.name


def _claims(version: Version, profile: ServerProfile, offer: Offer) -> bool:
    """Query tells it from 1.3 on; before, and where it tells nothing, the operations must do."""
    names = set(profile.names(version))
    if version >= V1_3 and offer.profiles and names:
        return bool(names & offer.profiles)
    return offer.operations is None or profile.needs(version) <= offer.operations
