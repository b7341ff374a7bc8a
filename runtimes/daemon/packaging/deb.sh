#!/usr/bin/env bash
# Makes the Debian package, in target/debian. Needs cargo-deb 3.8; what is in it is in Cargo.toml, under [package.metadata.deb].
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')}
cargo build --locked --release
assets=$target/packaging
rm -rf "$assets"
"$target/release/metalbond" man "$assets/man"
gzip --best --no-name "$assets"/man/*
gzip --best --no-name --stdout ../../CHANGELOG.md >"$assets/changelog.gz"
mkdir "$assets/completions"
for shell in bash zsh fish; do
  "$target/release/metalbond" completions "$shell" >"$assets/completions/$shell"
done
# Where the reference's package has it.
mkdir "$assets/sbin"
ln -s ../bin/metalbond "$assets/sbin/metalbond"
# cargo-deb finds assets in its target directory by their place in "target/release".
rm -rf "$target/release/packaging"
cp --recursive --no-dereference "$assets" "$target/release/packaging"
cargo deb --no-build --locked "$@"
