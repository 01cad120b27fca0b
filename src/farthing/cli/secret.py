"""``farthing secret``: secrets that are kept sealed in the state store."""

from pathlib import Path

from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import Column, Out
from farthing.cli._secret import asked

app = App(name="secret", help='Keep secrets sealed, for settings such as api_key = "secret:NAME".')


@app.command(name="set")
def set_secret(name: str, *, home: Path | None = None, out: Out) -> None:
    """Keep a secret, asked for or read from standard input. Workers use it within seconds.

    Args:
        name: What settings call it: secret:NAME.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.sealing import keys_to_seal

    local = Local.open(home=home)
    secret = asked("Secret")
    with local.store() as store:
        keys = keys_to_seal(local)
        store.secrets.put(local.by(), name, secret, keys[0])
        used = [account for account, at in local.providers(store).items() if at.api_key == f"secret:{name}"]
    out.record({"name": name, "sealed_by": keys[0].id, "used_by": used})
    if not used:
        out.next(f"farthing provider add openai --api-key secret:{name}", "use it")


@app.command(name="list")
def list_secrets(*, home: Path | None = None, out: Out) -> None:
    """List secrets by name. What they hold is shown nowhere.

    Args:
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        found, accounts = store.secrets.list(), local.providers(store)
    rows = [
        {
            "name": secret.name,
            "sealed_by": secret.sealed_by,
            "used_by": [name for name, account in accounts.items() if account.api_key == f"secret:{secret.name}"],
            "created": secret.created,
            "changed": secret.changed,
        }
        for secret in found
    ]
    columns = ["name", Column("used_by", "used by"), Column("sealed_by", "sealed by"), "created", "changed"]
    out.table(columns, rows, empty="No secrets.")


@app.command
def remove(name: str, *, home: Path | None = None, out: Out) -> None:
    """Forget a secret. Providers that use it stop serving.

    Args:
        name: What settings call it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        store.secrets.remove(local.by(), name)
    out.record({"name": name, "removed": True})


@app.command(name="rotate-key")
def rotate_key(*, home: Path | None = None, out: Out) -> None:
    """Seal all secrets with a new envelope key.

    With ``seal.key`` in the data folder a new key is made and the old one is forgotten. Where seal_key is set, put the
    new key as the first line behind it, restart, run this, and take the old line away.

    Args:
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.sealing import rotate

    local = Local.open(home=home)
    with local.store() as store:
        key, moved = rotate(local, store)
    out.record({"sealed_by": key.id, "secrets": moved})
    if local.settings.state.seal_key:
        out.note("The old key opens nothing any more; take it away.")
