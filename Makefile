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

.PHONY: demo demo-trusted test test-long test-workers test-lowest test-newest serve check bench bench-against drill figures instructions format lock sbom clean man container

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

# The server's tests with all servers on PostgreSQL, which the tests start; it takes ten minutes.
POSTGRESQL_TESTS := tests/unit/server tests/property/test_both_stores.py \
    $(patsubst %,tests/integration/test_%.py,serving durability admin_commands tenants)
test-postgresql: $(STAMP)
	TEST_STORE=postgresql $(PYTEST) -m '$(SELECTION) and not sqlite' $(or $(PYTEST_ARGS),$(POSTGRESQL_TESTS))

# What no version of a library or of Python changes is not repeated with each of them.
VERSIONS_SELECTION := not long and not standard

# What starts the real server, again with several workers.
WORKERS_TESTS := $(addprefix tests/,integration attacks interop docs)
test-workers: $(STAMP)
	KMIPKIT_SERVER_WORKERS=3 $(PYTEST) -m '$(SELECTION)' $(WORKERS_TESTS) $(PYTEST_ARGS)

# Key servers and databases fail in turn while clients work; a table follows. As root, on Linux.
MINUTES ?= 60
drill: $(STAMP)
	$(BIN)/python -m drill --minutes $(MINUTES) $(DRILL_ARGS)

# The oldest Python of this machine with the lowest versions that setup.cfg declares.
LOWEST = $(MAKE) LOCKED= VENV=.venv-lowest EXTRAS=test PIP_ARGS='--constraint .venv-lowest/constraints.txt' \
    PYTHON="$$($(PYTHON) tools/pythons.py oldest)"
install-lowest:
	mkdir -p .venv-lowest
	$(PYTHON) tools/lowest.py test > .venv-lowest/constraints.txt
	+$(LOWEST) .venv-lowest/.installed
test-lowest: install-lowest
	+$(LOWEST) test SELECTION='$(VERSIONS_SELECTION)'

# The newest Python of this machine with the newest versions of everything.
NEWEST = $(MAKE) LOCKED= VENV=.venv-newest EXTRAS=test PYTHON="$$($(PYTHON) tools/pythons.py newest)"
install-newest:
	+$(NEWEST) .venv-newest/.installed
test-newest: install-newest
	+$(NEWEST) test SELECTION='$(VERSIONS_SELECTION)'

# The environments of all tests, one after the other: each installation writes kmipkit.egg-info.
.PHONY: install install-lowest install-newest
install: $(STAMP)
	+$(MAKE) install-lowest
	+$(MAKE) install-newest

# Man pages and completions of all commands, as they go below /usr/share.
man: $(STAMP)
	$(BIN)/python tools/gen_man.py dist/share

# The container of server/deploy/container, without a daemon. As root, on Debian.
container:
	tools/build-container

serve: $(STAMP)
	$(BIN)/kmipkit serve

# Each part has a target of its own, so that `make --jobs 2 check` uses two cores: the longest part comes first.
CHECKS := $(addprefix check-,mypy suite clauses figures spec operations attributes settings openapi unasync \
    lint format imports)
.PHONY: $(CHECKS)
check: $(CHECKS)
check-%: COMMAND = python tools/gen_$(@:check-%=%).py --check
check-mypy: COMMAND = mypy
check-figures: COMMAND = python -m tools.gen_figures --check
check-unasync: COMMAND = python tools/unasync.py --check
check-lint: COMMAND = ruff check .
check-format: COMMAND = ruff format --check .
check-imports: COMMAND = lint-imports
$(CHECKS): $(STAMP)
	$(BIN)/$(COMMAND)

bench: $(STAMP)
	$(BIN)/python -m bench

# The same, and the tables of docs/performance.md and docs/sizing.md from it: on a quiet machine.
figures: $(STAMP)
	$(BIN)/python -m bench --json docs/figures.json
	$(BIN)/python -m tools.gen_figures

# This checkout beside another one, in one run: make bench-against BASE=../older-checkout
bench-against: $(STAMP)
	$(BIN)/python -m bench.against $(BASE)

# What a request costs, in instructions of the server, into bench/instructions.json; needs Valgrind.
instructions: $(STAMP)
	$(BIN)/python -m bench.instructions --write

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
