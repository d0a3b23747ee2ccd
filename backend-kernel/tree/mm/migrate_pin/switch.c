// SPDX-License-Identifier: GPL-2.0-only
/*
 * The switch that makes the stock calls run on core, and the counters.
 *
 * migrate_pin=on on the command line; debugfs has migrate_pin/enabled, to be
 * written while no migration is under way, and migrate_pin/counters.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include "hook.h"

DEFINE_STATIC_KEY_FALSE(migrate_pin_key);

static atomic_long_t counters[MIGRATE_PIN_COUNTERS];

static const char *const counter_names[] = {
	[MIGRATE_PIN_COUNT_CORE_SETUP] = "core migrate_vma_setup",
	[MIGRATE_PIN_COUNT_CORE_PAGES] = "core migrate_vma_pages",
	[MIGRATE_PIN_COUNT_CORE_FINALIZE] = "core migrate_vma_finalize",
	[MIGRATE_PIN_COUNT_CORE_RANGE] = "core migrate_device_range",
	[MIGRATE_PIN_COUNT_CORE_UNMAP] = "core migrate_device_unmap",
	[MIGRATE_PIN_COUNT_CORE_DEVICE_PAGES] = "core migrate_device_pages",
	[MIGRATE_PIN_COUNT_CORE_DEVICE_FINALIZE] =
		"core migrate_device_finalize",
	[MIGRATE_PIN_COUNT_REFUSED] = "core refused",
	[MIGRATE_PIN_COUNT_STOCK_SETUP] = "stock migrate_vma_setup",
	[MIGRATE_PIN_COUNT_STOCK_PAGES] = "stock migrate_vma_pages",
	[MIGRATE_PIN_COUNT_STOCK_FINALIZE] = "stock migrate_vma_finalize",
	[MIGRATE_PIN_COUNT_STOCK_RANGE] = "stock migrate_device_range",
	[MIGRATE_PIN_COUNT_STOCK_UNMAP] = "stock migrate_device_unmap",
	[MIGRATE_PIN_COUNT_STOCK_DEVICE_PAGES] = "stock migrate_device_pages",
	[MIGRATE_PIN_COUNT_STOCK_DEVICE_FINALIZE] =
		"stock migrate_device_finalize",
};
static_assert(ARRAY_SIZE(counter_names) == MIGRATE_PIN_COUNTERS);

void migrate_pin_glue_count(unsigned long counter)
{
	atomic_long_inc(&counters[counter]);
}

void migrate_pin_glue_warn_refused(unsigned long index, unsigned long word,
		int error)
{
	pr_warn_once("migrate_pin: destination %lu, %#lx, is refused: errno %d\n",
		     index, word, error);
}

static int __init migrate_pin_setup(char *text)
{
	bool on;

	if (kstrtobool(text, &on))
		return 0;
	if (on)
		static_branch_enable(&migrate_pin_key);
	return 1;
}
__setup("migrate_pin=", migrate_pin_setup);

static int enabled_get(void *data, u64 *value)
{
	*value = static_key_enabled(&migrate_pin_key);
	return 0;
}

static int enabled_set(void *data, u64 value)
{
	if (value > 1)
		return -EINVAL;
	if (value)
		static_branch_enable(&migrate_pin_key);
	else
		static_branch_disable(&migrate_pin_key);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(enabled_fops, enabled_get, enabled_set, "%llu\n");

static int pins_get(void *data, u64 *value)
{
	*value = migrate_pin_pins();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(pins_fops, pins_get, NULL, "%llu\n");

static int counters_show(struct seq_file *seq, void *data)
{
	int i;

	for (i = 0; i < MIGRATE_PIN_COUNTERS; i++)
		seq_printf(seq, "%s %ld\n", counter_names[i],
			   atomic_long_read(&counters[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int __init migrate_pin_debugfs(void)
{
	struct dentry *dir = debugfs_create_dir("migrate_pin", NULL);

	debugfs_create_file_unsafe("enabled", 0600, dir, NULL, &enabled_fops);
	debugfs_create_file_unsafe("pins", 0400, dir, NULL, &pins_fops);
	debugfs_create_file("counters", 0400, dir, NULL, &counters_fops);
	return 0;
}
late_initcall(migrate_pin_debugfs);
