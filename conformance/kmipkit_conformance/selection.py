"""Which cases to play: by folder, version and profile. A name that selects nothing is an error."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from kmipkit.spec.versions import Version
from kmipkit_conformance.cases import SUITE, Case, family_of, load_all
from kmipkit_conformance.errors import ConformanceError


class NothingSelected(ConformanceError):
    """An option names no case that there is."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


def select(
    folders: Sequence[Path], versions: frozenset[Version], profiles: Sequence[str]
) -> list[Case]:
    """The cases in some folders. No versions or no profiles select all.

    Raises:
        NothingSelected: a profile, or the versions together with the profiles, have no case.
        ConformanceError: a folder or file cannot be read.
    """
    known = list(names(folders))
    for profile in profiles:
        if not any(family_of(name) == profile or name.startswith(profile) for name in known):
            suggestion = _suggestion(profile, (*map(family_of, known), *known))
            raise NothingSelected(f"no case or family {profile!r}{suggestion}", "--profile")
    cases = list(load_all(folders, versions, tuple(profiles)))
    if not cases:
        wanted = " or ".join(map(str, sorted(versions)))
        where = ", ".join(map(str, folders))
        raise NothingSelected(
            f"no case for KMIP {wanted} in {where}" if versions else f"no case in {where}",
            "--kmip" if versions else "--cases",
        )
    return cases


def names(folders: Iterable[Path]) -> Iterator[str]:
    """The names of all cases in some folders. ConformanceError if there is no such folder."""
    for folder in folders:
        if not folder.exists():
            raise ConformanceError(f"{folder}: no such file or directory")
        for path in [folder] if folder.is_file() else folder.rglob("*.xml"):
            yield path.stem


def check_deviations(deviations: Iterable[str], folders: Sequence[Path]) -> None:
    """NothingSelected if a file of deviations names a case that is in no folder."""
    around = [folder.parent if folder.is_file() else folder for folder in folders]
    known = set(names([*around, SUITE]))
    for name in deviations:
        if name not in known:
            suggestion = _suggestion(name, known)
            raise NothingSelected(f"no case {name!r}{suggestion}", "--deviations")


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(set(known)), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return "; `kmipkit conformance list` shows all"
