"""Commands of `discern` in texts, held against the real command line without running them."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from discern.cli import app

_FENCE = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(discern [^`\n]+)`")
_SHELLS = ("", "sh", "bash", "console")
_OPERATORS = ("|", "||", "&", "&&", ";", ">", ">>", "<", "(", ")")


def fenced(markdown: str, *languages: str) -> Iterator[str]:
    """The blocks between fences of one of these languages; "" for those that name none."""
    return (body for language, body in _FENCE.findall(markdown) if language in languages)


def in_markdown(markdown: str) -> list[list[str]]:
    """The words of each `discern …` in the shell blocks of a page."""
    return [words for block in fenced(markdown, *_SHELLS) for words in in_shell(block)]


def inline(markdown: str) -> list[list[str]]:
    """The words of each `discern …` in running text; it may be less than a whole command."""
    prose = _FENCE.sub("", markdown)
    return [words for text in _INLINE.findall(prose) for words in in_shell(text)]


def in_shell(text: str) -> list[list[str]]:
    """The words after `discern` of every command in lines of shell, YAML's `- ` and `run: ` too."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words[1:] for line in lines for words in _commands(line) if words[0] == "discern"]


def complaint(words: list[str], *, whole: bool = True) -> str | None:
    """What the command line would say against a command; None if it would run.

    Values are not converted: they may be words such as DATA. With `whole=False` what is missing
    does not count.
    """
    command: Any = typer.main.get_command(app)
    arguments = [word for word in words if word not in ("--debug", "…")]
    while isinstance(command, TyperGroup):
        if not arguments or arguments[0] in ("--help", "--version"):
            return None
        name = arguments.pop(0)
        inner = command.get_command(typer.Context(command), name)
        if inner is None:
            return f"there is no command {name!r}"
        command = inner
    return _against(command, arguments, whole)


def _against(command: Any, arguments: list[str], whole: bool) -> str | None:
    if "--help" in arguments:
        return None
    try:
        given, extra, _ = command.make_parser(typer.Context(command)).parse_args(arguments)
    except Exception as exc:
        if not hasattr(exc, "format_message"):  # click's errors; typer brings a click of its own
            raise
        return exc.format_message() if whole or "requires an argument" not in str(exc) else None
    if extra:
        return f"unexpected: {' '.join(extra)}"
    missing = [p.name for p in command.params if p.required and not given.get(str(p.name))]
    return f"missing: {missing}" if whole and missing else None


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each simple command of a line, without what is said about it beside it."""
    line = re.sub(r"^\s*(- )?(run: |\$ )?", "", line)
    line = re.split(r"\s{3,}(?![\s-])|\s+#\s", line)[0]
    if "discern " not in line:
        return
    reader = shlex.shlex(line.replace("[", "").replace("]", ""), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    for word in [*reader, ";"]:
        if word not in _OPERATORS:
            words.append(word)
        elif words:
            yield words
            words = []
