# shellcheck shell=bash
# What has to be on the machine, and how to get it.

say() { printf '# %s\n' "$*"; }
die() {
  printf 'boot-test: %s\n' "$*" >&2
  exit 2
}

# The Rust compiler needs the source of its library beside it: the kernel builds its own.
RUSTC=${RUSTC:-/usr/bin/rustc}
LLVM=${LLVM:--19}
export LIBCLANG_PATH=${LIBCLANG_PATH:-/usr/lib/llvm${LLVM}/lib}
PATH=$cache/bindgen/bin:$PATH

# What is missing: packages of Debian's, and what else has to be done.
find_missing() {
  local pair
  packages=()
  commands=()
  for pair in qemu-system-x86_64:qemu-system-x86 flex:flex bison:bison bc:bc cpio:cpio gcc:gcc make:make \
    patch:patch xz:xz-utils gzip:gzip perl:perl flock:util-linux "clang$LLVM:clang$LLVM" \
    "ld.lld$LLVM:lld$LLVM" "llvm-nm$LLVM:llvm$LLVM"; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  [ -e /usr/include/libelf.h ] || packages+=(libelf-dev)
  [ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev)
  # The one that is linked statically: it runs in an initramfs with no libraries.
  [ -n "$(busybox_static)" ] || packages+=(busybox-static)
  compgen -G "$LIBCLANG_PATH/libclang*.so*" >/dev/null || packages+=("libclang$LLVM-dev")
  if ! [ -d "$("$RUSTC" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/core" ]; then
    packages+=(rustc-web rust-web-src)
  fi
  command -v cargo >/dev/null || commands+=("install cargo: https://rustup.rs")
  command -v bindgen >/dev/null ||
    commands+=("cargo install bindgen-cli --locked --root '$cache/bindgen'")
  if ! [ -e "$source_tarball" ] && ! command -v apt-get >/dev/null; then
    commands+=("put the kernel's source where Debian's linux-source-6.12 has it: $source_tarball")
  fi
}

# Say what is missing, and how to get it; false if something is.
check_tools() {
  local packages commands
  find_missing
  [ ${#packages[@]} -eq 0 ] && [ ${#commands[@]} -eq 0 ] && return
  echo 'boot-test: this is missing:' >&2
  [ ${#packages[@]} -eq 0 ] || echo "  apt-get install --no-install-recommends ${packages[*]}" >&2
  [ ${#commands[@]} -eq 0 ] || printf '  %s\n' "${commands[@]}" >&2
  return 2
}

# Get it, from Debian and with cargo.
install_tools() {
  local packages commands
  find_missing
  if [ ${#packages[@]} -gt 0 ]; then
    say "apt-get install ${packages[*]}"
    apt-get update -qq -o Acquire::Retries=3 || die 'apt-get update fails'
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends \
      "${packages[@]}" >/dev/null || die "apt-get install fails: ${packages[*]}"
  fi
  if ! command -v bindgen >/dev/null; then
    say 'cargo install bindgen-cli'
    RUSTC=rustc cargo install --quiet --locked --root "$cache/bindgen" bindgen-cli || die 'bindgen-cli does not build'
    hash -r
  fi
}

busybox_static() {
  local path
  for path in /bin/busybox /usr/bin/busybox; do
    if [ -x "$path" ] && ! ldd "$path" >/dev/null 2>&1; then
      echo "$path"
      return
    fi
  done
}

# Copy a file if it differs, so that what depends on it is built again only then.
sync_file() {
  cmp -s "$1" "$2" || install -D -m "$(stat -c %a "$1")" "$1" "$2"
}
