# shellcheck shell=bash
# Configure and build, out of tree, one directory a variant.

readonly build=$cache/$variant
readonly bzimage=$build/arch/x86/boot/bzImage
jobs=$(nproc)

kernel_make() {
  make -s -C "$linux" O="$build" LLVM="$LLVM" RUSTC="$RUSTC" "$@"
}

configure() {
  local fragments=("$here/config/plain.config") stamp
  [ "$variant" = plain ] || fragments+=("$here/config/$variant.config")
  stamp=$(cat "${fragments[@]}" "$linux/.unpacked" && "$RUSTC" --version && bindgen --version)
  if [ "$(cat "$build/.configured" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  kernel_make rustavailable >"$build/rustavailable.log" 2>&1 ||
    die "the kernel can't be built with this Rust: $build/rustavailable.log"
  say 'configuring'
  kernel_make tinyconfig >/dev/null
  (cd "$build" && "$linux/scripts/kconfig/merge_config.sh" -m -O . .config "${fragments[@]}" >merge.log)
  kernel_make olddefconfig >/dev/null
  check_config "${fragments[@]}"
  echo "$stamp" >"$build/.configured"
}

# Every line of the fragments holds in what was made of them, the last where two speak of one option: Kconfig drops
# what it can't have without a word.
check_config() {
  local line name wrong=()
  while read -r line; do
    case $line in
      CONFIG_*) grep -qxF "$line" "$build/.config" || wrong+=("$line") ;;
      '# CONFIG_'*' is not set')
        name=${line#\# }
        ! grep -q "^${name%% *}=" "$build/.config" || wrong+=("$line")
        ;;
    esac
  done < <(cat "$@" | awk '
    /^CONFIG_/ { name = $1; sub("=.*", "", name) }
    /^# CONFIG_.* is not set$/ { name = $2 }
    name != "" { last[name] = $0 }
    { name = "" }
    END { for (name in last) print last[name] }')
  [ ${#wrong[@]} -eq 0 ] || die "the configuration has not: ${wrong[*]}"
}

build_kernel() {
  mkdir -p "$build"
  configure
  say "building the kernel ($build/build.log)"
  # What the compilers say of these is looked at in every run.
  find "$build/mm/migrate_pin" -name '*.o' -delete 2>/dev/null || true
  kernel_make -j"$jobs" bzImage >"$build/build.log" 2>&1 || {
    grep -E 'error|Error' -A12 "$build/build.log" | head -60 >&2
    die "the kernel does not build: $build/build.log"
  }
}
