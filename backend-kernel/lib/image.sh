# shellcheck shell=bash
# The initramfs: busybox, the tests, and guest/init.

readonly image_root=$cache/$variant-image
readonly initramfs=$cache/$variant.cpio.gz
readonly hmm_source=$linux/tools/testing/selftests/mm/hmm-tests.c

# The kernel's own test of HMM, as it is in the tree.
build_hmm_tests() {
  local out=$image_root/bin/hmm-tests
  if ! [ -e "$build/usr/include/linux/mman.h" ]; then
    kernel_make headers >"$build/headers.log" 2>&1 || die "no headers: $build/headers.log"
  fi
  [ "$out" -nt "$hmm_source" ] && return
  say 'building hmm-tests'
  gcc -O2 -static -D_GNU_SOURCE= -I "$linux" -I "$build/usr/include" -o "$out" "$hmm_source" -lpthread
}

# Ours: one static program, for the architecture that is built on.
build_selftest() {
  local target
  target=$(rustc -vV | sed -n 's/^host: //p')
  CARGO_TARGET_DIR=$cache/cargo RUSTFLAGS='-C target-feature=+crt-static' RUSTC=rustc \
    cargo build --quiet --release --locked --target "$target" --manifest-path "$here/selftest/Cargo.toml" ||
    die 'the self-tests do not build'
  sync_file "$cache/cargo/$target/release/migrate-pin-selftest" "$image_root/bin/selftest"
}

# The simulated machine that the kernel is compared with, for this one.
build_simulation() {
  CARGO_TARGET_DIR=$cache/cargo RUSTC=rustc cargo build --quiet --release --locked \
    --manifest-path "$here/conformance-sim/Cargo.toml" || die 'the simulation does not build'
}

build_image() {
  local busybox
  busybox=$(busybox_static)
  mkdir -p "$image_root"/{bin,dev,proc,sys,tmp}
  build_hmm_tests
  build_selftest
  build_simulation
  sync_file "$busybox" "$image_root/bin/busybox"
  sync_file "$here/guest/init" "$image_root/init"
  # The console before devtmpfs is mounted.
  (cd "$image_root" && find . -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --quiet) |
    gzip -1 >"$initramfs"
}
