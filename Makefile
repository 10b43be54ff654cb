# The only entry points. Each installs what it needs; see README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
CARGO := cargo
PACKAGES := gcc g++ make pkg-config libssl-dev libpcre2-dev iproute2 iputils-ping procps tcpdump snmp snmpd snmptrapd \
  keepalived smitools nftables ethtool util-linux
# Servers that checkers meet in tests.
PACKAGES += nginx-light openssl postfix unbound
# A BFD peer.
PACKAGES += frr
# What asks an agent in tests.
PACKAGES += prometheus-snmp-exporter
# A system bus of its own, and who asks it.
PACKAGES += dbus systemd
# What history, dashboards and the status page are tested with.
PACKAGES += librrd-dev rrdtool rrdcached prometheus chromium chromium-driver fonts-dejavu-core
# Tests that need IPVS boot Debian's kernel where this one has none.
PACKAGES += ipvsadm kmod linux-image-amd64 qemu-system-x86 busybox-static xz-utils
DENY := $(shell command -v cargo-deny 2>/dev/null)

.PHONY: help setup setup-lint build demo test screenshots fuzz bench lint clean

help: ## this text
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Debian packages for building, testing and the demo (nothing happens when they are there)
	@missing=(); for p in $(PACKAGES); do \
	   dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing+=($$p); done; \
	 if [ $${#missing[@]} -gt 0 ]; then \
	   echo "installing: $${missing[*]}"; \
	   $(SUDO) apt-get update -qq && \
	   $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; fi
	@command -v $(CARGO) >/dev/null || { echo "a Rust toolchain is needed: https://rustup.rs"; exit 1; }

setup-lint: setup
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny || echo "cargo-deny cannot be had here"

build: setup ## the daemon and the tools, optimised
	$(CARGO) build --release --workspace

KEEP ?=
demo: build ## SNMP without snmpd, two routers, a load balancer, monitoring: six minutes; DEMO=walk for the shortest, KEEP=1 to look (root)
	$(SUDO) env KEEP=$(KEEP) target/release/demo $(DEMO)

# Tests that look at the kernel and the wire need root; they are built as you and run as root.
AS_ROOT := $(SUDO) env PATH="$$PATH" HOME="$$HOME" CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" RUSTUP_HOME="$${RUSTUP_HOME:-$$HOME/.rustup}"

test: setup ## every test, and what failed once more, alone; those that look at the kernel and the wire need root
	$(CARGO) check --no-default-features --lib
	$(CARGO) test --profile tests --workspace --no-run
	@set -o pipefail; \
	 run() { $(AS_ROOT) KEEPWATCHD=$(CURDIR)/target/tests/keepwatchd $(CARGO) test --profile tests "$$@"; }; \
	 run --workspace --no-fail-fast -- --test-threads=2 2>&1 | tee target/tests/first.log || \
	   $(AS_ROOT) KEEPWATCHD=$(CURDIR)/target/tests/keepwatchd .ci/again target/tests/first.log $(CARGO) test --profile tests

screenshots: build ## the status page and every graph as Chromium shows them, in target/screenshots (root)
	$(CARGO) test --release -p agentx-tests --test browser --no-run
	$(AS_ROOT) KEEPWATCHD=$(CURDIR)/target/release/keepwatchd $(CARGO) test --release -p agentx-tests --test browser
	@ls target/screenshots

FUZZ_SECONDS ?= 60
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# Coverage for libFuzzer without a nightly toolchain. With --target, build scripts and macros are built without it.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

fuzz: setup ## each parser of what strangers send, for FUZZ_SECONDS (60) each; fails on a finding
	cd fuzz && RUSTFLAGS="$(FUZZ_FLAGS)" CARGO_TARGET_DIR=target $(CARGO) build --release --target $(FUZZ_HOST)
	@set -e; cd fuzz; mkdir -p artifacts; for source in src/*.rs; do name=$$(basename $$source .rs); \
	   mkdir -p target/corpus/$$name; echo "fuzz: $$name"; \
	   target/$(FUZZ_HOST)/release/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
	     -print_final_stats=1 -artifact_prefix=artifacts/$$name- $$(ls $$name.dict 2>/dev/null | sed s/^/-dict=/) \
	     target/corpus/$$name $$(ls -d seeds/$$name 2>/dev/null) \
	     2>&1 | tee target/$$name.log | grep -E 'stat::(number_of_executed|peak_rss)|ERROR|panicked|SUMMARY' || true; \
	   grep -q 'stat::number_of_executed' target/$$name.log && ! grep -qE '^==[0-9]+== *ERROR' target/$$name.log \
	     || { tail -40 target/$$name.log; exit 1; }; done

bench: build ## side by side with Debian's keepalived; BENCH="ipvs --services 100" for a part of it (root)
	$(SUDO) target/release/bench $(BENCH)

lint: setup-lint ## rustfmt, clippy without warnings, licences and bans
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo-deny --log-level error check licenses bans sources; \
	 else echo "NOT CHECKED: licences, bans and sources, as there is no cargo-deny"; fi

clean: ## what was built
	$(CARGO) clean
