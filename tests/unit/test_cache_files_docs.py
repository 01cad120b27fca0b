"""The page about feature and model caches does what it says."""

import subprocess
import sys

from support.documentation import blocks

PAGE = "docs/how-to/cache-features-and-models.md"


def test_the_examples_of_the_page_run_one_after_the_other(tmp_path):
    examples = [block.text for block in blocks("python") if block.page == PAGE]
    assert len(examples) == 6
    program = tmp_path / "pipeline.py"
    program.write_text("\n".join(examples))
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["[2, 1, 0]", "[2, 1, 0]"]
    assert done.stdout.splitlines()[-1] == "['config.json']"
