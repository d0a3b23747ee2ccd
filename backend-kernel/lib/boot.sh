# shellcheck shell=bash
# Boot, and what the output means.

# Two ranges of memory that test_hmm takes for its devices' coherent memory.
# shellcheck disable=SC2016 # $ is the kernel's
readonly coherent='memmap=256M$0x40000000 memmap=256M$0x60000000 test_hmm.spm_addr_dev0=0x40000000 test_hmm.spm_addr_dev1=0x60000000'

# How QEMU runs the guest; for counting, every instruction is a tick of the guest's clock.
readonly two_cpus='tcg,thread=multi -smp 2'
readonly counting='tcg,thread=single -icount shift=0 -smp 1'
machine=$two_cpus
# Pages that two runs of a self-test may miss each time: the quarantine of KASAN takes some.
slack=slack=8
[ "$variant" = plain ] || slack=slack=64
# Pages are poisoned only where the command line says so.
poison=
[ "$variant" = plain ] || poison=page_poison=1
# How long process 1 may take to begin, and the guest to end, in seconds. A debug kernel is slow.
readonly begin_timeout=${BEGIN_TIMEOUT:-240}
if [ "$variant" = plain ]; then
  readonly boot_timeout=${BOOT_TIMEOUT:-900}
else
  readonly boot_timeout=${BOOT_TIMEOUT:-2700}
fi
# How often a guest is booted that dies before process 1 begins.
readonly boot_tries=3
repeated=0

# Did process 1 say that it began?
began() { grep -q '^@init@ began' "$1"; }

# run_guest LOG APPEND: one boot, to its end, or until it has taken too long.
run_guest() {
  local log=$1 pid i
  : >"$log"
  # shellcheck disable=SC2086 # $machine is words
  timeout "$boot_timeout" qemu-system-x86_64 -accel ${machine} -m 3072 -nodefaults -nographic \
    -no-reboot -serial "file:$log" -kernel "$bzimage" -initrd "$initramfs" -append "$2" </dev/null 9>&- &
  pid=$!
  for ((i = 0; i < begin_timeout; i++)); do
    began "$log" || ! kill -0 "$pid" 2>/dev/null || { sleep 1 && continue; }
    break
  done
  began "$log" || kill "$pid" 2>/dev/null || true
  ended=0
  wait "$pid" || ended=$?
  sed -i 's/\r$//' "$log"
}

# boot NAME SUITES PARAMETERS...: the console goes to $build/NAME.log.
#
# QEMU's threads lose a race now and then while the kernel patches its own code early in boot (an int3 is met that is
# not expected any more), before anything of ours ran. So a guest that dies before process 1 says that it began is
# booted again, so many times, unless it names something of ours as it dies. One that began is never booted again.
boot() {
  local log=$build/$1.log suites=$2 try ended
  shift 2
  for ((try = 1; ; try++)); do
    say "booting: suites=$suites $*"
    run_guest "$log" \
      "console=ttyS0 quiet panic=-1 log_buf_len=4M hugepages=8 $coherent $poison suites=$suites $*"
    if began "$log"; then
      break
    fi
    tail -n 20 "$log" | sed 's/^/# | /'
    if grep -q 'migrate_pin_' "$log" || [ "$try" -eq "$boot_tries" ]; then
      die "the guest died before process 1 began, in boot $try: $log"
    fi
    repeated=$((repeated + 1))
    cp "$log" "$log.died-$try"
    say "the guest died before process 1 began, and before anything of ours ran ($log.died-$try): booting again"
  done
  [ "$ended" -eq 0 ] || { tail -n 20 "$log" >&2; die "the guest did not switch off by itself: $log"; }
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

say_lines() { [ -z "$1" ] || printf '# %s\n' "${1//$'\n'/$'\n# '}"; }

no_splat() {
  local splats
  splats=$(lines_of "$1" splat)
  check "$1: the kernel complains of nothing" [ -z "$splats" ]
  say_lines "$splats"
}

# The boots of the hmm-tests on each code: one, or two where the first were repeated.
stock_boots=(stock)
core_boots=(core)

# verdict_of BOOT SUITE NAME: of one test; nothing if it did not run.
verdict_of() { hmm_verdicts "$1" "$2" | awk -v name="$3" '$1 == name { print $2 }'; }

# What a second pair of boots has to tell: each test that failed on stock C without huge pages, or that core gave
# another verdict of.
hmm_doubts() {
  local thp name verdict of_core
  for thp in never always; do
    while read -r name verdict; do
      of_core=$(verdict_of core "hmm-$thp" "$name")
      if [ "$of_core" != "$verdict" ] || { [ "$thp" = never ] && [ "$verdict" != pass ]; }; then
        echo "huge pages $thp: $name: stock C $verdict, core ${of_core:-did not run it}"
      fi
    done < <(hmm_verdicts stock "hmm-$thp")
  done
}

# The kernel's hmm-tests on its own code. With huge pages on, three tests of exclusive access, which do not migrate,
# fail on each kind of device memory: what matters there is that `core` gives the same verdicts.
stock_hmm_tests() {
  local name verdict boot passed
  while read -r name verdict; do
    passed=
    for boot in "${stock_boots[@]}"; do
      [ "$(verdict_of "$boot" hmm-never "$name")" != pass ] || passed=1
    done
    check "hmm-tests on stock C, no huge pages: $name" [ -n "$passed" ]
    [ "$verdict" = pass ] || say "in the first boot: $verdict"
  done < <(hmm_verdicts stock hmm-never)
  for boot in "${stock_boots[@]}"; do
    check "hmm-tests on stock C, no huge pages: all 58 ran ($boot)" [ "$(hmm_verdicts "$boot" hmm-never | wc -l)" -eq 58 ]
    check "hmm-tests on stock C, huge pages: all 58 ran ($boot)" [ "$(hmm_verdicts "$boot" hmm-always | wc -l)" -eq 58 ]
  done
}

# verdicts_of SUITE NAME BOOT...: of one test, boot by boot; - where it did not run.
verdicts_of() {
  local suite=$1 name=$2 boot verdict
  shift 2
  for boot; do
    verdict=$(verdict_of "$boot" "$suite" "$name")
    echo "${verdict:--}"
  done
}

# same_as_stock STOCK CORE: did core give no verdict of a test but those that the stock code gave itself? With one boot
# of each they are equal. What core gives in any boot counts: it is not forgiven what only core does.
same_as_stock() {
  local verdict
  for verdict in $2; do
    [[ $verdict != - && " ${1//$'\n'/ } " == *" $verdict "* ]] || return 1
  done
}

# The same tests with migrate_pin=on: the same verdicts, one by one.
core_hmm_tests() {
  local thp name of_stock of_core
  for thp in never always; do
    while read -r name _; do
      of_stock=$(verdicts_of "hmm-$thp" "$name" "${stock_boots[@]}")
      of_core=$(verdicts_of "hmm-$thp" "$name" "${core_boots[@]}")
      check "hmm-tests on core, huge pages $thp: $name: ${of_stock//$'\n'/, then } like stock C" \
        same_as_stock "$of_stock" "$of_core"
      [ "$of_core" = "$of_stock" ] || say "on core: ${of_core//$'\n'/, then }"
    done < <(hmm_verdicts stock "hmm-$thp")
  done
}

# calls BOOT WHOSE: how often each call went through the code of core, or the stock code.
calls() { lines_of "$1" counters | awk -v whose="$2" '$1 == whose { print $2, $3 }'; }

# Every call went through the code that the switch says, and no word was refused.
counted() {
  local call number
  while read -r call number; do
    case $call in
      refused) check 'core refused no word of the drivers' [ "$number" -eq 0 ] ;;
      # Only for a page that is taken for long-term use while it is in coherent memory.
      *) check "migrate_pin=on: $call went through core" [ "$number" -gt 0 ] && say "$number times" ;;
    esac
  done < <(calls core core)
  while read -r call number; do
    check "migrate_pin=on: $call never went through the stock code" [ "$number" -eq 0 ]
  done < <(calls core stock)
  check 'migrate_pin=off: nothing went through core' [ -z "$(calls stock core | awk '$2 != 0')" ]
  check 'migrate_pin=off: calls went through the stock code' [ -n "$(calls stock stock | awk '$2 != 0')" ]
}

# What can be told without booting.
static_tests() {
  local file found
  # checkpatch asks a script for what it thinks of the licences, which fails where Python has no ply.
  python3 -c 'import ply' 2>/dev/null || local -x GIT_DIR=none
  found=$(for file in "$here"/tree/mm/migrate_pin/*; do
    "$linux/scripts/checkpatch.pl" --root="$linux" --terse --no-summary --file "$file"
  done | grep -E ': (ERROR|WARNING):' || true)
  check 'checkpatch: the files have no error and no warning' [ -z "$found" ]
  say_lines "$found"
  found=$("$linux/scripts/checkpatch.pl" --root="$linux" --terse --no-summary --no-signoff "$here/tree/linux-6.12.patch" || true)
  check 'checkpatch: the patch has no error and no warning' [ -z "$found" ]
  say_lines "$found"
  found=$(grep -E 'mm/migrate_pin|objtool' "$build/build.log" || true)
  check 'the compilers and objtool say nothing of mm/migrate_pin' [ -z "$found" ]
  say_lines "$found"
  # The test driver is a driver, which may call them.
  found=$(find "$build/mm/migrate_pin" -name '*.o' ! -name test_driver.o -exec "llvm-nm$LLVM" --undefined-only {} + |
    grep -E ' (__)?migrate_(vma|device)_' || true)
  check 'nothing refers to migrate_vma_* or migrate_device_* of the stock kernel' [ -z "$found" ]
  say_lines "$found"
  # With overflow checks, as on the debug kernel, an addition may panic.
  [ "$variant" = plain ] || return 0
  found=$("llvm-nm$LLVM" --undefined-only "$build"/mm/migrate_pin/{migrate_pin_kernel.o,rust_test_driver/*.o} |
    grep -E 'panic|core3fmt' || true)
  check 'the Rust objects refer to no panic and no formatter' [ -z "$found" ]
  say_lines "$found"
}

# self_tests BOOT LABEL: the self-tests, with their own verdicts, on the devices of one driver.
self_tests() {
  local boot=$1 label=$2 thp suite line name
  for thp in never always; do
    suite=$boot-$thp
    while read -r line; do
      name=${line#*ok * }
      check "$label, huge pages $thp: $name" [ "${line%% *}" = ok ]
      [ "${line%% *}" = ok ] || say_lines "$(lines_of "$boot" "$suite" | grep -B3 -F "$line" | grep '^#')"
    done < <(lines_of "$boot" "$suite" | grep -E '^(not )?ok [0-9]')
    check "$label, huge pages $thp: the program says so too" [ -n "$(lines_of "$boot" "$suite" | grep -x 'exit 0' || true)" ]
    check "$label, huge pages $thp: all of them ran" \
      [ "1..$(lines_of "$boot" "$suite" | grep -cE '^(not )?ok [0-9]')" = \
      "$(lines_of "$boot" "$suite" | grep '^1\.\.' || true)" ]
  done
}

# scenario FILE NAME: the lines of one scenario.
scenario() { awk -v name="$2" '/^[^ ]/ { found = $0 == name } found' "$1"; }

# conformance BOOT LABEL: the same scenarios on the simulated machine and in the kernel, through one driver: the same
# lines.
conformance() {
  local sim=$build/conformance.sim kernel=$build/$1.kernel bad=$build/conformance.bad label=$2 name count=0
  local program=$cache/cargo/release/migrate-pin-conformance-sim
  "$program" >"$sim" || die 'the simulation fails'
  lines_of "$1" conformance | grep -v '^exit ' >"$kernel" || true
  while read -r name; do
    count=$((count + 1))
    check "$label: $name" cmp -s <(scenario "$sim" "$name") <(scenario "$kernel" "$name")
    diff -U2 --label simulation --label kernel <(scenario "$sim" "$name") <(scenario "$kernel" "$name") |
      sed 's/^/# /' || true
  done < <(grep '^[^ ]' "$sim")
  check "$label: at least 40 scenarios, here $count" [ "$count" -ge 40 ]
  check "$label: nothing else was printed by the kernel" cmp -s "$sim" "$kernel"
  # A simulation that is wrong on purpose is told from the kernel.
  "$program" ReleaseKeepsPin >"$bad" 2>/dev/null || true
  check "$label: a perturbed simulation differs" [ -s "$bad" ]
  check "$label: it differs where it was perturbed" differs "$bad" "$kernel" 'munmap while pinned'
}

# differs A B NAME: one scenario is not the same in both files.
differs() { ! cmp -s <(scenario "$1" "$3") <(scenario "$2" "$3"); }

# Instructions a page, both code paths in one boot.
count_instructions() {
  machine=$counting
  boot speed speed
  lines_of speed speed | grep -v '^exit 0$'
  say "text: core $(text_of core/migrate_pin_core.o) and migrate_pin_kernel.o $(text_of migrate_pin_kernel.o) bytes," \
    "migrate_device.o $(text_of ../migrate_device.o)"
  lines_of speed speed | grep -q '^exit 0$'
}
text_of() { "llvm-size$LLVM" "$build/mm/migrate_pin/$1" | awk 'NR == 2 { print $1 }'; }

run_tests() {
  local doubts name
  static_tests
  boot stock hmm
  boot core hmm migrate_pin=on
  # A test that runs into its own time limit, on a machine that has other things to do, says nothing of the code
  # under it. Once more on both, in the same configuration; all that was seen counts.
  doubts=$(hmm_doubts)
  if [ -n "$doubts" ]; then
    say 'the verdicts of these are doubtful, so that both codes are booted a second time:'
    say_lines "$doubts"
    boot stock-again hmm
    boot core-again hmm migrate_pin=on
    stock_boots+=(stock-again)
    core_boots+=(core-again)
  fi
  stock_hmm_tests
  core_hmm_tests
  counted
  for name in "${stock_boots[@]}" "${core_boots[@]}"; do
    no_splat "$name"
  done
  boot pin pin "$slack"
  self_tests pin self-test
  no_splat pin
  boot conformance conformance
  conformance conformance conformance
  no_splat conformance
  # The same once more, on the devices whose driver is in safe Rust.
  boot rust rust "$slack"
  self_tests rust 'self-test, driver in Rust'
  conformance rust 'conformance, driver in Rust'
  no_splat rust
  echo "1..$tests"
  say "$((tests - failed)) of $tests passed"
  [ "$repeated" -eq 0 ] || say "$repeated boots died before process 1 began, and were repeated"
  [ -z "$keep" ] || say "console: $build/*.log"
  [ "$failed" -eq 0 ]
}
