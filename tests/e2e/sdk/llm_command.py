"""Simon Willison's ``llm`` command, configured by its own files for OpenAI-compatible endpoints."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = {"model_id": "through-farthing", "model_name": "gpt-4o-mini", "api_key_name": "farthing"}

with tempfile.TemporaryDirectory() as home:
    models = [{**MODEL, "api_base": f"{os.environ['GATEWAY']}/v1"}]
    Path(home, "extra-openai-models.yaml").write_text(json.dumps(models))
    Path(home, "keys.json").write_text(json.dumps({"farthing": os.environ["KEY"]}))
    env = {**os.environ, "LLM_USER_PATH": home}
    seen = []
    for what, options in (("chat", ["--no-stream"]), ("stream", [])):
        command = [sys.executable, "-m", "llm", "-m", "through-farthing", *options, "Where is my order?"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        seen.append({"what": what, "text": bool(done.stdout.strip()), "usage": None})
print(json.dumps(seen))
