# `make run` does the main job on real input; `make test` runs every test; `make bench` prints ratios against named peers.
# Each sets up what is missing first.
.PHONY: run test lint bench bench-web bench-dedup bench-delta bench-snapshot fuzz www peers targets

CARGO ?= cargo

run:
	@$(CARGO) build --release --quiet -p interplanar-server
	@target/release/interplanar run

peers:
	@scripts/peers

targets:
	@rustup target list --installed 2>/dev/null | grep -q thumbv7em-none-eabihf || rustup target add thumbv7em-none-eabihf
	@rustup target list --installed 2>/dev/null | grep -q wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
	@rustup component add rustfmt clippy 2>/dev/null || true

lint: targets
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(CARGO) check --quiet -p interplanar-core --target thumbv7em-none-eabihf
	$(CARGO) check --quiet -p interplanar-core --target wasm32-unknown-unknown
	$(CARGO) check --quiet -p interplanar-gateway --target wasm32-unknown-unknown
	$(CARGO) clippy --quiet -p interplanar-wasm --all-targets --target wasm32-unknown-unknown -- -D warnings
	$(CARGO) clippy --quiet -p interplanar-wasm --no-default-features --features zstd --target wasm32-unknown-unknown -- -D warnings
	$(CARGO) clippy --quiet -p interplanar-wasm --no-default-features --target wasm32-unknown-unknown -- -D warnings
	$(CARGO) clippy --quiet -p interplanar-worker --target wasm32-unknown-unknown -- -D warnings

# The cache inspector, which the program carries if it is built after it.
www: targets
	@scripts/peers wasm
	@scripts/www

test: peers lint
	scripts/www
	$(CARGO) build --quiet -p interplanar-server
	scripts/test

bench: peers
	scripts/bench

bench-web: peers targets
	scripts/bench-web

# Levels of zstd: make bench-dedup LEVELS="3 9 19"
bench-dedup:
	scripts/bench-dedup $(LEVELS)

# What installed items save, and what it takes from 25 ms away.
bench-delta: peers
	$(CARGO) build --release --quiet -p interplanar-server
	$(CARGO) bench --quiet -p interplanar-tests --bench delta

# What one more item costs a snapshot of 100,000.
bench-snapshot:
	$(CARGO) bench --quiet -p interplanar-tests --bench snapshot

# Looks for inputs that break core; SECONDS for each of its targets. Takes a nightly Rust and cargo-fuzz.
fuzz:
	scripts/fuzz $(SECONDS)
