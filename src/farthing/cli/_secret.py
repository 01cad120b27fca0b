"""Secrets that somebody types or pipes in. They never stand on a command line, where others can read them."""

import sys
from getpass import getpass

from farthing.core.errors import InputError


def asked(what: str, *, twice: bool = False) -> str:
    """A secret from the terminal, not shown, or from standard input where that is none.

    Raises ``InputError`` when there is none, or the two that were typed differ.
    """
    if not sys.stdin.isatty():
        secret = sys.stdin.read().strip("\r\n")
    else:
        secret = getpass(f"{what}: ")
        if twice and getpass(f"{what} again: ") != secret:
            raise InputError("the two are not the same", field=what.lower(), value="…", remedy="Try again")
    if not secret:
        raise InputError("there is none", field=what.lower(), value="", remedy="Type it, or pipe it in")
    return secret
