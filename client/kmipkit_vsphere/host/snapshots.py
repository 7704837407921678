"""The snapshots of a machine, as its ``.vmx`` lists them.

vSphere has them in a ``.vmsd`` beside it. Here the list stands in the ``.vmx``, with the names of the
disks and of the home file: one change of one file turns one state of the machine into another, so that
no crash leaves a mixture. Files that such a change needs, or leaves over, are in ``snapshot.unused`` as
long as they belong to no state; they are deleted at the next opportunity.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import quote, unquote

from kmipkit_vsphere.host.descriptor import Descriptor
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument, InvalidState, NotFound

MAX_NAME: Final = 80
MAX_DESCRIPTION: Final = 1024
MAX_DEPTH: Final = 32
"""As many snapshots can follow one another."""

_PREFIX: Final = "snapshot."
_ANY: Final = r"snapshot(\d*)\.(\w+)"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot; ``disks`` are the layers that hold its disks, ``parent`` is its predecessor."""

    id: int
    name: str
    description: str
    created: str
    parent: int | None
    disks: Mapping[int, str]
    has_memory: bool
    has_tpm: bool
    state: str
    """The file with the contents of its home, and of its memory."""


@dataclass(frozen=True, slots=True)
class SnapshotList:
    """All snapshots of a machine, and the one that its present state comes from."""

    snapshots: Mapping[int, Snapshot] = field(default_factory=dict)
    current: int | None = None
    last_id: int = 0
    last_layer: int = 0
    unused: tuple[str, ...] = ()
    merging: tuple[str, str] | None = None
    """A layer that is being merged into the one below it: both files."""

    # Reading and writing -------------------------------------------------------------------------

    @classmethod
    def parse(cls, vmx: Descriptor) -> Self:
        """The snapshots in a ``.vmx``; :class:`DamagedData` for settings that contradict others."""
        values: dict[str, dict[str, str]] = {}
        for setting, value in vmx.matching(_ANY).items():
            match = re.fullmatch(_ANY, setting)
            assert match is not None
            values.setdefault(match[1], {})[match[2]] = value
        general = values.pop("", {})
        try:
            snapshots = {int(number): _snapshot(int(number), v) for number, v in values.items()}
            current = int(general["current"]) if "current" in general else None
            merging = general["merging"].split("/") if "merging" in general else None
            found = cls(
                dict(sorted(snapshots.items())),
                current,
                int(general.get("lastUID", 0)),
                int(general.get("lastLayer", 0)),
                tuple(filter(None, general.get("unused", "").split("/"))),
                None if merging is None else (merging[0], merging[1]),
            )
        except (KeyError, ValueError, IndexError):
            raise DamagedData("the list of snapshots is damaged") from None
        references = [current, *(snapshot.parent for snapshot in snapshots.values())]
        if any(number is not None and number not in snapshots for number in references):
            raise DamagedData("the list of snapshots names one that is not there")
        return found

    def write(self, vmx: Descriptor) -> Descriptor:
        """A ``.vmx`` with these snapshots instead of those that it has."""
        for setting in vmx.matching(_ANY):
            vmx = vmx.without_setting(setting)
        for setting, value in self._settings().items():
            vmx = vmx.with_setting(setting, value)
        return vmx

    def _settings(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        if self.last_id:
            settings |= {f"{_PREFIX}lastUID": str(self.last_id)}
        if self.last_layer:
            settings |= {f"{_PREFIX}lastLayer": str(self.last_layer)}
        if self.current is not None:
            settings[f"{_PREFIX}current"] = str(self.current)
        if self.unused:
            settings[f"{_PREFIX}unused"] = "/".join(self.unused)
        if self.merging is not None:
            settings[f"{_PREFIX}merging"] = "/".join(self.merging)
        for snapshot in self.snapshots.values():
            settings |= {
                f"snapshot{snapshot.id}.{name}": v for name, v in _values(snapshot).items()
            }
        return settings

    # Finding -------------------------------------------------------------------------------------

    def get(self, name_or_id: str | int) -> Snapshot:
        """The snapshot of this name or id; a number is always an id, a string is a name first.

        Raises :class:`NotFound`, and :class:`InvalidArgument` if several have the name.
        """
        by_id = [s for s in self.snapshots.values() if str(s.id) == str(name_or_id)]
        named = [s for s in self.snapshots.values() if s.name == name_or_id]
        if not named and not by_id:
            raise NotFound(f"there is no snapshot {name_or_id}")
        if not named:
            return by_id[0]
        if len(named) > 1:
            ids = ", ".join(str(snapshot.id) for snapshot in named)
            raise InvalidArgument(f"several snapshots are named {name_or_id}: use an id, of {ids}")
        return named[0]

    def children(self, number: int | None) -> list[Snapshot]:
        """The snapshots that follow one, or those that come first."""
        return [snapshot for snapshot in self.snapshots.values() if snapshot.parent == number]

    def in_order(self) -> list[Snapshot]:
        """All snapshots, each followed by what follows it."""
        ordered: list[Snapshot] = []
        waiting = self.children(None)[::-1]
        while waiting:
            ordered.append(waiting.pop())
            waiting += self.children(ordered[-1].id)[::-1]
        return ordered

    def with_descendants(self, number: int) -> list[int]:
        """A snapshot, and all that follow it."""
        numbers = [number]
        for known in numbers:
            numbers += [snapshot.id for snapshot in self.children(known)]
        return numbers

    def is_line(self) -> bool:
        """Whether no snapshot is followed by two states, one of which may be the present one."""
        followers = [snapshot.parent for snapshot in self.snapshots.values()]
        if self.snapshots:
            followers.append(self.current)
        return len(followers) == len(set(followers))

    def check_depth(self) -> None:
        """:class:`InvalidState` if no further snapshot can follow the present state."""
        depth, number = 0, self.current
        while number is not None:
            depth, number = depth + 1, self.snapshots[number].parent
        if depth >= MAX_DEPTH:
            raise InvalidState(f"more than {MAX_DEPTH} snapshots cannot follow one another")

    # Changing ------------------------------------------------------------------------------------

    def adding(self, snapshot: Snapshot) -> "SnapshotList":
        """The list with a new snapshot, which becomes the current one."""
        snapshots = {**self.snapshots, snapshot.id: snapshot}
        return replace(self, snapshots=snapshots, current=snapshot.id)

    def removing(self, numbers: Iterable[int]) -> "SnapshotList":
        """The list without some; what follows them now follows what was before them."""
        gone = set(numbers)

        def remaining(number: int | None) -> int | None:
            while number is not None and number in gone:
                number = self.snapshots[number].parent
            return number

        return replace(
            self,
            snapshots={
                number: replace(snapshot, parent=remaining(snapshot.parent))
                for number, snapshot in self.snapshots.items()
                if number not in gone
            },
            current=remaining(self.current),
        )

    def renaming_layer(self, old: str, new: str) -> "SnapshotList":
        """The list in which a layer stands for another one."""
        return replace(
            self,
            snapshots={
                number: replace(
                    snapshot,
                    disks={d: new if file == old else file for d, file in snapshot.disks.items()},
                )
                for number, snapshot in self.snapshots.items()
            },
        )


def check_names(name: str, description: str) -> None:
    """Raise :class:`InvalidArgument` for a name or a description that a snapshot cannot have."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise InvalidArgument(
            f"{name!r} is not a valid name of a snapshot: use at most {MAX_NAME} printable"
            " characters, without spaces at either end"
        )
    if len(description) > MAX_DESCRIPTION:
        raise InvalidArgument(f"a description has at most {MAX_DESCRIPTION} characters")


def _values(snapshot: Snapshot) -> dict[str, str]:
    return {
        "displayName": _escaped(snapshot.name),
        "description": _escaped(snapshot.description),
        "createTime": snapshot.created,
        "filename": snapshot.state,
        "hasMemory": str(snapshot.has_memory).upper(),
        "vtpm": str(snapshot.has_tpm).upper(),
        **({} if snapshot.parent is None else {"parent": str(snapshot.parent)}),
        **{f"disk{number}": file for number, file in snapshot.disks.items()},
    }


def _snapshot(number: int, values: Mapping[str, str]) -> Snapshot:
    disks = [name.removeprefix("disk") for name in values if re.fullmatch(r"disk\d+", name)]
    return Snapshot(
        id=number,
        name=unquote(values["displayName"]),
        description=unquote(values["description"]),
        created=values["createTime"],
        parent=int(values["parent"]) if "parent" in values else None,
        disks={int(disk): values[f"disk{disk}"] for disk in sorted(disks, key=int)},
        has_memory=values["hasMemory"] == "TRUE",
        has_tpm=values["vtpm"] == "TRUE",
        state=values["filename"],
    )


def _escaped(text: str) -> str:
    """A text as the value of a setting: without quotes and line ends of any kind."""
    return "".join(
        quote(character, safe="") if character in '"%' or not character.isprintable() else character
        for character in text
    )
