/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What mm/migrate_device.c asks before it does anything: does core do it?
 */
#ifndef _MM_MIGRATE_PIN_HOOK_H
#define _MM_MIGRATE_PIN_HOOK_H

#ifdef CONFIG_MIGRATE_PIN

#include <linux/jump_label.h>
#include "migrate_pin_abi.h"

DECLARE_STATIC_KEY_FALSE(migrate_pin_key);

/* Pages that are pinned. */
unsigned long migrate_pin_pins(void);

/* Brings the test driver in Rust up. */
int migrate_pin_rust_test_init(void);

/* True if core does it, else the call is counted as the stock code's. */
#define migrate_pin_replaces(call) ({					\
	bool __core = static_branch_unlikely(&migrate_pin_key);		\
									\
	if (!__core)							\
		migrate_pin_glue_count(MIGRATE_PIN_COUNT_STOCK_##call);	\
	__core;								\
})

#else

#define migrate_pin_replaces(call) ((void)#call, false)

int migrate_pin_stock_setup(struct migrate_vma *args);
void migrate_pin_stock_pages(struct migrate_vma *args);
void migrate_pin_stock_finalize(struct migrate_vma *args);
void migrate_pin_stock_range(unsigned long *src, unsigned long start,
		unsigned long npages);
unsigned long migrate_pin_stock_unmap(unsigned long *src, unsigned long npages);
void migrate_pin_stock_device_pages(unsigned long *src, unsigned long *dst,
		unsigned long npages);
void migrate_pin_stock_device_finalize(unsigned long *src, unsigned long *dst,
		unsigned long npages);

#endif /* CONFIG_MIGRATE_PIN */
#endif /* _MM_MIGRATE_PIN_HOOK_H */
