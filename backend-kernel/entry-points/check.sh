#!/usr/bin/env bash
# Build the static library for bare targets and look at what the object code of core refers to.
#
# Needs a rustc with its library's source: Debian's rustc-web and rust-web-src (RUSTC defaults to
# /usr/bin/rustc), or any toolchain that has rust-src.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC=${RUSTC:-/usr/bin/rustc} RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target/entry-points}
nm=${NM:-nm}
if ! "$RUSTC" --print sysroot >/dev/null 2>&1 ||
  ! [ -d "$("$RUSTC" --print sysroot)/lib/rustlib/src/rust/library/core" ]; then
  echo "check.sh: $RUSTC has no library source beside it; apt-get install rustc-web rust-web-src, or set RUSTC" >&2
  exit 2
fi

build() {
  cargo build --quiet --release -Zbuild-std=core --target "$1"
  echo "$CARGO_TARGET_DIR/$1/release/libentry_points.a"
}

library=$(build x86_64-unknown-none)
# With fat LTO all of our code, core's library included, is in the objects named after the crate; the rest of
# the archive is compiler_builtins, which the linker takes only what it needs of.
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
(cd "$objects" && ar x "$library" && ls | grep '^entry_points-' >list && [ -s list ])
undefined=$(cd "$objects" && xargs $nm --undefined-only --format=posix <list | awk '{print $1}' | grep -v ':$' | sort -u)
defined=$(cd "$objects" && xargs $nm --defined-only --format=posix --demangle <list)

bad=$(grep -iE 'panic|fmt|alloc|unwind|expect_failed|unwrap_failed' <<<"$undefined" | grep -vxE 'alloc_device_page|pte_alloc' || true)
# The handler that a static library must define is the one symbol with that word in it.
bad+=$(grep -iE 'panicking|core::fmt|alloc::|unwrap_failed|expect_failed' <<<"$defined" || true)
entries=$(grep -cE '^(as_posted|hardened)_(5_11|6_12)_[a-z_]+ T ' <<<"$defined")
if [ -n "$bad" ]; then
  printf 'x86_64-unknown-none: core refers to a panic, a formatter or an allocator:\n%s\n' "$bad" >&2
  exit 1
fi
if [ "$entries" -ne 64 ]; then
  echo "x86_64-unknown-none: expected 64 entry points in the object, found $entries" >&2
  exit 1
fi
echo "x86_64-unknown-none: $entries entry points; outside them the object refers to $(wc -l <<<"$undefined") symbols, none of a panic, a formatter or an allocator:"
fold -s -w 110 <<<"$(tr '\n' ' ' <<<"$undefined")" | sed 's/^/  /'

for target in aarch64-unknown-none riscv64gc-unknown-none-elf thumbv7em-none-eabi; do
  library=$(build "$target")
  echo "$target: builds, $(stat -c %s "$library") bytes of archive"
done
