/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What the self-tests ask of a device that pins.
 */
#ifndef _MM_MIGRATE_PIN_TEST_DRIVER_H
#define _MM_MIGRATE_PIN_TEST_DRIVER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* One structure for all: what a command takes and gives is said beside it. */
struct migrate_pin_test {
	__u64 addr;
	__u64 npages;
	__u64 arg;
	__u64 value;
	__u64 src;
	__u64 dst;
	__u64 out[8];
};

#define MIGRATE_PIN_TEST(nr) _IOWR('P', nr, struct migrate_pin_test)

/* addr, npages, arg: to write. out: granted, left. */
#define MIGRATE_PIN_TEST_ACQUIRE MIGRATE_PIN_TEST(1)
/* addr, npages. out: pages that could not be given back. */
#define MIGRATE_PIN_TEST_REVOKE MIGRATE_PIN_TEST(2)
/*
 * addr, value: to add, arg: how often, npages: fail rather than acquire. out:
 * what was there last, acquires.
 */
#define MIGRATE_PIN_TEST_ADD MIGRATE_PIN_TEST(3)
/* addr. out: what is there; -ENOENT if the device has no mapping. */
#define MIGRATE_PIN_TEST_LOAD MIGRATE_PIN_TEST(4)
/* addr, npages. out: pages that were migrated, with their contents. */
#define MIGRATE_PIN_TEST_MIGRATE MIGRATE_PIN_TEST(5)
/*
 * addr, npages, src and dst: words, arg: MIGRATE_PIN_TEST_RAW_*. out: errno of
 * setup, pages and finalize, cpages. src has the words then.
 */
#define MIGRATE_PIN_TEST_RAW MIGRATE_PIN_TEST(6)
/* arg: MIGRATE_PIN_TEST_FAIL_*, value: which call fails, 0 for none. */
#define MIGRATE_PIN_TEST_FAIL MIGRATE_PIN_TEST(7)
/* out: free device pages, all, mappings, faults, invalidations, pins. */
#define MIGRATE_PIN_TEST_STATS MIGRATE_PIN_TEST(8)
/* addr. out: MIGRATE_PIN_PTE_*, pfn, count, mapcount, flags. */
#define MIGRATE_PIN_TEST_PAGE MIGRATE_PIN_TEST(9)
/* arg: a pfn. out: as for PAGE, of that page; the first is 0. */
#define MIGRATE_PIN_TEST_PFN MIGRATE_PIN_TEST(10)

/*
 * addr, npages, arg: MIGRATE_PIN_TEST_SPEED_*. out: ticks of the timestamp
 * counter in setup, pages, finalize; pages that moved; ticks in all.
 */
#define MIGRATE_PIN_TEST_SPEED MIGRATE_PIN_TEST(11)

/* Words of dst: a device page of the driver's, or a new system page. */
#define MIGRATE_PIN_TEST_RAW_DEVICE (1ULL << 62 | 1)
#define MIGRATE_PIN_TEST_RAW_SYSTEM (1ULL << 62 | 2)
/* Change a source word between setup and pages. */
#define MIGRATE_PIN_TEST_RAW_TAMPER 1
/* Finalize without pages. */
#define MIGRATE_PIN_TEST_RAW_SKIP 2
/* Pages before setup, and finalize twice. */
#define MIGRATE_PIN_TEST_RAW_ORDER 4

/* The stock calls, with copies; on core if it has taken their place. */
#define MIGRATE_PIN_TEST_SPEED_MIGRATE 0
/* migrate_pin_acquire(). */
#define MIGRATE_PIN_TEST_SPEED_PIN 1
/* make_device_exclusive_range(), and the device's page table. */
#define MIGRATE_PIN_TEST_SPEED_EXCLUSIVE 2

#define MIGRATE_PIN_TEST_FAIL_ALLOC 0
#define MIGRATE_PIN_TEST_FAIL_MAP 1
#define MIGRATE_PIN_TEST_FAIL_COPY 2
#define MIGRATE_PIN_TEST_FAILS 3

#define MIGRATE_PIN_TEST_LRU 1
#define MIGRATE_PIN_TEST_LOCKED 2
#define MIGRATE_PIN_TEST_PINNED 4
#define MIGRATE_PIN_TEST_DIRTY 8

#endif /* _MM_MIGRATE_PIN_TEST_DRIVER_H */
