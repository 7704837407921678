"""SOAP 1.1 envelopes: a request's method and parameters, an answer, a fault."""

from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.web_services.codec import XSD, XSI, Writer, xml_text
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.versions import Version
from kmipkit_vsphere.web_services.vim25.declaration import VIM25, Ref, Shape
from kmipkit_vsphere.web_services.xml_input import parse

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_THIS: Final = "_this"


@dataclass(frozen=True, slots=True)
class Request:
    """A request: ``element`` is that of the method, whose children are the parameters."""

    namespace: str
    method: str
    this: Ref
    element: etree._Element
    headers: dict[str, str]


def read_request(data: bytes) -> Request:
    """The request in an envelope, or :class:`InvalidArgument`."""
    root = parse(data)
    if root.tag != f"{{{ENVELOPE}}}Envelope":
        raise InvalidArgument("the message is not a SOAP 1.1 envelope")
    bodies = root.findall(f"{{{ENVELOPE}}}Body")
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise InvalidArgument("the envelope does not have one body with one request")
    header = root.find(f"{{{ENVELOPE}}}Header")
    headers = {
        etree.QName(child).localname: (child.text or "").strip()
        for child in (header if header is not None else ())
    }
    [element] = bodies[0]
    name = etree.QName(element)
    namespace = name.namespace or ""
    this = element.find(f"{{{namespace}}}{_THIS}")
    if this is None or not this.get("type") or not (this.text or "").strip():
        raise InvalidArgument(f"{name.localname} does not say on which object (_this)")
    ref = Ref(this.get("type", ""), (this.text or "").strip())
    element.remove(this)
    return Request(namespace, name.localname, ref, element, headers)


def answer(request: Request, version: Version, result: Shape | None, value: Any) -> bytes:
    """The envelope of an answer."""
    envelope, body = _envelope(request.namespace)
    tag = f"{{{request.namespace}}}{request.method}Response"
    element = etree.SubElement(body, tag, nsmap={None: request.namespace})
    if result is not None:
        name = f"{{{request.namespace}}}returnval"
        Writer(version).write(element, name, result, value)
    return _bytes(envelope)


def fault(failure: Fault, version: Version) -> bytes:
    """The envelope of a fault."""
    envelope, body = _envelope(failure.detail.namespace)
    element = etree.SubElement(body, f"{{{ENVELOPE}}}Fault")
    etree.SubElement(element, "faultcode").text = "ServerFaultCode"
    etree.SubElement(element, "faultstring").text = xml_text(failure.message)
    detail = etree.SubElement(element, "detail")
    Writer(version).write_fault(detail, failure.detail)
    return _bytes(envelope)


def _envelope(namespace: str) -> tuple[etree._Element, etree._Element]:
    """An envelope; types of vim25 have no prefix, except where another namespace is the default."""
    prefixes = {"soapenv": ENVELOPE, "xsd": XSD, "xsi": XSI}
    if namespace != VIM25:
        prefixes["vim25"] = VIM25
    envelope = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap=prefixes)
    return envelope, etree.SubElement(envelope, f"{{{ENVELOPE}}}Body")


def _bytes(envelope: etree._Element) -> bytes:
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
