"""Where somebody who was refused asks for more."""

from urllib.parse import quote


def where_to_ask(limit: str, web_url: str) -> str:
    """The end of a refusal, for people: the page and the command with which to ask for a limit to be raised."""
    page = f"{web_url.rstrip('/')}/approvals/new?limit={quote(limit, safe='')}"
    return f"Ask for more at {page}, or with: farthing budget set {limit} --amount AMOUNT"
