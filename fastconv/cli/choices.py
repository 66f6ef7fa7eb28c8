"""Words that are chosen from a few, with a suggestion where one was mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import click

from ..errors import shown


class Choice(click.Choice):
    """click's choice, whose message is of bounded length and names the nearest word."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            words = [str(choice) for choice in self.choices]
            self.fail(f"{shown(value)} is not one of {', '.join(words)}{nearest(value, words)}", param, ctx)


def nearest(word: Any, known: Iterable[str]) -> str:
    """``; did you mean ...?`` for the nearest known word, else nothing.

    >>> nearest("mnits", ["mnist", "car-truck"]), nearest("x", ["mnist"])
    ("; did you mean 'mnist'?", '')
    """
    words = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(word)[:100].lower(), words, 1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""
