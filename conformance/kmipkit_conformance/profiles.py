"""The verdict on each profile: the results of its mandatory cases, if the server claims it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kmipkit.reports import Outcome
from kmipkit.spec.profiles import SERVER_PROFILES, ServerProfile
from kmipkit.spec.versions import V1_3, Version
from kmipkit_conformance.cases import Case
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.support import Offer


class Standing(Enum):
    """The result for a profile."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CLAIMED = "not claimed"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, slots=True)
class ProfileVerdict:
    """The result for a profile in one version, and the cases that explain it."""

    version: Version
    profile: ServerProfile
    standing: Standing
    played: int = 0
    because: tuple[str, ...] = ()
    """Cases that failed, with the step, or that could not be played."""


_MANDATORY = "-M-"


def judge_profiles(
    verdicts: Sequence[Verdict], offer: Offer, unplayed: Sequence[Case] = ()
) -> Iterator[ProfileVerdict]:
    """The verdicts on all profiles that have cases in this run, version by version.

    A run that has ended early leaves cases unplayed: no profile of theirs has passed.
    """
    for version in sorted({verdict.case.version for verdict in verdicts}):
        of_version = [verdict for verdict in verdicts if verdict.case.version == version]
        for profile in SERVER_PROFILES:
            mandatory = [each for each in of_version if _is_mandatory(each.case.name, profile)]
            missing = sum(
                case.version == version and _is_mandatory(case.name, profile) for case in unplayed
            )
            if profile.known_in(version) and mandatory:
                yield _verdict(version, profile, mandatory, offer, missing)


def _is_mandatory(name: str, profile: ServerProfile) -> bool:
    return _MANDATORY in name and name.startswith(profile.cases or ("\0",))


def _verdict(
    version: Version,
    profile: ServerProfile,
    verdicts: Sequence[Verdict],
    offer: Offer,
    missing: int,
) -> ProfileVerdict:
    if not _claims(version, profile, offer):
        return ProfileVerdict(version, profile, Standing.NOT_CLAIMED, len(verdicts))
    for outcome, standing in (
        (Outcome.FAILED, Standing.FAILED),
        (Outcome.KNOWN, Standing.FAILED),
        (Outcome.SKIPPED, Standing.NOT_TESTABLE),
    ):
        decisive = [verdict for verdict in verdicts if verdict.outcome is outcome]
        if decisive:
            return ProfileVerdict(
                version, profile, standing, len(verdicts), tuple(_names(decisive))
            )
    if missing:
        why = f"{missing} of its {len(verdicts) + missing} cases were not played"
        return ProfileVerdict(version, profile, Standing.NOT_TESTABLE, len(verdicts), (why,))
    return ProfileVerdict(version, profile, Standing.PASSED, len(verdicts))


def _names(verdicts: Iterable[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        played = verdict.outcome is not Outcome.SKIPPED
        yield f"{verdict.case.name}, step {verdict.step}" if played else verdict.case.name


def _claims(version: Version, profile: ServerProfile, offer: Offer) -> bool:
    """Query reports profiles from 1.3 on. Before that, or if it reports none, operations decide."""
    names = set(profile.names(version))
    if version >= V1_3 and offer.profiles and names:
        return bool(names & offer.profiles)
    operations = offer.operations_in(version)
    return operations is None or profile.needs(version) <= operations
