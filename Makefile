# Each target sets up what it needs; the first run makes .venv, later runs see the stamp and skip that.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Any Python from 3.11 on will do; override with `make PYTHON=/path/to/python test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
MORELLI := $(BIN)/morelli

DEMO := demo
PYTEST_ARGS ?=
# Whole files for each process: fixtures of a file are made once. tests/conftest.py gives the order. One process
# more than cores, because tests wait: for browsers, servers, clusters and disks.
PYTEST_WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))
PYTEST = $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations 10

# pip would compile some ten thousand modules on one core. What hardly any run imports waits until one does.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile
RARE := /(cfnlint|moto|mypyc?|networkx|pip|ray|setuptools|sympy|tests?|torchgen)/|/transformers/models/|/torch/(_dynamo|_inductor|onnx|testing)/
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '$(RARE)' "$(CURDIR)/$(VENV)"
# Where this is set, each of the many processes that the tests start would compile Morelli again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help python setup demo test test-slow pytest lint style types app lint-app browser browser-package bench docs docs-reference clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(READY) ## make .venv and install everything into it

python:
	@command -v $(PYTHON) >/dev/null || { echo "No '$(PYTHON)' here: install Python 3.11 or newer, or say make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Morelli needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Say make PYTHON=/path/to/newer/python." >&2; exit 1; }

$(BIN)/python: | python
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Could not make $(VENV); on Debian and Ubuntu the package python3-venv is missing." >&2; exit 1; }

# What runs the program: no torch, no tools.
$(RUNS): pyproject.toml | $(BIN)/python
	@echo "Installing Morelli into $(VENV) (a minute or two the first time) …"
	@$(PIP_INSTALL) --editable ".[demo]"
	@$(COMPILE) || true # as pip, which leaves alone what is no Python of this version
	@touch $@

# torch goes first and alone, its version read from pyproject.toml: so pip settles on one torch file
# before it looks at anything that merely depends on torch.
$(READY): pyproject.toml | $(BIN)/python
	@echo "Installing Morelli, torch and the tools of development into $(VENV) (a few minutes the first time) …"
	@$(PIP_INSTALL) "$$($(BIN)/python -c 'import tomllib; print(next(d for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["torch"] if d.startswith("torch>")))')"
	@$(PIP_INSTALL) --editable ".[dev]"
	@$(COMPILE) || true
	@touch $(RUNS) $@

demo: $(RUNS) ## verdicts on photographs, drawings and images by new generators, with a contact sheet
	$(MORELLI) encoders pull clip-vit-b16
	$(BIN)/python scripts/demo_images.py $(DEMO)/images
	$(MORELLI) detect $(DEMO)/images --label-from folders --sheet $(DEMO)/verdicts.png --jsonl $(DEMO)/verdicts.jsonl
	@echo "Look at $(DEMO)/verdicts.png; every figure behind it is in $(DEMO)/verdicts.jsonl."
	@echo "Your own pictures: source $(BIN)/activate && morelli detect ~/Pictures"

lint: style types ## ruff, formatting, strict types

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# Node is wanted for the browser app alone; without it everything else works, and this says so.
app: | python ## build the browser app into the package (Node 20 or newer; skipped with a message without it)
	@$(PYTHON) scripts/build_app.py

lint-app: app ## eslint, svelte-check and the app's unit tests
	@if [ -d web/node_modules ]; then cd web && npm run --silent lint && npm run --silent check && npm run --silent test; \
	  else echo "The browser app was not checked: Node is missing."; fi

browser: $(READY) app ## find or install the browser that tests of the app use
	@if [ -f src/morelli/server/static/index.html ]; then $(BIN)/python -m tests.browser; \
	  else echo "The browser app is not built, so its tests will be skipped."; fi

# What fails beside others is run once more alone, so that a machine without time is told from a fault.
pytest: $(READY)
	@$(PYTEST) -m "not slow" $(PYTEST_ARGS) || { status=$$?; [ $$status -eq 1 ] || exit $$status; \
	  echo "Alone, once more, what failed beside others (see CONTRIBUTING.md):"; \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none -m "not slow" $(PYTEST_ARGS); }

test-slow: $(READY) app ## the tests that repeat at length what shorter ones show, and those of UMAP
	$(PYTEST) -m slow $(PYTEST_ARGS)

# What the system's packages give of it, which waits for none of the rest.
browser-package: | python
	@if command -v node >/dev/null; then $(PYTHON) -m tests.browser --package; fi

# Side by side, because each of the others keeps one core busy at most, and tests wait for much else.
test: ## lint, every test that is not slow, and the documentation built strictly
	@$(MAKE) --no-print-directory -j 3 setup lint-app browser-package
	@$(MAKE) --no-print-directory -j 2 style browser
	@$(MAKE) --no-print-directory -j 3 pytest types docs

docs: $(READY) ## build the documentation into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-reference: $(READY) ## write docs/cli.md, docs/api.md, docs/api/ and the types of the app from the program
	$(BIN)/python scripts/cli_reference.py docs/cli.md
	$(BIN)/python scripts/api_reference.py docs/api.md
	$(BIN)/python scripts/api_types.py web/src/api/generated.ts
	$(BIN)/python scripts/app_palette.py web/src/theme/palette.ts

bench: $(READY) ## run every benchmark, ours beside its peer
	@shopt -s nullglob; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

clean: ## remove what was built, the environment and the demo included
	rm -rf $(VENV) $(DEMO) web/node_modules src/morelli/server/static site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
