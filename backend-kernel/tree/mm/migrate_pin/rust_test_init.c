// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the test driver in Rust comes up.
 */
#include <linux/init.h>
#include "hook.h"

device_initcall(migrate_pin_rust_test_init);
