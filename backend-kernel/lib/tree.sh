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
