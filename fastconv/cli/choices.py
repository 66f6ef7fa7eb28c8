"""Words that are chosen from a few, with a suggestion where one was mistyped."""

from __future__ import annotations

from typing import Any

import click

from ..errors import nearest, shown


class Choice(click.Choice):
    """click's choice, whose message is of bounded length and names the nearest word."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            words = [str(choice) for choice in self.choices]
            self.fail(f"{shown(value)} is not one of {', '.join(words)}{nearest(value, words)}", param, ctx)
