"""XMP packets (ISO 16684-1): the simple properties of the picture itself, without entities or network."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC_EXT: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
BASIC: Final = "http://ns.adobe.com/xap/1.0/"
DC: Final = "http://purl.org/dc/elements/1.1/"
DC_TERMS: Final = "http://purl.org/dc/terms/"
EXIF: Final = "http://ns.adobe.com/exif/1.0/"
GAIN_MAP: Final = "http://ns.adobe.com/hdr-gain-map/1.0/"
XMP_NOTE: Final = "http://ns.adobe.com/xmp/note/"
TC260: Final = "http://www.tc260.org.cn/ns/AIGC/1.0/"

_MOST_BYTES: Final = 4 << 20
_MOST_ELEMENTS: Final = 100_000
_MOST_DEPTH: Final = 100
_MOST_VALUE: Final = 1 << 20
_CONTAINERS: Final = frozenset({f"{RDF} Bag", f"{RDF} Seq", f"{RDF} Alt"})


class _RefusedError(Exception):
    """The packet is not read any further."""


@dataclass
class Xmp:
    """The simple and listed properties of a packet's top level, by namespace and name.

    Structures are left out: what stands inside an ingredient's or an artwork's description is said of that.
    """

    place: str
    properties: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def first(self, namespace: str, name: str) -> str:
        """The first value of a property; empty where it is absent."""
        values = self.properties.get((namespace, name))
        return values[0] if values else ""

    def add(self, further: Xmp) -> None:
        """Take the properties of an extended packet that this one lacks."""
        for key, values in further.properties.items():
            self.properties.setdefault(key, values)

    def has_namespace(self, namespace: str) -> bool:
        """A property of that namespace is there."""
        return any(known == namespace for known, _ in self.properties)


def read_xmp(packet: bytes, place: str) -> Xmp:
    """The top-level properties of an XMP packet; of a damaged one, those before the damage.

    A document type, and with it every entity, ends the reading.
    """
    xmp = Xmp(place)
    reader = _Reader(xmp)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    body = packet[:_MOST_BYTES].strip(b"\0 \t\r\n")
    # What was read before any damage stays: a truncated packet has made its statement all the same.
    with contextlib.suppress(expat.ExpatError, _RefusedError, ValueError, LookupError):
        parser.Parse(body, True)
    return xmp


class _Reader:
    """Follows the elements: RDF, a description, a property, and the items of a list."""

    def __init__(self, xmp: Xmp) -> None:
        self.xmp = xmp
        self.path: list[str] = []
        self.elements = 0
        self.text: list[str] = []
        self.size = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.path.append(name)
        if self.elements > _MOST_ELEMENTS or len(self.path) > _MOST_DEPTH:
            raise _RefusedError
        self.text, self.size = [], 0
        below = self._below_description()
        if below == 0:
            for attribute, value in attributes.items():
                self._keep(attribute, value)
        elif below == 1 and f"{RDF} resource" in attributes:
            self._keep(name, attributes[f"{RDF} resource"])

    def end(self, name: str) -> None:
        below = self._below_description()
        value = "".join(self.text).strip()
        if below == 1 and value:
            self._keep(name, value)
        elif below == 3 and self.path[-2] in _CONTAINERS and name == f"{RDF} li" and value:
            self._keep(self.path[-3], value)
        self.text, self.size = [], 0
        self.path.pop()

    def characters(self, text: str) -> None:
        self.size += len(text)
        if self.size <= _MOST_VALUE:
            self.text.append(text)

    def refuse(self, *_: object) -> None:
        raise _RefusedError

    def _below_description(self) -> int:
        """How deep below a top-level description; -1 outside of any."""
        # The wrapper was once called xapmeta, and is optional.
        start = 1 if self.path[0].startswith("adobe:ns:meta/ ") else 0
        if self.path[start : start + 2] != [f"{RDF} RDF", f"{RDF} Description"]:
            return -1
        return len(self.path) - start - 2

    def _keep(self, name: str, value: str) -> None:
        namespace, _, local = name.rpartition(" ")
        values = self.xmp.properties.setdefault((namespace, local), [])
        if namespace != RDF and len(values) < 100:
            values.append(value[:_MOST_VALUE])
