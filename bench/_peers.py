"""The gateways Farthing is measured against, each installed into an environment of its own."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench._process import Process, free_port

HOME = Path(".cache/peers")


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that runs: where to post chat completions, with which headers, and whose CPU counts."""

    name: str
    url: str
    headers: Mapping[str, str]
    process: Process


def nginx(upstream: int, folder: Path) -> Peer:
    """nginx as a plain reverse proxy with keep-alive to the upstream: the floor."""
    if shutil.which("nginx") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "nginx"], check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 32m; client_body_buffer_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} reuseport; keepalive_requests 1000000;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://provider; }}
  }}
}}""")
    process = Process(["nginx", "-c", str(config)], log=folder / "nginx.log")
    process.wait_for(port)
    return Peer(name="nginx", url=f"http://127.0.0.1:{port}/v1/chat/completions", headers={}, process=process)


def litellm(upstream: int, folder: Path, *, settings: str = "") -> Peer:
    """LiteLLM's proxy with one worker, one model and a master key; no database, no callbacks, further settings."""
    python = HOME / "litellm/bin/python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", "--clear", "--python", "3.11", str(python.parent.parent)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "--python", str(python), "litellm[proxy]"], check=True)
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(f"""
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:{upstream}/v1", api_key: upstream}}
general_settings: {{master_key: sk-bench}}
litellm_settings: {{telemetry: false}}
{settings}""")
    command = [
        str(python.parent / "litellm"),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--num_workers",
        "1",
    ]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = Process(command, log=folder / "litellm.log", env=env)
    process.wait_for(port, seconds=120)
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    return Peer(name="LiteLLM", url=url, headers={"authorization": "Bearer sk-bench"}, process=process)


def portkey(upstream: int, folder: Path) -> Peer:
    """Portkey's open-source gateway on Node."""
    home = HOME / "portkey"
    script = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            str(home),
            "@portkey-ai/gateway",
        ]
        subprocess.run(install, check=True)
    port = free_port()
    process = Process(
        ["node", str(script), "--headless", f"--port={port}"],
        log=folder / "portkey.log",
        env={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
    )
    process.wait_for(port)
    headers = {
        "authorization": "Bearer upstream",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    return Peer(name="Portkey", url=f"http://127.0.0.1:{port}/v1/chat/completions", headers=headers, process=process)
