# shellcheck shell=bash
# The kernel's source: fetched, unpacked, and changed by what is in tree/.

readonly source_package=linux-source-6.12
readonly source_tarball=/usr/src/$source_package.tar.xz
readonly linux=$cache/linux

# Debian's tarball, from the package if it is installed, else from a copy of it in the cache.
source_archive() {
  if [ -e "$source_tarball" ]; then
    echo "$source_tarball"
    return
  fi
  local copy=$cache/package
  if ! [ -e "$copy$source_tarball" ]; then
    say "fetching $source_package" >&2
    mkdir -p "$copy"
    (cd "$copy" && apt-get download -qq "$source_package" >&2 && dpkg-deb -x ./"$source_package"_*.deb .) ||
      die "could not fetch it: apt-get install $source_package"
    rm -f "$copy"/*.deb
  fi
  echo "$copy$source_tarball"
}

unpack_source() {
  local archive stamp
  archive=$(source_archive)
  stamp=$(stat -c '%s %Y' "$archive")
  if [ "$(cat "$linux/.unpacked" 2>/dev/null)" != "$stamp" ]; then
    say "unpacking $archive"
    rm -rf "$linux" "$linux.new"
    mkdir -p "$linux.new"
    tar -xf "$archive" -C "$linux.new" --strip-components=1
    echo "$stamp" >"$linux.new/.unpacked"
    mv "$linux.new" "$linux"
  fi
}

# A file of the tree as it was unpacked: kept once, before it is patched.
pristine() {
  local copy=$cache/pristine/$1
  if ! [ "$copy" -nt "$linux/.unpacked" ]; then
    install -D -m 644 "$linux/$1" "$copy"
  fi
  echo "$copy"
}

# The source of a dependency of core, as Cargo.lock has it, checked by cargo.
crate_source() {
  local version path
  version=$(awk -v name="\"$1\"" '$1 == "name" { found = $3 == name } found && $1 == "version" {
    gsub("\"", "", $3); print $3; exit }' "$here/../Cargo.lock")
  path=$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/$1-$version/src" | head -n 1 || true)
  if [ -z "$path" ]; then
    cargo fetch --quiet --locked --manifest-path "$here/../Cargo.toml" >&2 || die "cargo fetch failed"
    path=$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/$1-$version/src" | head -n 1 || true)
  fi
  [ -n "$path" ] || die "no source of $1 $version in cargo's registry"
  echo "$path"
}

# sync_crate FROM TO NAME: the sources of a crate, its root named as Kbuild names what it makes of it.
sync_crate() {
  local from=$1 to=$2 name=$3 file
  while read -r file; do
    sync_file "$from/$file" "$to/$([ "$file" = lib.rs ] && echo "$name.rs" || echo "$file")"
  done < <(cd "$from" && find . -name '*.rs' -printf '%P\n')
  while read -r file; do
    [ -e "$from/$file" ] || [ "$file" = "$name.rs" ] || rm "$to/$file"
  done < <(cd "$to" && find . -name '*.rs' -printf '%P\n')
}

# The header is what the Rust says it is; --fix writes it anew.
check_header() {
  local new=$cache/migrate_pin_abi.h header=$here/tree/mm/migrate_pin/migrate_pin_abi.h
  CARGO_TARGET_DIR=$cache/cargo cargo run --quiet --locked --manifest-path "$here/header/Cargo.toml" >"$new" ||
    die 'the header could not be printed'
  if ! cmp -s "$new" "$header" && [ -n "$fix" ]; then
    cp "$new" "$header"
  fi
  diff -u "$header" "$new" || die "$header is not what the Rust says: boot-test --fix"
}

# Put what is in tree/ and the Rust into the kernel's tree. What does not change keeps its time.
apply_tree() {
  local work file to=$linux/mm/migrate_pin crate
  work=$(mktemp -d)
  while read -r file; do
    install -D -m 644 "$(pristine "$file")" "$work/$file"
  done < <(sed -n 's|^+++ b/||p' "$here/tree/linux-6.12.patch")
  patch --quiet --directory="$work" --strip=1 --fuzz=0 <"$here/tree/linux-6.12.patch" ||
    die 'the patch does not apply'
  while read -r file; do
    sync_file "$work/$file" "$linux/$file"
  done < <(cd "$work" && find . -type f -printf '%P\n')
  rm -rf "$work"
  mkdir -p "$to"
  while read -r file; do
    sync_file "$here/tree/$file" "$linux/$file"
  done < <(cd "$here/tree" && find . -type f ! -name '*.patch' -printf '%P\n')
  sync_crate "$here/../core/src" "$to/core" migrate_pin_core
  for crate in bitflags static_assertions; do
    sync_crate "$(crate_source "$crate")" "$to/$crate" "$crate"
  done
  sync_crate "$here/src/driver" "$to/driver" driver
  sync_crate "$here/rust-test-driver/src" "$to/rust_test_driver" rust_test_driver
  for file in "$here"/src/*.rs; do
    crate=$(basename "$file")
    sync_file "$file" "$to/$([ "$crate" = lib.rs ] && echo migrate_pin_kernel.rs || echo "$crate")"
  done
}
