# Each target makes what it needs, first of all .venv. `make demo` and `make test` work on a machine
# that has Python >= 3.11, venv and make, and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS ?= test,check
WORKERS ?= auto
# CI installs exactly what the lock file names, and nothing that would have to be built. The lock file is
# made for Python 3.11, so that it is not the default: a contributor may have another Python.
LOCKED ?= $(if $(filter true,$(CI)),1)
LOCK := requirements/ci.txt
PIP_LOCKED := -m pip install --quiet --require-hashes --only-binary :all: --requirement
TOOLS := .venv-tools
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: demo demo-trusted test test-long test-lowest test-newest serve check bench bench-against format lock sbom clean

demo: $(STAMP)
	$(BIN)/kmipkit demo

# The trusted story needs a TPM: swtpm, and the TPM software stack to speak to it. As root, on Debian.
demo-trusted: $(STAMP)
	tools/install-tpm $(BIN)
	$(BIN)/kmipkit demo trusted

SELECTION ?= not long
test: $(STAMP)
	$(PYTEST) -m '$(SELECTION)' $(PYTEST_ARGS)

# Also what repeats at length: more kills, more fuzzing.
test-long: $(STAMP)
	$(PYTEST) $(PYTEST_ARGS)

# What no version of a library or of Python changes is not repeated with each of them.
VERSIONS_SELECTION := not long and not standard

# The oldest Python of this machine with the lowest versions that setup.cfg declares.
test-lowest:
	mkdir -p .venv-lowest
	$(PYTHON) tools/lowest.py test > .venv-lowest/constraints.txt
	$(MAKE) test SELECTION='$(VERSIONS_SELECTION)' LOCKED= VENV=.venv-lowest EXTRAS=test PYTHON="$$($(PYTHON) tools/pythons.py oldest)" \
	    PIP_ARGS='--constraint .venv-lowest/constraints.txt'

# The newest Python of this machine with the newest versions of everything.
test-newest:
	$(MAKE) test SELECTION='$(VERSIONS_SELECTION)' LOCKED= VENV=.venv-newest EXTRAS=test PYTHON="$$($(PYTHON) tools/pythons.py newest)"

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
	$(BIN)/python tools/gen_settings.py --check

bench: $(STAMP)
	$(BIN)/python -m bench

# This checkout beside another one, in one run: make bench-against BASE=../older-checkout
bench-against: $(STAMP)
	$(BIN)/python -m bench.against $(BASE)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.cfg pyproject.toml $(if $(LOCKED),$(LOCK))
	$(PYTHON) -m venv $(VENV)
ifneq ($(LOCKED),)
	$(BIN)/python $(PIP_LOCKED) $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[$(EXTRAS)]'
endif
	touch $(STAMP)

# The lock files again, with newer versions only where setup.cfg requires them or UPGRADE=1 asks for it.
lock: PYTHON := $(shell $(PYTHON) tools/pythons.py oldest)
lock: $(TOOLS)/.installed
	$(TOOLS)/bin/python tools/lock.py $(if $(UPGRADE),--upgrade)

# What an installation consists of, as CycloneDX.
sbom: $(TOOLS)/.installed
	mkdir -p dist
	$(TOOLS)/bin/python tools/sbom.py dist/kmipkit.cdx.json

$(TOOLS)/.installed: requirements/tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(PIP_LOCKED) requirements/tools.txt
	touch $@

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-tools build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
