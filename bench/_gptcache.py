"""GPTCache on the same stream with the same embedding, in an environment of its own.

Its own embedding model needs a download, so it gets our vectors, texts and answers through a file; evaluation
(distance) and threshold are its defaults. ``python -m bench._gptcache FILE`` is what runs there.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PYTHON = Path(".cache/peers/gptcache/bin/python")
DISTRIBUTIONS = ("gptcache==0.1.44", "faiss-cpu", "sqlalchemy<2.1", "numpy<2.5")


def install() -> None:
    """Once; further runs find it."""
    if PYTHON.exists():
        return
    subprocess.run(["uv", "venv", "-q", "--clear", "--python", "3.11", str(PYTHON.parent.parent)], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "--python", str(PYTHON), *DISTRIBUTIONS], check=True)


def stream(
    texts: Sequence[str], answers: Sequence[str], vectors: "NDArray[np.float32]", *, seconds: float = 600
) -> tuple[list[bool], list[bool]]:
    """Which of the requests it answered from its cache, and which of these wrongly.

    Every miss is put into the cache with its right answer. The order is that of the arguments.
    """
    install()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "stream.json"
        file.write_text(json.dumps({"texts": list(texts), "answers": list(answers), "vectors": vectors.tolist()}))
        command = [PYTHON.absolute(), Path(__file__).absolute(), file]
        done = subprocess.run(command, cwd=name, check=True, capture_output=True, text=True, timeout=seconds)
    told = json.loads(done.stdout.splitlines()[-1])
    return told["hits"], told["wrong"]


def _run(file: Path) -> None:
    """In GPTCache's environment: look up, and put what was missed."""
    import numpy as np
    from gptcache import Cache, Config
    from gptcache.adapter.api import get, put
    from gptcache.manager import CacheBase, VectorBase, get_data_manager
    from gptcache.processor.pre import get_prompt
    from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

    given = json.loads(file.read_text())
    vectors = dict(zip(given["texts"], np.asarray(given["vectors"], dtype=np.float32), strict=True))
    cache = Cache()
    base = CacheBase("sqlite", sql_url=f"sqlite:///{file.parent}/gptcache.db")
    index = VectorBase("faiss", dimension=len(given["vectors"][0]), index_path=str(file.parent / "faiss.index"))
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda text, **_: vectors[text],
        data_manager=get_data_manager(base, index, max_size=1_000_000),
        similarity_evaluation=SearchDistanceEvaluation(),
        config=Config(auto_flush=1_000_000),
    )
    hits: list[bool] = []
    wrong: list[bool] = []
    for text, answer in zip(given["texts"], given["answers"], strict=True):
        found = get(text, cache_obj=cache)
        hits.append(found is not None)
        wrong.append(found is not None and found != answer)
        if found is None:
            put(text, answer, cache_obj=cache)
    sys.stdout.write(json.dumps({"hits": hits, "wrong": wrong}) + "\n")


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
