"""Test cases of the tester as text, in the XML encoding of KMIP 1.4."""

from pathlib import Path

HEADER = """<ProtocolVersion><ProtocolVersionMajor type="Integer" value="1"/>
<ProtocolVersionMinor type="Integer" value="4"/></ProtocolVersion>"""


def response(item: str, count: int = 1, stamp: str = "$NOW") -> str:
    return f"""<ResponseMessage><ResponseHeader>{HEADER}
    <TimeStamp type="DateTime" value="{stamp}"/><BatchCount type="Integer" value="{count}"/>
    </ResponseHeader>{item}</ResponseMessage>"""


def item(operation: str, payload: str, status: str = "Success", more: str = "") -> str:
    return f"""<BatchItem><Operation type="Enumeration" value="{operation}"/>
    <ResultStatus type="Enumeration" value="{status}"/>{more}
    <ResponsePayload>{payload}</ResponsePayload></BatchItem>"""


def request(operation: str, payload: str) -> str:
    return f"""<RequestMessage><RequestHeader>{HEADER}<BatchCount type="Integer" value="1"/>
    </RequestHeader><BatchItem><Operation type="Enumeration" value="{operation}"/>
    <RequestPayload>{payload}</RequestPayload></BatchItem></RequestMessage>"""


UID = '<UniqueIdentifier type="TextString" value="{}"/>'


def attribute(name: str, value: str, kind: str = "TextString") -> str:
    return f"""<Attribute><AttributeName type="TextString" value="{name}"/>
    <AttributeValue type="{kind}" value="{value}"/></Attribute>"""


def write_case(folder: Path, name: str, status: str = "Success") -> Path:
    create = request(
        "Create",
        '<ObjectType type="Enumeration" value="SymmetricKey"/><TemplateAttribute>'
        + attribute("Cryptographic Algorithm", "AES", "Enumeration")
        + attribute("Cryptographic Length", "128", "Integer")
        + attribute("Cryptographic Usage Mask", "Encrypt   Decrypt", "Integer")
        + "</TemplateAttribute>",
    )
    created = item(
        "Create",
        '<ObjectType type="Enumeration" value="SymmetricKey"/>'
        + UID.format("$UNIQUE_IDENTIFIER_0"),
        status,
    )
    path = folder / f"{name}.xml"
    path.write_text(f"<KMIP>{create}{response(created)}</KMIP>")
    return path
