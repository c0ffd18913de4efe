# Few verbs; each sets up what it needs. Only Python 3.11+ and make are expected.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# One thread per process keeps small models fast on few cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup browser demo serve work test fuzz lint fix bench-watermark bench-fingerprint bench-prompts bench-frames bench-generator bench-audit bench-crash bench-load train-embedded train-prompts clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Cinegate needs Python 3.11 or newer.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

setup: $(READY) ## Make the virtual environment and install everything, pinned

demo: $(READY) ## Prompt → marked, signed, logged clip → verified; result in demo-out/
	$(BIN)/cinegate demo

serve: $(READY) ## Run API, pages and a worker on http://127.0.0.1:8400
	$(BIN)/cinegate serve

work: $(READY) ## Run a worker alone
	$(BIN)/cinegate work

browser: $(READY)
	@command -v chromium >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| $(BIN)/playwright install chromium

test: $(READY) browser ## Run every test, those of the pages in Chromium
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

fuzz: $(READY) ## Property tests with many new random examples; what fails becomes a test
	$(BIN)/pytest -n auto --dist worksteal -m hypothesis --hypothesis-profile fuzz

lint: $(READY) ## Check format, style, types, import contracts, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos

fix: $(READY) ## Format and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-watermark: $(READY) ## Watermark against attacks and peers, hours; resumes where it stopped
	$(BIN)/pip install --quiet --no-deps -r tests/bench/requirements.txt
	$(BIN)/python -m tests.bench.watermark --looks --peers --write

bench-fingerprint: $(READY) ## Fingerprint: recall, false matches, search among a million clips
	$(BIN)/pip install --quiet --no-deps -r tests/bench/requirements.txt
	$(BIN)/python -m tests.bench.fingerprint

bench-prompts: $(READY) ## Prompt gate; needs PROMPTS=<folder of the moderation data>
	$(BIN)/pip install --quiet --no-deps -r tests/bench/requirements.txt
	$(BIN)/python -m tests.bench.prompts --data $(PROMPTS) --peers

bench-frames: $(READY) ## Frame gate: false alarms, planted harm and cost, with every judge
	$(BIN)/python -m tests.bench.frames
	$(BIN)/python -m tests.bench.frames_whole

bench-generator: $(READY) ## Embedded model: does it obey, how long does it take
	$(BIN)/python -m tests.bench.generator

bench-audit: $(READY) ## Audit log: appends and proofs
	$(BIN)/python -m tests.bench.audit

bench-crash: $(READY) ## Workers killed and frozen, on both databases; what must hold afterwards
	$(BIN)/python -m tests.bench.crash

bench-load: $(READY) ## Latency of the door at rising rates, jobs a second, cost of the gates
	$(BIN)/python -m tests.bench.load
	$(BIN)/python -m tests.bench.gates

train-embedded: $(READY) ## Train the embedded video model; resumes where it stopped
	$(BIN)/python -m generator.training.train --out .cache/generator/run

train-prompts: $(READY) ## Train the prompt heads; needs PROMPTS=<folder of the moderation data>
	$(BIN)/python -m safety.training.prompts.train $(PROMPTS) --cache .cache/prompts
	$(BIN)/python -m safety.training.prompts.calibrate $(PROMPTS) --cache .cache/prompts

clean: ## Remove the environment and everything that was generated
	rm -rf $(VENV) demo-out var build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
