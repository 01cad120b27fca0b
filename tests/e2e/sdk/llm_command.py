"""Simon Willison's ``llm`` command, configured by its own file for OpenAI-compatible endpoints."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as home:
    Path(home, "extra-openai-models.yaml").write_text(
        f"- model_id: through-farthing\n  model_name: gpt-4o-mini\n  api_base: {os.environ['GATEWAY']}/v1\n"
    )
    env = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": os.environ["KEY"]}
    seen = []
    for what, options in (("chat", ["--no-stream"]), ("stream", [])):
        command = [sys.executable, "-m", "llm", "-m", "through-farthing", *options, "Where is my order?"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        seen.append({"what": what, "text": bool(done.stdout.strip()), "usage": None})
print(json.dumps(seen))
