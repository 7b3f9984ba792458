"""Translation Memory eXchange (TMX 1.4b), read as a stream: memory does not grow with the file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import CorpusError
from training.corpus import TextFile, one_line

_BLOCK = 1 << 19
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_TEXT = ("hi", "sub")
"""Inline elements whose content is text; that of the others (bpt, ept, it, ph, ut) is a program's code."""


def is_tmx(path: Path) -> bool:
    """Whether the name says TMX, compressed or not."""
    return ".tmx" in (path.suffix.lower(), Path(path.stem).suffix.lower())


def read_tmx(file: TextFile, languages: tuple[str, str]) -> Iterator[tuple[bytes]]:
    """Blocks of TSV lines, one for each translation unit in file order; empty sides where a language is missing.

    `en` takes `en-GB` as well, unless source and target are of one language (`pt-BR` to `pt-PT`).

    Raises:
        CorpusError: The file is no well-formed XML, or no unit has both languages.
    """
    source, target = (code.lower() for code in languages)
    whole = _primary(source) == _primary(target)
    wanted = (source, target) if whole else (_primary(source), _primary(target))
    seen: dict[str, int] = {}
    lines: list[str] = []
    size = units = both = 0
    try:
        body = None
        for event, element in ElementTree.iterparse(file, events=("start", "end")):
            name = _name(element)
            if event == "start":
                body = element if name == "body" else body
                continue
            if name != "tu":
                continue
            found: dict[str, str] = {}
            for variant in element:
                if _name(variant) != "tuv":
                    continue
                code = (variant.get(_LANGUAGE) or variant.get("lang") or "").lower()
                seen[code] = seen.get(code, 0) + 1
                segment = next((one for one in variant if _name(one) == "seg"), None)
                if segment is not None:
                    found.setdefault(code if whole else _primary(code), one_line(_text(segment)))
            if body is not None:
                body.clear()  # else every unit would stay, empty, in its parent
            units += 1
            both += all(code in found for code in wanted)
            line = "\t".join(found.get(code, "") for code in wanted) + "\n"
            lines.append(line)
            size += len(line)
            if size > _BLOCK:
                yield ("".join(lines).encode("utf-8", "replace"),)
                lines, size = [], 0
    except ElementTree.ParseError as error:
        raise CorpusError(
            f"{file.path}, unit {units + 1}: not well-formed XML ({error}); export the translation memory again as TMX"
        ) from None
    if units and not both:
        held = ", ".join(sorted(code or "(none)" for code in seen))
        raise CorpusError(
            f"{file.path}: no unit has both {languages[0]!r} and {languages[1]!r}; the languages there are {held}. "
            "Set source and target in the recipe"
        )
    if lines:
        yield ("".join(lines).encode("utf-8", "replace"),)


def _primary(code: str) -> str:
    return code.replace("_", "-").partition("-")[0]


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if _name(child) in _TEXT:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
