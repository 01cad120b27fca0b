"""Joins what ``farthing up`` runs: lock, ports, token, processes, and what it tells people."""

from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from farthing.app.folder import FolderLock, admin_token
from farthing.app.listen import free_port, url
from farthing.app.local import Local
from farthing.app.supervisor import Say, Supervisor, fleet

READY_TIMEOUT = 1.0


def run(env: Mapping[str, str], *, config_file: Path | None, say: Say) -> None:
    """Run everything until SIGTERM, SIGINT or SIGHUP. Returns when all processes have ended.

    Raises ``ConfigError`` for settings that cannot be used, ``ConflictError`` when another Farthing works in this
    folder, ``UnavailableError`` for a port that is taken, a folder that cannot be written, or a start that fails.
    """
    settings = Local.open(config_file=config_file, env=env).settings
    gateway, web = settings.gateway, settings.web
    with FolderLock.take(settings.run / "lock") as lock:
        settled = {
            **env,
            "FARTHING_HOME": str(settings.home),
            "FARTHING_GATEWAY_PORT": str(
                free_port(gateway.host, gateway.port, setting="port under [gateway], or --port")
            ),
            "FARTHING_WEB_PORT": str(free_port(web.host, web.port, setting="port under [web], or --web-port")),
        }
        local = Local.open(config_file=config_file, env=settled)
        token = admin_token(settings.admin_token)
        programs = fleet(
            settled,
            config_file=config_file,
            workers=gateway.workers,
            lock=lock.descriptor,
            semantic=any(rules.semantic != "off" for rules in settings.cache.namespaces.values()),
        )
        supervisor = Supervisor(programs, drain_seconds=gateway.drain_seconds, say=say)
        places = _Places(local)
        supervisor.run(ready=places.answer, on_ready=lambda: places.tell(say, token))


class _Places:
    """Where everything is once it runs."""

    def __init__(self, local: Local) -> None:
        settings = local.settings
        self._local = local
        self._gateway = url(settings.gateway.host, settings.gateway.port)
        self._web = url(settings.web.host, settings.web.port)

    def answer(self) -> bool:
        """Whether gateway and control plane both do."""
        return _answers(f"{self._gateway}/readyz") and _answers(f"{self._web}/healthz")

    def tell(self, say: Say, token: tuple[str, bool]) -> None:
        """Say where to look and what to set. The token is shown on the first start only, for logs are kept."""
        secret, new = token
        file = self._local.settings.admin_token
        say(f"gateway      {self._gateway}")
        token_hint = f"#token={secret}" if new else f"   (the token is in {file})"
        say(f"dashboard    {self._web}/login" + (token_hint if self._local.settings.login.admin_token else ""))
        say(f"data folder  {self._local.settings.home}")
        say("for SDKs:")
        say(f"  export OPENAI_BASE_URL={self._gateway}/v1")
        say(f"  export ANTHROPIC_BASE_URL={self._gateway}")
        with self._local.store() as store:
            providers, keys = self._local.providers(store), store.keys.list()
        if not providers:
            say("no provider is configured yet; add one, no restart is needed:")
            say("  farthing provider add openai --api-key env:OPENAI_API_KEY")
        if not any(key.status(self._local.now()) == "active" for key in keys):
            say("no key exists yet; make one and use it as the SDKs' API key:")
            say("  farthing key create --name first")


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=READY_TIMEOUT):  # noqa: S310 - our own address
            return True
    except (URLError, OSError):
        return False
