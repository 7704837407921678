"""The text files beside a machine's data: ``.vmx`` and the disk descriptor ``.vmdk``.

Both consist of lines, of which ``name = "value"`` are settings; all others (comments, extents) stay
as they are. The key locator of the encrypted data is the value of one setting, see
:data:`LOCATOR_SETTING`. Changes are made to a copy in memory; files are replaced as a whole.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument

LOCATOR_SETTING: Final = "encryption.bundle"
"""The setting that holds the key locator, in both kinds of file (vsphere.md §2.2)."""
MAX_SIZE: Final = 256 * 1024

_SETTING = re.compile(r'\s*([A-Za-z0-9_.:]+)\s*=\s*"([^"]*)"\s*')

_EXTENT = re.compile(r'RW ([0-9]+) [A-Z]+ "([^"]*)"')

DISK_TEMPLATE: Final = """\
# Disk DescriptorFile
version = "1"
CID = "fffffffe"
createType = "vmfs"
sectorSize = "{sector_size}"

# Extent description
RW {sectors} VMFS "{extent}"
"""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The lines of a ``.vmx`` or ``.vmdk`` file, without their line ends."""

    lines: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split a text into lines; any text is a descriptor."""
        return cls(tuple(text.splitlines()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; :class:`DamagedData` if it is missing, cut off, too long or not UTF-8."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise DamagedData(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > MAX_SIZE:
            raise DamagedData(f"{path} is longer than {MAX_SIZE} bytes")
        if not data.endswith(b"\n"):
            # Without its last line, a descriptor could lack the locator: encrypted data would then
            # count as plain.
            raise DamagedData(f"{path} is empty or cut off; restore it from a backup")
        try:
            return cls.parse(data.decode())
        except UnicodeDecodeError:
            raise DamagedData(f"{path} is not a text file") from None

    def get(self, name: str) -> str | None:
        """The value of a setting, None if there is none."""
        return next((value for setting, value in self._settings() if setting == name), None)

    def require(self, name: str) -> str:
        """The value of a setting; :class:`DamagedData` if there is none."""
        value = self.get(name)
        if value is None:
            raise DamagedData(f"the setting {name} is missing")
        return value

    def with_setting(self, name: str, value: str) -> Self:
        """A copy in which the setting has this value; a new setting is appended."""
        if not re.fullmatch(r'[^"\r\n]*', value):
            raise InvalidArgument(f"the value of {name} cannot contain quotes or line breaks")
        line = f'{name} = "{value}"'
        if self.get(name) is None:
            return type(self)((*self.lines, line))
        return type(self)(tuple(line if _name(old) == name else old for old in self.lines))

    def without_setting(self, name: str) -> Self:
        """A copy without this setting."""
        return type(self)(tuple(line for line in self.lines if _name(line) != name))

    def matching(self, pattern: str) -> dict[str, str]:
        """The settings whose whole name matches a regular expression."""
        return {name: value for name, value in self._settings() if re.fullmatch(pattern, name)}

    def extents(self) -> dict[str, int]:
        """The data files that a disk descriptor names, with their sizes in bytes."""
        matches = map(_EXTENT.fullmatch, self.lines)
        return {match[2]: int(match[1]) * 512 for match in matches if match}

    def _settings(self) -> list[tuple[str, str]]:
        matches = map(_SETTING.fullmatch, self.lines)
        return [(match[1], match[2]) for match in matches if match]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def _name(line: str) -> str | None:
    match = _SETTING.fullmatch(line)
    return match[1] if match else None
