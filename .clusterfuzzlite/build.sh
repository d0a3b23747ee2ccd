#!/bin/bash -eu
# Builds all fuzz targets into $OUT, each with its seeds (NAME_seed_corpus.zip) and its dictionary (NAME.dict) if it has them. Run
# in the base image, which sets SRC, OUT, SANITIZER and the flags; `.clusterfuzzlite/check` runs it without.
cd "$SRC/migrate-pin"

# The sanitizers of project.yaml. A coverage build is the image's own: its cargo makes an ordinary build of `cargo fuzz build`.
case ${SANITIZER:-address} in
address | coverage) ;;
*) echo "expected SANITIZER to be address or coverage, and not '$SANITIZER'" >&2; exit 2 ;;
esac

# With debug assertions, as fuzzers should have them: also an overflow is a finding.
cargo fuzz build -O --debug-assertions

built=$(cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 --no-deps | jq -r .target_directory)
release=$built/$(rustc -vV | sed -n 's/^host: //p')/release
for target in fuzz/fuzz_targets/*.rs; do
  name=$(basename "$target" .rs)
  cp "$release/$name" "$OUT/"
  if [ -d "fuzz/seeds/$name" ]; then
    rm -f "$OUT/${name}_seed_corpus.zip"
    zip -jqr "$OUT/${name}_seed_corpus.zip" "fuzz/seeds/$name"
  fi
  if [ -f "fuzz/dictionaries/$name.dict" ]; then
    cp "fuzz/dictionaries/$name.dict" "$OUT/"
  fi
done
