# shellcheck shell=bash
# Boot, and what the output means.

# Two ranges of memory that test_hmm takes for its devices' coherent memory.
# shellcheck disable=SC2016 # $ is the kernel's
readonly coherent='memmap=256M$0x40000000 memmap=256M$0x60000000 test_hmm.spm_addr_dev0=0x40000000 test_hmm.spm_addr_dev1=0x60000000'

# boot NAME SUITES PARAMETERS...: the console goes to $build/NAME.log.
boot() {
  local log=$build/$1.log suites=$2
  shift 2
  say "booting: suites=$suites $*"
  timeout "${BOOT_TIMEOUT:-600}" qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 3072 -nodefaults -nographic \
    -no-reboot -serial "file:$log" -kernel "$bzimage" -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1 hugepages=8 $coherent suites=$suites $*" </dev/null ||
    { tail -n 20 "$log" >&2; die "the guest did not switch off by itself: $log"; }
  sed -i 's/\r$//' "$log"
  grep -q '^@init@ done' "$log" || { tail -n 20 "$log" >&2; die "the guest did not come to its end: $log"; }
}

# The lines of one suite.
lines_of() { sed -n "s/^@$2@ //p" "$build/$1.log"; }

tests=0
failed=0
# check NAME COMMAND...: one line of TAP.
check() {
  local name=$1
  shift
  tests=$((tests + 1))
  if "$@"; then
    echo "ok $tests - $name"
  else
    failed=$((failed + 1))
    echo "not ok $tests - $name"
  fi
}

# Each test of a run of hmm-tests as "NAME VERDICT", in its order.
hmm_verdicts() {
  lines_of "$1" "$2" | awk '
    /^(not )?ok [0-9]+ / {
      verdict = /# SKIP/ ? "skip" : $1 == "not" ? "fail" : "pass"
      print $1 == "not" ? $4 : $3, verdict
    }'
}

no_splat() {
  local line splats
  splats=$(lines_of "$1" splat)
  check "$1: the kernel complains of nothing" [ -z "$splats" ]
  while read -r line; do
    [ -z "$line" ] || say "$line"
  done <<<"$splats"
}

# The kernel's hmm-tests on its own code. With huge pages on, three tests of exclusive access, which do not migrate,
# fail on each kind of device memory: what matters there is that `core` gives the same verdicts.
stock_hmm_tests() {
  local name verdict
  while read -r name verdict; do
    check "hmm-tests on stock C, no huge pages: $name" [ "$verdict" = pass ]
  done < <(hmm_verdicts stock hmm-never)
  check 'hmm-tests on stock C: as many as there are' [ "$(hmm_verdicts stock hmm-never | wc -l)" -eq 58 ]
  check 'hmm-tests on stock C, huge pages: as many' [ "$(hmm_verdicts stock hmm-always | wc -l)" -eq 58 ]
}

run_tests() {
  boot stock hmm
  stock_hmm_tests
  no_splat stock
  echo "1..$tests"
  say "$((tests - failed)) of $tests passed"
  [ -z "$keep" ] || say "console: $build/*.log"
  [ "$failed" -eq 0 ]
}
