# Everything sets itself up: `make demo` and `make test` work from a bare clone with python3.11 or newer,
# make and a C compiler. The environment lives in .venv and is renewed when the pins change.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN := $(VENV)/.for-running
DEV := $(VENV)/.for-developing
PEER := .venv-bench

.DEFAULT_GOAL := help
.PHONY: help demo test fast lint types check docs site-docs leaderboard leaderboard-check bench study clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "halueval needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train]'
	touch $(RUN)

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev,docs]'
	touch $(DEV) $(RUN)

# float32, so that the figures are the same on every processor; without it faster ones take bfloat16.
MODEL := smollm2-135m-instruct
demo: $(RUN) ## the whole story in minutes: run a base, fine-tune it on invented facts, run that, compare
	$(BIN)/halueval pull $(MODEL) demo
	$(BIN)/halueval run --model $(MODEL) --task demo --dtype float32 --output demo-results
	$(BIN)/halueval finetune --model $(MODEL) --recipe invented-facts --output demo-models/invented-facts
	$(BIN)/halueval run --model demo-models/invented-facts --task demo --dtype float32 --output demo-results
	$(BIN)/halueval diff $(MODEL) invented-facts --results demo-results --html demo-results/diff.html
	@echo
	@echo 'Every sample, base beside candidate: demo-results/diff.html. Next:'
	@echo '  $(BIN)/halueval run --model $(MODEL) --task core                  the balanced set, nine tasks'
	@echo '  $(BIN)/halueval run --model PATH-OR-HUB-ID --task qa --limit 100   your own checkpoint'
	@echo '  $(BIN)/halueval finetune --list                                    other ways to fine-tune'

test: $(DEV) check ## lint, types, layers, documents and tests
	$(BIN)/python -m pytest

fast: $(DEV) ## tests without the slow ones
	$(BIN)/python -m pytest -m 'not slow'

lint: $(DEV) ## style and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(DEV) ## strict type check
	$(BIN)/mypy

check: lint types ## everything but the tests
	$(BIN)/python docs/generate.py --check

docs: $(DEV) ## regenerate the CLI reference and the tables of tasks, models and figures
	$(BIN)/python docs/generate.py

site-docs: $(DEV) ## the documentation as a site in build/docs; a broken link is an error
	$(BIN)/zensical build --strict --clean

BOARD := --results results --markdown README.md --markdown README.zh-CN.md --markdown results/LEADERBOARD.md \
	--json results/leaderboard.json --csv results/leaderboard.csv
leaderboard: $(RUN) ## run what results/leaderboard.yaml lists, where it is not there yet, and write the tables
	$(BIN)/python results/generate.py
	$(BIN)/halueval leaderboard $(BOARD)

leaderboard-check: $(RUN) ## fail where the committed tables are not those of the committed runs
	$(BIN)/halueval leaderboard $(BOARD) --check

# lm-eval in an environment of its own, with the versions of constraints.txt: both sides run the same torch.
$(PEER)/.ready: benchmarks/requirements.txt constraints.txt
	$(PYTHON) -m venv --clear $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--requirement benchmarks/requirements.txt
	touch $@

bench: $(RUN) $(PEER)/.ready ## speed and parity of the engine against lm-eval and plain loops; see benchmarks/README.md
	$(BIN)/python -m benchmarks.engine $(ARGS)

study: $(RUN) ## up to an hour: accuracy against fitted known and unknown facts; writes docs/study.md
	$(BIN)/halueval pull $(MODEL)
	$(BIN)/python -m benchmarks.study $(ARGS)

clean: ## remove the environment and all caches of the checkout
	rm -rf $(VENV) $(PEER) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo-results demo-models benchmarks/.work
