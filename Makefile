# Two commands for a newcomer: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
SECONDS ?= 120
# Processes of the tests; each starts a broker and a store of its own, and most files run in one of them. Three for two cores, as servers are
# waited for.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
STORM_SEED ?= 215
# each process of a test or a demo would else compile all sources anew
export PYTHONDONTWRITEBYTECODE :=
# uv fetches many at a time, pip one after another; pip where it alone is told of the index to use
PIP := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes

.PHONY: setup demo lint test test-kafka chaos bench lock schemas clean

setup: $(VENV)/.ready

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "streamgauge needs Python 3.11 or newer; set PYTHON=python3.12 or the like")'
	@echo "1 of 3: the packages of requirements.lock into $(VENV), 1.5 GB; some 2 minutes on two cores"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p}' requirements.lock > $(VENV)/uv.lock
	$(PIP) --quiet -r $(VENV)/uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock || $(PIP) -r requirements.lock
	@echo "2 of 3: streamgauge itself; seconds"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	@echo "3 of 3: its kernels, compiled once for these sources; some 2 minutes of one core"
	$(BIN)/streamgauge compile
	@touch $@

demo: setup
	$(BIN)/streamgauge demo --seconds $(SECONDS) --seed $(SEED)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup
	$(PYTEST) -m "not kafka and not slow"

test-kafka: setup
	$(PYTEST) -m "kafka or slow"

# LONG=1: all settings in turn, some two hours on an idle machine; goes on where chaos.json ends
chaos: setup
ifeq ($(LONG),)
	$(BIN)/python -m benchmarks.chaos --kafka apache --seed $(STORM_SEED) --minutes 1 --judged 2
	$(BIN)/python -m benchmarks.chaos --kafka embedded --seed $(STORM_SEED) --minutes 0.5 --judged 2
	$(BIN)/python -m benchmarks.chaos --redis sentinel --seed $(STORM_SEED) --only failover --steps 1
else
	$(BIN)/python -m benchmarks.chaos --long --seed $(STORM_SEED) --judged 4 --json chaos.json
endif

# half an hour; QUICK=1: 8 minutes, with fewer and shorter rounds. Fetches the peers at the first use.
bench: setup
	$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick)

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra local --extra training --extra dev pyproject.toml deploy/build.in -o requirements.lock

schemas: setup
	$(BIN)/streamgauge schemas docs/schemas

clean:
	rm -rf $(VENV) build dist *.egg-info
