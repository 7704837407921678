# Each target makes what it needs, first of all .venv. `make demo` and `make test` work on a machine
# that has Python >= 3.11, venv and make, and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS ?= test,check
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: demo demo-trusted test test-long test-lowest test-newest serve check bench bench-against format clean

demo: $(STAMP)
	$(BIN)/kmipkit demo

# The trusted story needs a TPM: swtpm, and the TPM software stack to speak to it. As root, on Debian.
demo-trusted: $(STAMP)
	tools/install-tpm $(BIN)
	$(BIN)/kmipkit demo trusted

test: $(STAMP)
	$(PYTEST) -m 'not long' $(PYTEST_ARGS)

# Also what repeats at length: more kills, more fuzzing.
test-long: $(STAMP)
	$(PYTEST) $(PYTEST_ARGS)

# The oldest Python of this machine with the lowest versions that setup.cfg declares.
test-lowest:
	mkdir -p .venv-lowest
	$(PYTHON) tools/lowest.py test > .venv-lowest/constraints.txt
	$(MAKE) test VENV=.venv-lowest EXTRAS=test PYTHON="$$($(PYTHON) tools/pythons.py oldest)" \
	    PIP_ARGS='--constraint .venv-lowest/constraints.txt'

# The newest Python of this machine with the newest versions of everything.
test-newest:
	$(MAKE) test VENV=.venv-newest EXTRAS=test PYTHON="$$($(PYTHON) tools/pythons.py newest)"

serve: $(STAMP)
	$(BIN)/kmipkit serve

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/gen_spec.py --check
	$(BIN)/python tools/unasync.py --check
	$(BIN)/python tools/gen_suite.py --check

bench: $(STAMP)
	$(BIN)/python -m bench

# This checkout beside another one, in one run: make bench-against BASE=../older-checkout
bench-against: $(STAMP)
	$(BIN)/python -m bench.against $(BASE)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[$(EXTRAS)]'
	touch $(STAMP)

clean:
	rm -rf .venv .venv-lowest .venv-newest build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
