"""Documents from strangers: parsed with limits, without entities and without anything fetched."""

from typing import Final

from lxml import etree

from kmipkit_vsphere.model.errors import InvalidArgument

MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 50_000
MAX_ATTRIBUTES: Final = 32
"""Of one element."""
_CHUNK: Final = 16 * 1024


def parse(data: bytes) -> etree._Element:
    """The root of a document; :class:`InvalidArgument` for what is no XML or exceeds a limit.

    The limits hold while the document is read, so that no tree beyond them is ever built. A document
    type is refused whatever it holds: SOAP 1.1 forbids it (§3), and only entities need one.
    """
    parser = etree.XMLPullParser(
        ("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    depth = count = 0
    try:
        for start in range(0, len(data), _CHUNK):
            parser.feed(data[start : start + _CHUNK])
            for event, element in parser.read_events():
                if event == "end":
                    depth -= 1
                    continue
                depth, count = depth + 1, count + 1
                if count == 1 and element.getroottree().docinfo.doctype:
                    raise InvalidArgument("a document type is not allowed in a SOAP message")
                if (
                    depth > MAX_DEPTH
                    or count > MAX_ELEMENTS
                    or len(element.attrib) > MAX_ATTRIBUTES
                ):
                    raise InvalidArgument("the message has too many elements, or too deep ones")
        return parser.close()
    except etree.XMLSyntaxError as error:
        raise InvalidArgument(f"the message is not well-formed XML: {error.msg}") from None
