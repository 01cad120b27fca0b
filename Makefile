# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needs Python 3.11 or newer; everything else is installed into .venv or, for tests, from Debian's packages.

PYTHON ?= python3
SECONDS_OF_DEMO ?=
BIN := .venv/bin
STATIC := src/farthing/web/static/index.html
UI_SOURCES := $(shell find ui -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: demo test test-llm test-slow check types bench docs ui wheel clean

## Run the whole product on simulated providers: no account, no key.
demo: $(BIN)/farthing $(STATIC)
	$(BIN)/farthing demo $(if $(SECONDS_OF_DEMO),--for $(SECONDS_OF_DEMO)s)

## Set up and pass the tests.
test: $(BIN)/farthing $(STATIC) .cache/chromium
	$(BIN)/python -m pytest -n 2 -m "not llm and not slow"

## The SDK suite against a real language model served by llama.cpp (minutes: it compiles).
test-llm: $(BIN)/farthing
	@PATH="$$PATH:$(BIN)" uv sync -q --locked --inexact --group llm
	$(BIN)/python -m pytest -n 0 -m llm --timeout 900

## Suites that take minutes: fifty kills under load, an S3 server, peers' SDKs.
test-slow: $(BIN)/farthing $(STATIC) .cache/chromium
	$(BIN)/python -m pytest -n 0 -m slow --timeout 900

## Style, types, import contracts.
check: $(BIN)/farthing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

## Benchmarks beside peers and limits; tables on stdout, JSON in bench/results.
bench: $(BIN)/farthing
	$(BIN)/python -m bench.ledger
	$(BIN)/python -m bench.gateway
	$(BIN)/python -m bench.limits

## Regenerate the reference pages from the code.
docs: $(BIN)/farthing
	$(BIN)/python -m docs.generate

ui: $(STATIC)

wheel: $(STATIC)
	@PATH="$$PATH:$(BIN)" uv build --wheel

$(BIN)/farthing: pyproject.toml uv.lock
	@command -v uv >/dev/null || test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install -q uv; }
	@PATH="$$PATH:$(BIN)" uv sync -q --locked --inexact
	@touch $@

$(STATIC): $(UI_SOURCES) | $(BIN)/farthing
	@cd ui && PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --no-audit --no-fund --silent && PATH="$$PATH:$(CURDIR)/$(BIN)" npm run --silent build
	@touch $@

# The browser of the dashboard's tests. Debian's, because Playwright's own cannot always be downloaded.
.cache/chromium:
	@mkdir -p .cache
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
	@ln -sf "$$(command -v chromium)" $@

clean:
	rm -rf .venv .cache dist src/farthing/web/static ui/node_modules
