# The only entry points. Each installs what it needs; see README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
CARGO := cargo
PACKAGES := gcc make pkg-config iproute2 iputils-ping procps tcpdump snmp snmpd snmptrapd keepalived smitools nftables ethtool util-linux
# Tests that need IPVS boot Debian's kernel where this one has none.
PACKAGES += ipvsadm kmod linux-image-amd64 qemu-system-x86 busybox-static xz-utils
DENY := $(shell command -v cargo-deny 2>/dev/null)

.PHONY: help setup setup-lint build demo test bench lint clean

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

demo: build ## two routers, a client, snmpd: fail over and watch (root)
	$(SUDO) target/release/demo

# Tests that look at the kernel and the wire need root; they are built as you and run as root.
AS_ROOT := $(SUDO) env PATH="$$PATH" HOME="$$HOME" CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" RUSTUP_HOME="$${RUSTUP_HOME:-$$HOME/.rustup}"

test: build ## every test; those that look at the kernel and the wire need root
	$(CARGO) check --no-default-features --lib
	$(CARGO) test --release --workspace --no-run
	$(AS_ROOT) $(CARGO) test --release -p keepwatch
	$(AS_ROOT) KEEPWATCHD=$(CURDIR)/target/release/keepwatchd $(CARGO) test --release -p agentx-tests -- --test-threads=2

bench: build ## side by side with Debian's keepalived (root)
	$(SUDO) target/release/bench

lint: setup-lint ## rustfmt, clippy without warnings, licences and bans
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo-deny --log-level error check licenses bans sources; \
	 else echo "NOT CHECKED: licences, bans and sources, as there is no cargo-deny"; fi

clean: ## what was built
	$(CARGO) clean
