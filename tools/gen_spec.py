"""Writes the tables of ``kmipkit/spec`` from the JSON extracts of the specifications.

    python tools/gen_spec.py [--check] [DIRECTORY]

DIRECTORY holds tags.json, enumerations.json, masks.json, attributes.json and operations.json; without
it, ``../shared/spec/tables`` beside the project is taken. ``--check`` writes nothing and fails if a
file would change. Where the extracts are missing there is nothing to compare with, and that is said.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
TABLES = PROJECT.parent / "shared" / "spec" / "tables"
TARGET = PROJECT / "kmipkit" / "spec"

HEAD = '''"""{doc}

Made by tools/gen_spec.py from the tables of the specifications; do not edit.
"""
'''

# KMIP 2.1 §11.38 counts the functions of CK_FUNCTION_LIST_3_0 of PKCS #11 3.0 §3.6 from 1.
PKCS11_FUNCTIONS = [
    "Initialize",
    "Finalize",
    "GetInfo",
    "GetFunctionList",
    "GetSlotList",
    "GetSlotInfo",
    "GetTokenInfo",
    "GetMechanismList",
    "GetMechanismInfo",
    "InitToken",
    "InitPIN",
    "SetPIN",
    "OpenSession",
    "CloseSession",
    "CloseAllSessions",
    "GetSessionInfo",
    "GetOperationState",
    "SetOperationState",
    "Login",
    "Logout",
    "CreateObject",
    "CopyObject",
    "DestroyObject",
    "GetObjectSize",
    "GetAttributeValue",
    "SetAttributeValue",
    "FindObjectsInit",
    "FindObjects",
    "FindObjectsFinal",
    "EncryptInit",
    "Encrypt",
    "EncryptUpdate",
    "EncryptFinal",
    "DecryptInit",
    "Decrypt",
    "DecryptUpdate",
    "DecryptFinal",
    "DigestInit",
    "Digest",
    "DigestUpdate",
    "DigestKey",
    "DigestFinal",
    "SignInit",
    "Sign",
    "SignUpdate",
    "SignFinal",
    "SignRecoverInit",
    "SignRecover",
    "VerifyInit",
    "Verify",
    "VerifyUpdate",
    "VerifyFinal",
    "VerifyRecoverInit",
    "VerifyRecover",
    "DigestEncryptUpdate",
    "DecryptDigestUpdate",
    "SignEncryptUpdate",
    "DecryptVerifyUpdate",
    "GenerateKey",
    "GenerateKeyPair",
    "WrapKey",
    "UnwrapKey",
    "DeriveKey",
    "SeedRandom",
    "GenerateRandom",
    "GetFunctionStatus",
    "CancelFunction",
    "WaitForSlotEvent",
    "GetInterfaceList",
    "GetInterface",
    "LoginUser",
    "SessionCancel",
    "MessageEncryptInit",
    "EncryptMessage",
    "EncryptMessageBegin",
    "EncryptMessageNext",
    "MessageEncryptFinal",
    "MessageDecryptInit",
    "DecryptMessage",
    "DecryptMessageBegin",
    "DecryptMessageNext",
    "MessageDecryptFinal",
    "MessageSignInit",
    "SignMessage",
    "SignMessageBegin",
    "SignMessageNext",
    "MessageSignFinal",
    "MessageVerifyInit",
    "VerifyMessage",
    "VerifyMessageBegin",
    "VerifyMessageNext",
    "MessageVerifyFinal",
]

# KMIP 2.1 §11.39 takes the values of CK_RV (PKCS #11 3.0 §3.6), named here without "CKR_".
PKCS11_RETURN_CODES = {
    "OK": 0x00,
    "CANCEL": 0x01,
    "HOST_MEMORY": 0x02,
    "SLOT_ID_INVALID": 0x03,
    "GENERAL_ERROR": 0x05,
    "FUNCTION_FAILED": 0x06,
    "ARGUMENTS_BAD": 0x07,
    "ATTRIBUTE_READ_ONLY": 0x10,
    "ATTRIBUTE_SENSITIVE": 0x11,
    "ATTRIBUTE_TYPE_INVALID": 0x12,
    "ATTRIBUTE_VALUE_INVALID": 0x13,
    "DATA_INVALID": 0x20,
    "DATA_LEN_RANGE": 0x21,
    "DEVICE_ERROR": 0x30,
    "ENCRYPTED_DATA_INVALID": 0x40,
    "FUNCTION_NOT_SUPPORTED": 0x54,
    "KEY_HANDLE_INVALID": 0x60,
    "KEY_SIZE_RANGE": 0x62,
    "KEY_TYPE_INCONSISTENT": 0x63,
    "KEY_FUNCTION_NOT_PERMITTED": 0x68,
    "MECHANISM_INVALID": 0x70,
    "MECHANISM_PARAM_INVALID": 0x71,
    "OBJECT_HANDLE_INVALID": 0x82,
    "OPERATION_ACTIVE": 0x90,
    "OPERATION_NOT_INITIALIZED": 0x91,
    "PIN_INCORRECT": 0xA0,
    "SESSION_HANDLE_INVALID": 0xB3,
    "SIGNATURE_INVALID": 0xC0,
    "TEMPLATE_INCOMPLETE": 0xD0,
    "USER_NOT_LOGGED_IN": 0x101,
    "RANDOM_NO_RNG": 0x121,
    "BUFFER_TOO_SMALL": 0x150,
    "CRYPTOKI_NOT_INITIALIZED": 0x190,
    "CRYPTOKI_ALREADY_INITIALIZED": 0x191,
}

# How profiles and their test cases write names otherwise than the specification.
PROFILE_NAMES = {
    ("CryptographicUsageMask", "ContentCommitment"): "CONTENT_COMMITMENT_NON_REPUDIATION",
    ("ResultReason", "NotAuthorized"): "NOT_AUTHORISED",
}

# Tags whose value is taken from the enumeration of another name.
SHARED_ENUMERATIONS = {
    "Mask Generator Hashing Algorithm": "Hashing Algorithm",
    "OTP Digest": "Hashing Algorithm",
    "Password Salt Algorithm": "Hashing Algorithm",
    "Extension Type": "Item Type",
    "Ephemeral": "Ephemeral",
}

# The tables extracted for 2.1 name one row for all of these (KMIP 1.4 §9.1.3.1, KMIP 2.1 §4.6).
CERTIFICATE_FIELDS = re.compile(
    r"Certificate (Subject|Issuer) (CN|O|OU|Email|C|ST|L|UID|DC|"
    r"Serial Number|Title|DN Qualifier)$"
)


# Attributes that 3.0 adds, as far as its tables of tags and its test cases show what they hold, with
# what clients may do (s set, m modify, d delete) and whether there may be several.
ATTRIBUTES_3_0 = {
    "Object Class": ("", False),
    "Credential Link": ("smd", True),
    "Group Link": ("smd", True),
    "Password Link": ("smd", True),
    "Split Key Base Link": ("smd", True),
    "Joined Split Key Parts Link": ("smd", True),
    "Certificate Request Link": ("smd", True),
}
# Attributes whose tag is gone in 3.0: its groups are objects, with links to them.
UNTIL_2_1 = {"Object Group"}


def python_name(name: str) -> str:
    """A member's name: upper case, everything else an underscore; 3DES becomes DES3."""
    upper = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return re.sub(r"^(\d+)([^_]*)", r"\2\1", upper)


def class_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name.replace("#", ""))


def camel_case(text: str) -> str:
    """The name in XML and JSON: the six rules of Additional Message Encodings 1.0 §4.1.3."""
    text = re.sub(r"[()]", " ", text)
    text = re.sub(r"\W([A-Za-z][a-z])", r" \1", text)
    parts = [re.sub(r"\W", "_", word) for word in text.split()]
    parts[0] = re.sub(r"^(\d+)(.*)", r"\2\1", parts[0])
    return "".join(word[:1].upper() + word[1:] for word in parts)


def derived(member: str) -> str:
    """The name in XML that follows from the name of a member; exceptions are in ``SPELLING``."""
    return "".join(part.capitalize() for part in member.split("_"))


def version(text: str) -> str:
    return "V" + text.replace(".", "_")


def span(row: dict[str, Any], versions: list[str]) -> str:
    """``since`` and, where it ended, ``until``, as arguments."""
    first, removed = version(row["first_version"]), row.get("removed_in")
    last = versions[versions.index(removed) - 1] if removed else row.get("last", versions[-1])
    return first if last == versions[-1] else f"{first}, {version(last)}"


class Source:
    """The extracts."""

    def __init__(self, directory: Path) -> None:
        def load(name: str) -> Any:
            return json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))

        tags, enumerations = load("tags"), load("enumerations")
        self.versions: list[str] = tags["versions"]
        self.tags = tags["tags"]
        self.masks = load("masks")["masks"]
        self.attributes = load("attributes")["attributes"]
        self.operations = load("operations")["operations"]
        self.enumerations = enumerations["enumerations"]
        elsewhere = {
            "PKCS#11 Function": {f"C_{n}": i for i, n in enumerate(PKCS11_FUNCTIONS, 1)},
            "PKCS#11 Return Code": PKCS11_RETURN_CODES,
        }
        for enumeration in self.enumerations:
            for value in enumeration["values"]:  # a whole enumeration may end, as Link Type does
                value["last"] = max(value["versions"])
            for name, number in elsewhere.get(enumeration["name"], {}).items():
                row = {"name": name, "value": hex(number), "first_version": "2.0"}
                enumeration["values"].append(row)


def members(rows: list[dict[str, Any]], versions: list[str], form: str, digits: int) -> str:
    lines = []
    for row in rows:
        number = f"0x{int(row['value'], 16):0{digits}X}"
        lines.append(
            form.format(name=python_name(row["name"]), number=number, span=span(row, versions))
        )
    return "\n".join(lines)


def imports(body: str) -> str:
    used = sorted(set(re.findall(r"\bV\d_\d\b", body)))
    return f"from kmipkit.spec.versions import {', '.join(used)}\n"


def tags_module(source: Source) -> str:
    body = members(source.tags, source.versions, "    {name} = {number}, {span}", 6)
    return (
        HEAD.format(
            doc="Every tag, with the versions that have it (KMIP 1.4 §9.1.3.1, KMIP 2.1 §11.56)."
        )
        + "\nfrom kmipkit.spec.enumeration import OpenEnum\n"
        + imports(body)
        + '\n\nclass Tag(OpenEnum):\n    """What an item is. Tags from 0x540000 to 0x54FFFF belong to vendors."""\n\n'
        + body
        + "\n"
    )


def section(row: dict[str, Any]) -> str:
    parts = [f"KMIP {v} §{row['sections'][v]}" for v in ("1.4", "2.1") if v in row["sections"]]
    return ", ".join(parts) or "KMIP 3.0"


def enums_module(source: Source) -> str:
    classes = []
    for row in source.enumerations:
        body = members(row["values"], source.versions, "    {name} = {number}, {span}", 8)
        doc = f'class {class_name(row["name"])}(OpenEnum):\n    """{row["name"]} ({section(row)})."""\n'
        classes.append(f"{doc}\n{body}\n" if body else doc)
    joined = "\n\n".join(classes)
    return (
        HEAD.format(
            doc="Every enumeration (KMIP 1.4 §9.1.3.2, KMIP 2.1 §11); numbers from 0x80000000 are vendors'."
        )
        + "\nfrom kmipkit.spec.enumeration import OpenEnum\n"
        + imports(joined)
        + "\n\n"
        + joined
    )


def masks_module(source: Source) -> str:
    classes = []
    for row in source.masks:
        body = members(row["bits"], source.versions, "    {name} = bit({number}, {span})", 8)
        doc = f'class {class_name(row["name"])}(OpenMask):\n    """{row["name"]} ({section(row)})."""\n'
        classes.append(f"{doc}\n{body}\n")
    joined = "\n\n".join(classes)
    return (
        HEAD.format(doc="Every bit mask (KMIP 1.4 §9.1.3.3, KMIP 2.1 §12).")
        + "\nfrom kmipkit.spec.enumeration import OpenMask, bit\n"
        + imports(joined)
        + "\n\n"
        + joined
    )


def all_names(source: Source) -> Iterator[tuple[str, str]]:
    """(owner, name of the standard) of everything that has a name."""
    for row in source.tags:
        yield "Tag", row["name"]
    for group, rows in ((source.enumerations, "values"), (source.masks, "bits")):
        for row in group:
            for value in row[rows]:
                yield class_name(row["name"]), value["name"]


def spelling(source: Source) -> dict[str, str]:
    """Members whose name in XML does not follow from their own; with their owner if it matters."""
    found: dict[str, set[str]] = {}
    for _, name in all_names(source):
        found.setdefault(python_name(name), set()).add(camel_case(name))
    result = {}
    for owner, name in all_names(source):
        member = python_name(name)
        if len(found[member]) > 1:
            result[f"{owner}.{member}"] = camel_case(name)
        elif camel_case(name) != derived(member):
            result[member] = camel_case(name)
    return dict(sorted(result.items()))


def aliases(source: Source) -> dict[tuple[str, str], str]:
    """(enumeration, other name of a value in some version) to member."""
    return PROFILE_NAMES | {
        (class_name(row["name"]), camel_case(other)): python_name(value["name"])
        for row in source.enumerations
        for value in row["values"]
        for other in dict.fromkeys(value.get("names_by_version", {}).values())
        if other != value["name"]
    }


def enumeration_tags(source: Source) -> dict[str, str]:
    """Tag member to class of its values."""
    known = {row["name"] for row in source.enumerations}
    numbers = {row["value"]: row["name"] for row in source.tags}
    pairs = {numbers[row["tag"]]: row["name"] for row in source.enumerations if row.get("tag")}
    pairs.update({tag: name for tag, name in SHARED_ENUMERATIONS.items() if name in known})
    return {python_name(tag): class_name(name) for tag, name in sorted(pairs.items())}


def names_module(source: Source) -> str:
    by_tag = enumeration_tags(source)
    rows = [f'    "{member}": "{text}",' for member, text in spelling(source).items()]
    others = [f'    ("{a}", "{b}"): "{c}",' for (a, b), c in aliases(source).items()]
    enums = [f"    Tag.{tag}: enums.{name}," for tag, name in by_tag.items()]
    masks = [
        f"    Tag.{python_name(row['name'])}: masks.{class_name(row['name'])},"
        for row in source.masks
    ]
    return "\n".join(
        [
            HEAD.format(
                doc="Spelling of names in XML and JSON, and which tags carry which enumeration."
            ),
            "from kmipkit.spec import enums, masks",
            "from kmipkit.spec.enumeration import OpenEnum, OpenMask",
            "from kmipkit.spec.tags import Tag",
            "",
            "SPELLING: dict[str, str] = {",
            *rows,
            "}",
            '"""How members are written whose words are not only capitalized; CLASS.MEMBER where that differs."""',
            "",
            "ALIASES: dict[tuple[str, str], str] = {",
            *others,
            "}",
            '"""(enumeration, name that some version has for a value): the member\'s name here."""',
            "",
            "ENUMERATIONS: dict[int, type[OpenEnum]] = {",
            *enums,
            "    Tag.ATTRIBUTE_REFERENCE: Tag,",
            "    Tag.TAG: Tag,",
            "}",
            '"""Tags of items that hold an enumeration."""',
            "",
            "MASKS: dict[int, type[OpenMask]] = {",
            *masks,
            "}",
            '"""Tags of items that hold a bit mask."""',
            "",
        ]
    )


def letters(rules: dict[str, Any] | None) -> str:
    """Permissions of clients: s to set it first, m to modify it, d to delete it."""
    if not rules or "initially_set_by" not in rules:
        return "smd"  # vendor attributes: no rules are printed, so clients may do all
    return "".join(
        letter
        for letter, allowed in (
            ("s", "Client" in rules["initially_set_by"]),
            ("m", rules["modifiable_by_client"].startswith("Yes")),
            ("d", rules["deletable_by_client"].startswith("Yes")),
        )
        if allowed
    )


def attribute_rows(source: Source) -> Iterator[str]:
    tags = {row["name"]: row for row in source.tags}
    form = '    AttributeSpec(Tag.{}, "{}", {}, {}, {}, "{}", "{}"),'
    for row in source.attributes:
        old, new = row["spec"].get("1.4"), row["spec"].get("2.1")
        if row["name"] not in tags:
            continue  # "Certificate Attributes" stands for many, "Vendor Attribute" has no tag
        tag = tags[row["name"]]
        since = tag["first_version"] if old else max("2.0", tag["first_version"])
        rules = [letters((spec or old or new)["rules"]) for spec in (old, new)]
        multi = bool((new or old)["multi_instance"])
        until = "V1_4" if new is None else "V2_1" if row["name"] in UNTIL_2_1 else None
        yield form.format(
            python_name(row["name"]), row["name"], version(since), until, multi, *rules
        )
    for name, tag in tags.items():
        if CERTIFICATE_FIELDS.match(name):
            since = version(tag["first_version"])
            yield form.format(python_name(name), name, since, None, True, "", "")
    for name, (rules, several) in ATTRIBUTES_3_0.items():
        yield form.format(python_name(name), name, "V3_0", None, several, "", rules)


def attributes_module(source: Source) -> str:
    rows = "\n".join(attribute_rows(source))
    return (
        HEAD.format(doc="Every attribute: since when, how often, and what clients may do with it.")
        + "\nfrom kmipkit.spec.attribute_spec import AttributeSpec\n"
        + "from kmipkit.spec.tags import Tag\n"
        + imports(rows)
        + "\nATTRIBUTES = (\n"
        + rows
        + '\n)\n"""The attributes of KMIP 1.4 §3 and KMIP 2.1 §4, in that order, and those of 3.0."""\n\n'
        + "BY_TAG = {row.tag: row for row in ATTRIBUTES}\n"
        + "BY_NAME = {row.name: row for row in ATTRIBUTES}\n"
    )


def operation_rows(source: Source) -> Iterator[str]:
    names = {"client-to-server": "FROM_CLIENT", "server-to-client": "FROM_SERVER"}
    for row in source.operations:
        found = {names[direction] for spec in row["spec"].values() for direction in spec} or {
            "FROM_CLIENT"
        }
        sides = " | ".join(f"Side.{name}" for name in sorted(found))
        yield f"    OperationSpec(Operation.{python_name(row['name'])}, {sides}),"


def operations_module(source: Source) -> str:
    return (
        HEAD.format(
            doc="Every operation and which side may ask for it (KMIP 1.4 §4 and §5, KMIP 2.1 §6)."
        )
        + "\nfrom kmipkit.spec.enums import Operation\n"
        + "from kmipkit.spec.operation_spec import OperationSpec, Side\n"
        + "\nOPERATIONS = (\n"
        + "\n".join(operation_rows(source))
        + "\n)\n\nBY_OPERATION = {row.operation: row for row in OPERATIONS}\n"
    )


MODULES: dict[str, Callable[[Source], str]] = {
    "tags.py": tags_module,
    "enums.py": enums_module,
    "masks.py": masks_module,
    "naming_tables.py": names_module,
    "attributes.py": attributes_module,
    "operations.py": operations_module,
}


def formatted(text: str, name: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET / name), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    rest = [Path(argument) for argument in arguments if argument != "--check"]
    directory = rest[0] if rest else TABLES
    if not directory.is_dir():
        print(f"{directory}: no tables found; the generated files are not compared")
        return 0 if check else 1
    source = Source(directory)
    stale = []
    for name, make in MODULES.items():
        path, text = TARGET / name, formatted(make(source), name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
