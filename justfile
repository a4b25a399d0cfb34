# The gate: what CI runs.
ready:
    .ci/run

# Rewrites pages, goldens and generated docs from the code.
update:
    UPDATE=1 cargo test --workspace

# Builds, asks and measures every world once.
labs:
    cargo run --release -- lab bench --seeds 1

# The small binary that is shipped.
dist:
    cargo build --profile dist

# The container image, with the bill of materials beside it.
image FILE:
    scripts/image {{FILE}}
