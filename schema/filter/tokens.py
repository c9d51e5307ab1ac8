"""Cutting an expression's text into tokens (a subset of CEL's lexis)."""

import re
from typing import Any, NamedTuple, NoReturn

from schema.errors import bad_input
from schema.filter.limits import MAX_INTEGER


class Token(NamedTuple):
    """`kind`: literal, name, operator or end. `at`: characters before it."""

    kind: str
    text: str
    value: Any
    at: int


_TOKEN = re.compile(
    r"""[ \t\r\n\f]+
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<hex>0[xX][0-9a-fA-F]+)
    |(?P<int>\d+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
    |(?P<operator>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {"true": True, "false": False, "null": None}


def refuse(text: str, at: int, problem: str, hint: str) -> NoReturn:
    """Raise BAD_INPUT that says where in `text` (characters from 1) and what to do."""
    raise bad_input(
        f"expression, character {at + 1}: {problem}; {hint}", position=at + 1, near=text[at : at + 20], hint=hint
    )


def _unescape(text: str, at: int) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            number = int(code[1:], 16)
            if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
                refuse(text, at, f"{match[0]} is no character", "use a Unicode scalar value other than U+0000")
            return chr(number)
        if code not in _ESCAPES:
            refuse(text, at, f"unknown escape {match[0]!r}", r"use \\ \' \" \n \r \t \b \f \uXXXX or \UXXXXXXXX")
        return _ESCAPES[code]

    return _ESCAPE.sub(one, text[1:-1])


def _number(text: str, source: str, at: int, base: int) -> int:
    # The length first: int() of a very long text is slow, and refused by Python beyond 4300 digits.
    value = int(text, base) if len(text) < 40 else MAX_INTEGER + 1
    if value > MAX_INTEGER:
        refuse(source, at, "whole numbers end at 2^63 - 1", "write it with a decimal point, or compare texts")
    return value


def tokenize(source: str) -> list[Token]:
    """The tokens, the last of kind `end`. Raises BAD_INPUT."""
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            hint = "close the text with the quote that opened it" if source[at] in "\"'" else "remove it or quote it"
            refuse(source, at, f"unexpected {source[at]!r}", hint)
        text, kind = match[0], match.lastgroup
        if kind in ("float", "hex", "int"):
            if source[match.end() : match.end() + 1].isidentifier():
                refuse(source, match.end(), "a letter right after a number", "separate them")
            if kind == "float":
                value: Any = float(text)
                if value == float("inf"):
                    refuse(source, at, "the number is too large", "numbers are IEEE 754 doubles")
            else:
                value = _number(text, source, at, 16 if kind == "hex" else 10)
            tokens.append(Token("literal", text, value, at))
        elif kind == "string":
            tokens.append(Token("literal", text, _unescape(text, at), at))
        elif kind == "name" and text in _WORDS and (not tokens or tokens[-1].text != "."):
            tokens.append(Token("literal", text, _WORDS[text], at))
        elif kind is not None:
            operator = kind == "name" and text == "in" and (not tokens or tokens[-1].text != ".")
            tokens.append(Token("operator" if operator else kind, text, None, at))
        at = match.end()
    tokens.append(Token("end", "the end", None, at))
    return tokens
