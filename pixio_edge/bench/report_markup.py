"""HTML and SVG as text, in which everything that came from a record is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

# Control characters are not allowed in HTML; the others make text read in another order than it is written.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_VOID = {"meta", "br", "input"}


class Markup(str):
    """Text that is markup already. Everything else is escaped when it is put into an element."""

    __slots__ = ()


Child: TypeAlias = str | Markup
Value: TypeAlias = str | float | int | None


def element(name: str, attributes: Mapping[str, Value] | None = None, *children: Child) -> Markup:
    """One element.

    Args:
        name: Its name, which is ours and never of a record.
        attributes: Values by name; None leaves one out, and "" writes the name alone.
        children: What is inside: markup as it is, other text escaped.
    """
    written = "".join(_attribute(key, value) for key, value in (attributes or {}).items() if value is not None)
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Several pieces after one another.

    Args:
        children: Markup as it is, other text escaped.
        between: Markup of ours between them.
    """
    return Markup(between.join(child if isinstance(child, Markup) else escape(child) for child in children))


def escape(text: str) -> Markup:
    """Text for an element or an attribute in double quotes; what no browser should see becomes a replacement sign."""
    return Markup(html.escape(clean(text), quote=True))


def clean(text: str) -> str:
    """The text with a replacement sign for every character that is invisible and changes how the rest is read."""
    return _UNSAFE.sub("\ufffd", text)


def shorten(text: str, length: int) -> str:
    """The text, cut in the middle if it is longer, where names of one series differ least."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def pixels(value: float) -> str:
    """A coordinate with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _attribute(name: str, value: Value) -> str:
    if isinstance(value, float):
        value = pixels(value)
    return f" {name}" if value == "" else f' {name}="{escape(str(value))}"'
