# `make help` lists the targets. Each sets up what it needs first.
.DEFAULT_GOAL := help
.PHONY: help run test lint msrv peers targets www bench bench-web bench-dedup bench-delta bench-snapshot fuzz

CARGO ?= cargo

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

run: ## Do the main job on real input: publish store items and install them through IPFS.
	@$(CARGO) build --release --quiet -p interplanar-server
	@target/release/interplanar run

test: peers lint ## Run every check that CI runs (as root: it starts real Guix, Nix and Kubo).
	scripts/www
	scripts/test

lint: targets ## Check format, spelling, dependencies, clippy, docs, other targets, fuzz/ and packages.
	@scripts/peers lint
	@scripts/lint

msrv: targets ## Check that the declared minimum Rust version is the one that builds the workspace.
	@scripts/lint msrv
	@$(CARGO) check --workspace --all-targets --locked --quiet

www: targets ## Build the cache inspector, which a program built after it contains.
	@scripts/peers wasm
	@scripts/www

bench: peers ## Print ratios against named programs of the same run.
	scripts/bench

bench-web: peers targets ## Print ratios of the npm package against plain fetch and Helia.
	scripts/bench-web

bench-dedup: ## Print what shared pieces save, for levels of zstd: make bench-dedup LEVELS="3 9 19"
	scripts/bench-dedup $(LEVELS)

bench-delta: peers ## Print what installed items save a download from a server 25 ms away.
	$(CARGO) build --release --quiet -p interplanar-server
	$(CARGO) bench --quiet -p interplanar-tests --bench delta

bench-snapshot: ## Print what one more item costs a snapshot of 100,000 items.
	$(CARGO) bench --quiet -p interplanar-tests --bench snapshot

fuzz: ## Fuzz core and gateway, SECONDS for each target (needs nightly Rust and cargo-fuzz).
	scripts/fuzz $(SECONDS)

peers: ## Install the programs of the tests under target/peers, and Debian packages.
	@scripts/peers

targets: ## Install the compiler of rust-toolchain.toml with its components and targets.
	@scripts/toolchain
