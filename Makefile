# Two commands are for everyone: `make demo` and `make test`. They need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Many processes are started here: where bytecode may not be kept, each of them would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: matrix demo test kill backlog simulate fuzz bench lint lint-types lint-style lint-layers format clean

demo: $(STAMP)  ## the daemon on the built-in simulator, a few hundred documents of all four kinds
	@$(BIN)/python -m tests.demo

test: $(STAMP)  ## the whole suite
	$(BIN)/pytest

N ?= 1000
SEED ?= $(shell date +%s)
kill: $(STAMP)  ## SIGKILL and SIGTERM at N random moments of real processes; nothing twice, nothing lost
	$(BIN)/python -W error -m tests.reliability.kill --kills $(N) --seed $(SEED)

bench: $(STAMP)  ## one table: each figure beside its anchor of the same run; PAIRS, CREATES and ROWS narrow it
	@$(BIN)/python -m tests.benchmarks

EVENTS ?= 2000000
backlog: $(STAMP)  ## a sink was down for hours: EVENTS of them wait in the outbox, and are drained in order
	$(BIN)/python -W error -m tests.reliability.backlog --events $(EVENTS)

SEEDS ?= 10000
FROM ?= 1
simulate: $(STAMP)  ## so many seeds of the simulation; one that fails prints the command which replays it
	$(BIN)/python -m tests.reliability.simulate --seeds $(SEEDS) --from $(FROM)

DOCUMENTS ?= 100000
fuzz: $(STAMP)  ## so many documents, with settings, messages and answers of AWS beside them
	$(BIN)/python -m tests.reliability.fuzz --documents $(DOCUMENTS)

matrix: $(STAMP)  ## the whole crash matrix: every step of a run over all kinds, and everything that can happen to it
	$(BIN)/python -m tests.reliability.matrix

lint: lint-types lint-style lint-layers  ## mypy strict, ruff, import layers; `make -j2` runs them side by side

lint-types: $(STAMP)
	$(BIN)/mypy

lint-style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-layers: $(STAMP)
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): config/requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ferryman needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r config/requirements-dev.txt
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) .cache test-results
