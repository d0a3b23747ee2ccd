/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Rust of mm/migrate_pin and the C beside it agree on.
 *
 * Printed by migrate-pin-header; do not edit.
 */
#ifndef _MM_MIGRATE_PIN_ABI_H
#define _MM_MIGRATE_PIN_ABI_H

#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

/* An entry. */
#define MIGRATE_PIN_PTE_NONE 0x0
#define MIGRATE_PIN_PTE_ZERO 0x1
#define MIGRATE_PIN_PTE_SPECIAL 0x2
#define MIGRATE_PIN_PTE_PAGE 0x3
#define MIGRATE_PIN_PTE_DEVICE_PRIVATE 0x4
#define MIGRATE_PIN_PTE_MIGRATION 0x5
#define MIGRATE_PIN_PTE_OTHER 0x6

/* Its bits. */
#define MIGRATE_PIN_PTE_WRITE 0x100
#define MIGRATE_PIN_PTE_DIRTY 0x200
#define MIGRATE_PIN_PTE_YOUNG 0x400
#define MIGRATE_PIN_PTE_SOFT_DIRTY 0x800
#define MIGRATE_PIN_PTE_UFFD_WP 0x1000
#define MIGRATE_PIN_PTE_EXCLUSIVE 0x2000
#define MIGRATE_PIN_PTE_KIND 0xff

/* Above the entries. */
#define MIGRATE_PIN_PMD_HOLE 0x0
#define MIGRATE_PIN_PMD_HUGE 0x1
#define MIGRATE_PIN_PMD_TABLE 0x2

/* A huge pmd under its lock. */
#define MIGRATE_PIN_HUGE_CHANGED 0x0
#define MIGRATE_PIN_HUGE_ZERO 0x1
#define MIGRATE_PIN_HUGE_PAGE 0x2

/* What became of an entry of an exclusive page. */
#define MIGRATE_PIN_UNMAPPED_NOT 0x0
#define MIGRATE_PIN_UNMAPPED_PRESENT 0x1
#define MIGRATE_PIN_UNMAPPED_DEVICE 0x2

/* What a page belongs to. */
#define MIGRATE_PIN_MAPPING_NONE 0x0
#define MIGRATE_PIN_MAPPING_ANON 0x1
#define MIGRATE_PIN_MAPPING_SWAPCACHE 0x2
#define MIGRATE_PIN_MAPPING_FILE 0x3

/* An area. */
#define MIGRATE_PIN_VMA_ANONYMOUS 0x1
#define MIGRATE_PIN_VMA_HUGETLB 0x2
#define MIGRATE_PIN_VMA_SPECIAL 0x4
#define MIGRATE_PIN_VMA_DAX 0x8
#define MIGRATE_PIN_VMA_WRITE 0x10

/* Flags of words that are new. */
#define MIGRATE_PIN_PFN_PIN 0x10
#define MIGRATE_PIN_PFN_UNPIN 0x10

/* What migrate_pin_grant() says. */
#define MIGRATE_PIN_GRANT_DONE 0x0
#define MIGRATE_PIN_GRANT_NOT_PINNED 0x1
#define MIGRATE_PIN_GRANT_RETRY 0x2
#define MIGRATE_PIN_GRANT_NO_MEMORY 0x3

/* What migrate_pin_fault() says. */
#define MIGRATE_PIN_FAULT_DONE 0x0
#define MIGRATE_PIN_FAULT_GONE 0x1
#define MIGRATE_PIN_FAULT_RETRY 0x2
#define MIGRATE_PIN_FAULT_NO_MEMORY 0x3

/* Counters. */
#define MIGRATE_PIN_COUNT_CORE_SETUP 0x0
#define MIGRATE_PIN_COUNT_CORE_PAGES 0x1
#define MIGRATE_PIN_COUNT_CORE_FINALIZE 0x2
#define MIGRATE_PIN_COUNT_CORE_RANGE 0x3
#define MIGRATE_PIN_COUNT_CORE_UNMAP 0x4
#define MIGRATE_PIN_COUNT_CORE_DEVICE_PAGES 0x5
#define MIGRATE_PIN_COUNT_CORE_DEVICE_FINALIZE 0x6
#define MIGRATE_PIN_COUNT_REFUSED 0x7
#define MIGRATE_PIN_COUNT_STOCK_SETUP 0x8
#define MIGRATE_PIN_COUNT_STOCK_PAGES 0x9
#define MIGRATE_PIN_COUNT_STOCK_FINALIZE 0xa
#define MIGRATE_PIN_COUNT_STOCK_RANGE 0xb
#define MIGRATE_PIN_COUNT_STOCK_UNMAP 0xc
#define MIGRATE_PIN_COUNT_STOCK_DEVICE_PAGES 0xd
#define MIGRATE_PIN_COUNT_STOCK_DEVICE_FINALIZE 0xe
#define MIGRATE_PIN_COUNTERS 0xf

struct migrate_pin_cursor {
	pte_t *pte;
	spinlock_t *ptl;
	unsigned long addr;
	pte_t raw;
};

static_assert(sizeof(struct migrate_pin_cursor) == 32);
static_assert(offsetof(struct migrate_pin_cursor, pte) == 0);
static_assert(offsetof(struct migrate_pin_cursor, ptl) == 8);
static_assert(offsetof(struct migrate_pin_cursor, addr) == 16);
static_assert(offsetof(struct migrate_pin_cursor, raw) == 24);

struct migrate_pin_map {
	struct page *base;
	unsigned long zone_mask;
	unsigned long zone_device;
	unsigned long pgmap_type;
	unsigned long pgmap_owner;
};

static_assert(sizeof(struct migrate_pin_map) == 40);
static_assert(offsetof(struct migrate_pin_map, base) == 0);
static_assert(offsetof(struct migrate_pin_map, zone_mask) == 8);
static_assert(offsetof(struct migrate_pin_map, zone_device) == 16);
static_assert(offsetof(struct migrate_pin_map, pgmap_type) == 24);
static_assert(offsetof(struct migrate_pin_map, pgmap_owner) == 32);

struct migrate_pin_area {
	unsigned long start;
	unsigned long end;
	unsigned long flags;
};

static_assert(sizeof(struct migrate_pin_area) == 24);
static_assert(offsetof(struct migrate_pin_area, start) == 0);
static_assert(offsetof(struct migrate_pin_area, end) == 8);
static_assert(offsetof(struct migrate_pin_area, flags) == 16);

struct migrate_pin_pair {
	unsigned long what;
	unsigned long word;
};

static_assert(sizeof(struct migrate_pin_pair) == 16);
static_assert(offsetof(struct migrate_pin_pair, what) == 0);
static_assert(offsetof(struct migrate_pin_pair, word) == 8);

struct migrate_pin_record {
	unsigned long present;
	unsigned long owner;
	unsigned long device;
};

static_assert(sizeof(struct migrate_pin_record) == 24);
static_assert(offsetof(struct migrate_pin_record, present) == 0);
static_assert(offsetof(struct migrate_pin_record, owner) == 8);
static_assert(offsetof(struct migrate_pin_record, device) == 16);

struct migrate_pin_revoked {
	unsigned long page;
	unsigned long dirty;
};

static_assert(sizeof(struct migrate_pin_revoked) == 16);
static_assert(offsetof(struct migrate_pin_revoked, page) == 0);
static_assert(offsetof(struct migrate_pin_revoked, dirty) == 8);

struct migrate_pin_vma {
	struct vm_area_struct *vma;
	unsigned long *src;
	unsigned long *dst;
	unsigned long npages;
	unsigned long start;
	unsigned long end;
	unsigned long owner;
	unsigned long fault_page;
	unsigned int select;
	unsigned int stage;
	unsigned long cpages;
	unsigned int rules;
	unsigned int unused;
	unsigned long checksum;
};

static_assert(sizeof(struct migrate_pin_vma) == 96);
static_assert(offsetof(struct migrate_pin_vma, vma) == 0);
static_assert(offsetof(struct migrate_pin_vma, src) == 8);
static_assert(offsetof(struct migrate_pin_vma, dst) == 16);
static_assert(offsetof(struct migrate_pin_vma, npages) == 24);
static_assert(offsetof(struct migrate_pin_vma, start) == 32);
static_assert(offsetof(struct migrate_pin_vma, end) == 40);
static_assert(offsetof(struct migrate_pin_vma, owner) == 48);
static_assert(offsetof(struct migrate_pin_vma, fault_page) == 56);
static_assert(offsetof(struct migrate_pin_vma, select) == 64);
static_assert(offsetof(struct migrate_pin_vma, stage) == 68);
static_assert(offsetof(struct migrate_pin_vma, cpages) == 72);
static_assert(offsetof(struct migrate_pin_vma, rules) == 80);
static_assert(offsetof(struct migrate_pin_vma, unused) == 84);
static_assert(offsetof(struct migrate_pin_vma, checksum) == 88);

struct migrate_pin_acquire {
	struct vm_area_struct *vma;
	unsigned long *src;
	unsigned long *dst;
	unsigned long npages;
	unsigned long start;
	unsigned long end;
	unsigned long write;
	unsigned long granted;
	unsigned long left;
};

static_assert(sizeof(struct migrate_pin_acquire) == 72);
static_assert(offsetof(struct migrate_pin_acquire, vma) == 0);
static_assert(offsetof(struct migrate_pin_acquire, src) == 8);
static_assert(offsetof(struct migrate_pin_acquire, dst) == 16);
static_assert(offsetof(struct migrate_pin_acquire, npages) == 24);
static_assert(offsetof(struct migrate_pin_acquire, start) == 32);
static_assert(offsetof(struct migrate_pin_acquire, end) == 40);
static_assert(offsetof(struct migrate_pin_acquire, write) == 48);
static_assert(offsetof(struct migrate_pin_acquire, granted) == 56);
static_assert(offsetof(struct migrate_pin_acquire, left) == 64);

struct migrate_pin_device;

struct migrate_pin_device_ops {
	/*
	 * A free page: locked, with one reference. Its pfn, 0 if there is
	 * none left.
	 */
	unsigned long (*alloc_device_page)(struct migrate_pin_device *device);
	/*
	 * A locked system page with one reference and the contents of a
	 * device page that stands for no pin; 0 if there is no memory. May
	 * sleep.
	 */
	unsigned long (*copy_to_system)(struct migrate_pin_device *device,
		unsigned long page);
	/* Keep in mind that a device page stands for an original. */
	void (*remember)(struct migrate_pin_device *device,
		unsigned long page,
		unsigned long original);
	/* Which page a device page stands for, 0 for none. Does not sleep. */
	unsigned long (*original)(struct migrate_pin_device *device,
		unsigned long page);
	/* Forget the pair of a device page. Does not sleep. */
	void (*forget)(struct migrate_pin_device *device,
		unsigned long page);
	/* mmu_interval_read_begin(). May sleep. */
	unsigned long (*read_begin)(struct migrate_pin_device *device);
	/* mmu_interval_read_retry(), under lock. */
	bool (*read_retry)(struct migrate_pin_device *device,
		unsigned long seq);
	/* mmu_interval_set_seq(), under lock. */
	void (*set_seq)(struct migrate_pin_device *device,
		unsigned long seq);
	/* Take the lock of the device's page table, a spin lock. */
	void (*lock)(struct migrate_pin_device *device);
	/* Drop it. */
	void (*unlock)(struct migrate_pin_device *device);
	/*
	 * Map a page for atomic access, under lock; widen the access if it
	 * is mapped. False if there is no memory for it.
	 */
	bool (*map)(struct migrate_pin_device *device,
		unsigned long addr,
		unsigned long page,
		bool write);
	/* Take away the device's mapping of a page, under lock. */
	struct migrate_pin_revoked (*unmap_page)(struct migrate_pin_device *device,
		unsigned long page);
	/* Take away one mapping in a range, under lock. */
	struct migrate_pin_revoked (*unmap_next)(struct migrate_pin_device *device,
		unsigned long start,
		unsigned long end);
};

static_assert(sizeof(struct migrate_pin_device_ops) == 104);
static_assert(offsetof(struct migrate_pin_device_ops, alloc_device_page) == 0);
static_assert(offsetof(struct migrate_pin_device_ops, copy_to_system) == 8);
static_assert(offsetof(struct migrate_pin_device_ops, remember) == 16);
static_assert(offsetof(struct migrate_pin_device_ops, original) == 24);
static_assert(offsetof(struct migrate_pin_device_ops, forget) == 32);
static_assert(offsetof(struct migrate_pin_device_ops, read_begin) == 40);
static_assert(offsetof(struct migrate_pin_device_ops, read_retry) == 48);
static_assert(offsetof(struct migrate_pin_device_ops, set_seq) == 56);
static_assert(offsetof(struct migrate_pin_device_ops, lock) == 64);
static_assert(offsetof(struct migrate_pin_device_ops, unlock) == 72);
static_assert(offsetof(struct migrate_pin_device_ops, map) == 80);
static_assert(offsetof(struct migrate_pin_device_ops, unmap_page) == 88);
static_assert(offsetof(struct migrate_pin_device_ops, unmap_next) == 96);

struct migrate_pin_device {
	const struct migrate_pin_device_ops *ops;
	unsigned long owner;
};

static_assert(sizeof(struct migrate_pin_device) == 16);
static_assert(offsetof(struct migrate_pin_device, ops) == 0);
static_assert(offsetof(struct migrate_pin_device, owner) == 8);

/* For drivers in Rust. */

struct migrate_pin_memory_ops {
	/* A page is free. */
	void (*page_free)(void *context,
		unsigned long pfn);
	/* A CPU touched a page. VM_FAULT_*. */
	unsigned int (*migrate_to_ram)(void *context,
		struct vm_area_struct *vma,
		unsigned long addr,
		unsigned long pfn);
};

static_assert(sizeof(struct migrate_pin_memory_ops) == 16);
static_assert(offsetof(struct migrate_pin_memory_ops, page_free) == 0);
static_assert(offsetof(struct migrate_pin_memory_ops, migrate_to_ram) == 8);

struct migrate_pin_mirror_ops {
	/* The device is to lose a range. */
	void (*invalidate)(void *context,
		unsigned long start,
		unsigned long end,
		unsigned int event,
		unsigned long owner,
		unsigned long seq);
};

static_assert(sizeof(struct migrate_pin_mirror_ops) == 8);
static_assert(offsetof(struct migrate_pin_mirror_ops, invalidate) == 0);

struct migrate_pin_char_ops {
	/* Makes what is opened, which begins with a pointer to this table. */
	int (*open)(void *context,
		void **file);
	/* The file is closed, which is given. */
	void (*release)(void *context);
	/* A command to the file, which is given. */
	long (*ioctl)(void *context,
		unsigned int command,
		unsigned long arg);
};

static_assert(sizeof(struct migrate_pin_char_ops) == 24);
static_assert(offsetof(struct migrate_pin_char_ops, open) == 0);
static_assert(offsetof(struct migrate_pin_char_ops, release) == 8);
static_assert(offsetof(struct migrate_pin_char_ops, ioctl) == 16);

struct migrate_pin_memory;
struct migrate_pin_mirror;
struct xarray;

/* What Rust takes the kernel's constants and structures to be. */

static_assert(PAGE_SHIFT == 0xc);
static_assert(MIGRATE_PFN_SHIFT == 0x6);
static_assert(MIGRATE_PFN_VALID == 0x1);
static_assert(MIGRATE_PFN_MIGRATE == 0x2);
static_assert(MIGRATE_PFN_WRITE == 0x8);
static_assert(GUP_PIN_COUNTING_BIAS == 0x400);
static_assert(MIGRATE_VMA_SELECT_SYSTEM == 0x1);
static_assert(MIGRATE_VMA_SELECT_DEVICE_PRIVATE == 0x2);
static_assert(MIGRATE_VMA_SELECT_DEVICE_COHERENT == 0x4);
static_assert(MMU_NOTIFY_UNMAP == 0x0);
static_assert(MMU_NOTIFY_CLEAR == 0x1);
static_assert(MMU_NOTIFY_PROTECTION_VMA == 0x2);
static_assert(MMU_NOTIFY_PROTECTION_PAGE == 0x3);
static_assert(MMU_NOTIFY_MIGRATE == 0x6);
static_assert(EINVAL == 0x16);
static_assert(EBUSY == 0x10);
static_assert(EPERM == 0x1);
static_assert(ESTALE == 0x74);
static_assert(VM_WRITE == 0x2);
static_assert(VM_HUGETLB == 0x400000);
static_assert(VM_SPECIAL == 0x10044400);
static_assert(BIT(PG_locked) == 0x1);
static_assert(BIT(PG_lru) == 0x20);
static_assert(BIT(PG_head) == 0x40);
static_assert(BIT(PG_swapcache) == 0x400);
static_assert(BIT(PG_anon_exclusive) == 0x800);
static_assert(BIT(PG_private) == 0x4000);
static_assert(BIT(PG_private_2) == 0x8000);
static_assert(BIT(PG_reclaim) == 0x10000);
static_assert(BIT(PG_swapbacked) == 0x20000);
static_assert(PAGE_MAPPING_FLAGS == 0x3);
static_assert(PAGE_MAPPING_ANON == 0x1);
static_assert((unsigned int)(PGTY_mapcount_underflow << 24) == 0xff000000);
static_assert(MEMORY_DEVICE_PRIVATE == 0x1);
static_assert(MEMORY_DEVICE_COHERENT == 0x2);
static_assert(PFN_SUBSECTION_SHIFT == 0x9);
static_assert(sizeof(unsigned long) == 0x8);
static_assert(sizeof(pte_t) == 0x8);
static_assert(sizeof(atomic_long_t) == 0x8);
static_assert(offsetof(struct page, pgmap) == 0x8);
static_assert(offsetof(struct folio, page) == 0x0);
static_assert(ENOENT == 0x2);
static_assert(EINTR == 0x4);
static_assert(EIO == 0x5);
static_assert(ENOMEM == 0xc);
static_assert(EFAULT == 0xe);
static_assert(ENOTTY == 0x19);
static_assert(EOPNOTSUPP == 0x5f);
static_assert((__force unsigned int)VM_FAULT_OOM == 0x1);
static_assert((__force unsigned int)VM_FAULT_SIGBUS == 0x2);
static_assert(sizeof(struct migrate_vma) == 80);
static_assert(offsetof(struct migrate_vma, vma) == 0);
static_assert(offsetof(struct migrate_vma, dst) == 8);
static_assert(offsetof(struct migrate_vma, src) == 16);
static_assert(offsetof(struct migrate_vma, cpages) == 24);
static_assert(offsetof(struct migrate_vma, npages) == 32);
static_assert(offsetof(struct migrate_vma, start) == 40);
static_assert(offsetof(struct migrate_vma, end) == 48);
static_assert(offsetof(struct migrate_vma, pgmap_owner) == 56);
static_assert(offsetof(struct migrate_vma, flags) == 64);
static_assert(offsetof(struct migrate_vma, fault_page) == 72);
static_assert(offsetof(struct vm_area_struct, vm_start) == 0);
static_assert(offsetof(struct vm_area_struct, vm_end) == 8);
static_assert(offsetof(struct vm_area_struct, vm_flags) == 32);
static_assert(offsetof(struct vm_area_struct, vm_ops) == 112);
static_assert(offsetof(struct vm_area_struct, vm_file) == 128);
static_assert(sizeof(struct page) == 64);
static_assert(offsetof(struct page, flags) == 0);
static_assert(offsetof(struct page, compound_head) == 8);
static_assert(offsetof(struct page, mapping) == 24);
static_assert(offsetof(struct page, _mapcount) == 48);
static_assert(offsetof(struct page, _refcount) == 52);

/* Defined in glue.c, called from Rust. */

/* One more on a counter. */
void migrate_pin_glue_count(unsigned long counter);
/* Say once that a driver's words were refused. */
void migrate_pin_glue_warn_refused(unsigned long index, unsigned long word,
		int error);
struct migrate_pin_area migrate_pin_glue_vma_facts(struct vm_area_struct *vma);
bool migrate_pin_glue_address_space_stable(struct vm_area_struct *vma);
bool migrate_pin_glue_userfaultfd_missing(struct vm_area_struct *vma);
bool migrate_pin_glue_anon_vma_prepare(struct vm_area_struct *vma);
void migrate_pin_glue_notify_start(struct vm_area_struct *vma,
		unsigned long start, unsigned long end, unsigned int event,
		unsigned long owner);
void migrate_pin_glue_notify_end(struct vm_area_struct *vma,
		unsigned long start, unsigned long end, unsigned int event,
		unsigned long owner);
struct migrate_pin_pair migrate_pin_glue_pmd_span(struct vm_area_struct *vma,
		unsigned long addr, unsigned long end);
/* `pmd_span()`, and `pte_lock()` where there is a table; null in `cursor` if no lock was taken. */
struct migrate_pin_pair migrate_pin_glue_pte_lock_span(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long end);
struct migrate_pin_pair migrate_pin_glue_pmd_lock_huge(struct vm_area_struct *vma,
		unsigned long addr);
void migrate_pin_glue_pmd_unlock(struct vm_area_struct *vma,
		unsigned long addr);
void migrate_pin_glue_split_huge_pmd(struct vm_area_struct *vma,
		unsigned long addr);
bool migrate_pin_glue_split_huge_page(unsigned long pfn);
bool migrate_pin_glue_pte_alloc(struct vm_area_struct *vma, unsigned long addr);
bool migrate_pin_glue_pte_lock(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr);
void migrate_pin_glue_pte_unlock(struct migrate_pin_cursor *cursor);
struct migrate_pin_pair migrate_pin_glue_pte_get(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr);
struct migrate_pin_pair migrate_pin_glue_pte_get_and_clear(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr);
struct migrate_pin_pair migrate_pin_glue_pte_clear_flush(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr);
void migrate_pin_glue_pte_set(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		struct migrate_pin_pair pte);
/* Set the entry that was cleared last again, as it was. */
void migrate_pin_glue_pte_restore(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr);
void migrate_pin_glue_flush_tlb_range(struct vm_area_struct *vma,
		unsigned long start, unsigned long end);
void migrate_pin_glue_flush_tlb_all(void);
bool migrate_pin_glue_anon_exclusive(unsigned long pfn);
bool migrate_pin_glue_share_anon_rmap(unsigned long pfn);
void migrate_pin_glue_add_new_anon_rmap(unsigned long pfn,
		struct vm_area_struct *vma, unsigned long addr);
void migrate_pin_glue_remove_rmap(unsigned long pfn,
		struct vm_area_struct *vma);
void migrate_pin_glue_try_to_migrate(unsigned long pfn);
void migrate_pin_glue_remove_migration_ptes(unsigned long old,
		unsigned long new);
void migrate_pin_glue_restore_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long new);
/* The entry that maps an exclusive page becomes a migration entry; what it was. */
unsigned long migrate_pin_glue_unmap_exclusive_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long pfn);
/* restore_pte(), if the entry there is the only one of old. */
bool migrate_pin_glue_restore_exclusive_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long old, unsigned long new);
unsigned long migrate_pin_glue_page_to_pfn(struct page *page);
bool migrate_pin_glue_page_exists(unsigned long pfn);
unsigned long migrate_pin_glue_page_mapping(unsigned long pfn);
bool migrate_pin_glue_page_has_private(unsigned long pfn);
unsigned int migrate_pin_glue_page_count(unsigned long pfn);
unsigned int migrate_pin_glue_page_mapcount(unsigned long pfn);
bool migrate_pin_glue_page_lru(unsigned long pfn);
bool migrate_pin_glue_page_locked(unsigned long pfn);
bool migrate_pin_glue_trylock_page(unsigned long pfn);
void migrate_pin_glue_unlock_page(unsigned long pfn);
void migrate_pin_glue_get_page(unsigned long pfn);
bool migrate_pin_glue_get_page_unless_zero(unsigned long pfn);
void migrate_pin_glue_put_page(unsigned long pfn);
/* What comes after the last reference. */
void migrate_pin_glue_put_last(unsigned long pfn);
void migrate_pin_glue_page_ref_add(unsigned long pfn, unsigned int count);
void migrate_pin_glue_page_ref_sub(unsigned long pfn, unsigned int count);
bool migrate_pin_glue_page_ref_freeze(unsigned long pfn, unsigned int expected);
void migrate_pin_glue_page_ref_unfreeze(unsigned long pfn, unsigned int count);
void migrate_pin_glue_lru_add_drain(void);
void migrate_pin_glue_lru_add_drain_all(void);
bool migrate_pin_glue_isolate_lru_page(unsigned long pfn);
void migrate_pin_glue_putback_lru_page(unsigned long pfn);
void migrate_pin_glue_lru_cache_add(unsigned long pfn);
/* The same for a page that is new in an area, which may be locked in memory. */
void migrate_pin_glue_lru_cache_add_vma(unsigned long pfn,
		struct vm_area_struct *vma);
bool migrate_pin_glue_mem_cgroup_charge(unsigned long pfn,
		struct vm_area_struct *vma);
void migrate_pin_glue_mark_uptodate(unsigned long pfn);
void migrate_pin_glue_set_page_dirty(unsigned long pfn);
bool migrate_pin_glue_free_swap_cache(unsigned long pfn);
void migrate_pin_glue_cache_lock(unsigned long pfn);
void migrate_pin_glue_cache_unlock(unsigned long pfn);
bool migrate_pin_glue_cache_holds(unsigned long pfn);
void migrate_pin_glue_cache_replace(unsigned long old, unsigned long new);
void migrate_pin_glue_copy_mapping(unsigned long new, unsigned long old);
void migrate_pin_glue_copy_page(unsigned long new, unsigned long old);
void migrate_pin_glue_migrate_states(unsigned long new, unsigned long old);
bool migrate_pin_glue_claim_destination(unsigned long pfn);
void migrate_pin_glue_unclaim_destination(unsigned long pfn);
bool migrate_pin_glue_pin_insert(unsigned long pfn, unsigned long owner);
void migrate_pin_glue_pin_pair(unsigned long pfn, unsigned long device);
struct migrate_pin_record migrate_pin_glue_pin_record(unsigned long pfn);
void migrate_pin_glue_pin_remove(unsigned long pfn);

/* Defined in driver_glue.c, called from Rust. */

void *migrate_pin_driver_alloc(unsigned long bytes);
void migrate_pin_driver_free(void *memory);
void *migrate_pin_driver_alloc_array(unsigned long n, unsigned long bytes);
void migrate_pin_driver_free_array(void *memory);
/* A page of zeroes; 0 if there is none. */
unsigned long migrate_pin_driver_alloc_page(bool movable);
void *migrate_pin_driver_page_address(unsigned long pfn);
bool migrate_pin_driver_page_dirty(unsigned long pfn);
void migrate_pin_driver_cond_resched(void);
bool migrate_pin_driver_signal_pending(void);
bool migrate_pin_driver_copy_from_user(void *to, unsigned long from,
		unsigned long bytes);
bool migrate_pin_driver_copy_to_user(unsigned long to, const void *from,
		unsigned long bytes);
struct mm_struct *migrate_pin_driver_current_mm(void);
void migrate_pin_driver_mmgrab(struct mm_struct *mm);
void migrate_pin_driver_mmdrop(struct mm_struct *mm);
bool migrate_pin_driver_mmget_not_zero(struct mm_struct *mm);
void migrate_pin_driver_mmput(struct mm_struct *mm);
void migrate_pin_driver_mmap_read_lock(struct mm_struct *mm);
bool migrate_pin_driver_mmap_read_trylock(struct mm_struct *mm);
void migrate_pin_driver_mmap_read_unlock(struct mm_struct *mm);
struct vm_area_struct *migrate_pin_driver_vma_lookup(struct mm_struct *mm,
		unsigned long addr);
struct mm_struct *migrate_pin_driver_vma_mm(struct vm_area_struct *vma);
int migrate_pin_driver_fixup_user_fault(struct mm_struct *mm,
		unsigned long addr, bool write);
struct migrate_pin_memory *migrate_pin_driver_memory_new(const struct migrate_pin_memory_ops *ops,
		void *context);
void migrate_pin_driver_memory_free(struct migrate_pin_memory *memory);
int migrate_pin_driver_memory_register(struct migrate_pin_memory *memory,
		unsigned long pages);
unsigned long migrate_pin_driver_memory_first(struct migrate_pin_memory *memory);
void migrate_pin_driver_memory_lock(struct migrate_pin_memory *memory);
void migrate_pin_driver_memory_unlock(struct migrate_pin_memory *memory);
void migrate_pin_driver_device_page_init(unsigned long pfn);
struct migrate_pin_mirror *migrate_pin_driver_mirror_new(void);
void migrate_pin_driver_mirror_free(struct migrate_pin_mirror *mirror);
int migrate_pin_driver_mirror_insert(struct migrate_pin_mirror *mirror,
		struct mm_struct *mm, const struct migrate_pin_mirror_ops *ops,
		void *context);
void migrate_pin_driver_mirror_remove(struct migrate_pin_mirror *mirror);
unsigned long migrate_pin_driver_mirror_read_begin(struct migrate_pin_mirror *mirror);
bool migrate_pin_driver_mirror_read_retry(struct migrate_pin_mirror *mirror,
		unsigned long seq);
void migrate_pin_driver_mirror_set_seq(struct migrate_pin_mirror *mirror,
		unsigned long seq);
void migrate_pin_driver_mirror_lock(struct migrate_pin_mirror *mirror);
void migrate_pin_driver_mirror_unlock(struct migrate_pin_mirror *mirror);
struct xarray *migrate_pin_driver_mirror_table(struct migrate_pin_mirror *mirror);
struct xarray *migrate_pin_driver_mirror_reverse(struct migrate_pin_mirror *mirror);
unsigned long migrate_pin_driver_xa_load(struct xarray *xa,
		unsigned long index);
bool migrate_pin_driver_xa_store(struct xarray *xa, unsigned long index,
		unsigned long word);
unsigned long migrate_pin_driver_xa_erase(struct xarray *xa,
		unsigned long index);
/* The first entry at index or behind it, up to last: what it holds, and where it is. */
struct migrate_pin_pair migrate_pin_driver_xa_find(struct xarray *xa,
		unsigned long index, unsigned long last);
int migrate_pin_driver_char_register(const char *name,
		const struct migrate_pin_char_ops *ops, void *context);

/* Defined in Rust: the kernel's own calls on core. */

/*
 * `migrate_vma_setup()` on core.
 *
 * The caller holds `mmap_lock` for reading. May sleep. 0 or -EINVAL.
 */
int migrate_pin_stock_setup(struct migrate_vma *args);
/*
 * `migrate_vma_pages()` on core.
 *
 * The caller holds `mmap_lock` for reading. May sleep.
 */
void migrate_pin_stock_pages(struct migrate_vma *args);
/*
 * `migrate_vma_finalize()` on core.
 *
 * The caller holds `mmap_lock` for reading. May sleep.
 */
void migrate_pin_stock_finalize(struct migrate_vma *args);
/* `migrate_device_range()` on core. May sleep. */
void migrate_pin_stock_range(unsigned long *src, unsigned long start,
		unsigned long npages);
/*
 * `migrate_device_unmap()` on core: the caller has locked the pages and
 * holds a reference on each; how many migrate. May sleep.
 */
unsigned long migrate_pin_stock_unmap(unsigned long *src, unsigned long npages);
/* `migrate_device_pages()` on core. May sleep. */
void migrate_pin_stock_device_pages(unsigned long *src, unsigned long *dst,
		unsigned long npages);
/* `migrate_device_finalize()` on core. May sleep. */
void migrate_pin_stock_device_finalize(unsigned long *src, unsigned long *dst,
		unsigned long npages);

/* Defined in Rust: for drivers. */

/*
 * Collect and unmap the pages of a range, and pin those whose source word
 * is MIGRATE_PFN_PIN. A source word is that or 0; what stands in dst is of
 * no meaning. On return words with MIGRATE are locked and unmapped.
 *
 * mmap_lock is held for reading, until migrate_pin_vma_finalize(). May
 * sleep. 0, or -EINVAL: nothing was changed.
 */
int migrate_pin_vma_setup(struct migrate_pin_vma *args);
/*
 * Hand over to the destinations: each a page that the driver has locked and
 * holds a reference on, or with MIGRATE_PFN_UNPIN the original of a pin. Entries
 * that could not be handed over lose MIGRATE.
 *
 * mmap_lock is held for reading. May sleep. 0; -EINVAL, -EPERM or -EBUSY for
 * a destination that can't be one, -ESTALE if other words were changed:
 * mend the words and call again, or call migrate_pin_vma_finalize(), which
 * puts everything back; the destinations are the driver's still.
 */
int migrate_pin_vma_pages(struct migrate_pin_vma *args);
/*
 * Map the destinations, or the sources where nothing moved, and give back
 * every lock and reference. Instead of migrate_pin_vma_pages() it puts
 * everything back.
 *
 * mmap_lock is held for reading. May sleep. 0, -EINVAL out of turn, -ESTALE
 * if words were changed: nothing was done then.
 */
int migrate_pin_vma_finalize(struct migrate_pin_vma *args);
/*
 * Unmap and pin the pages of a range and map them for the device; those
 * that can't be had (not present, in use for DMA, of a file, ...) are left.
 *
 * mmap_lock is held for reading, no other lock. May sleep. 0, with granted
 * and left filled in, or the errno of migrate_pin_vma_setup() or _pages().
 */
int migrate_pin_acquire(struct migrate_pin_device *handle,
		struct migrate_pin_acquire *args);
/*
 * Map a page again that is pinned for the device, after an invalidation
 * that left it pinned. One of MIGRATE_PIN_GRANT_*.
 *
 * mmap_lock is held for reading, no other lock. May sleep.
 */
unsigned long migrate_pin_grant(struct migrate_pin_device *handle,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long write);
/*
 * For migrate_to_ram: take the page at addr away from the device and give
 * it back to the CPU. One of MIGRATE_PIN_FAULT_*, or a negative errno
 * (the driver answers VM_FAULT_SIGBUS).
 *
 * mmap_lock is held for reading, and a reference on page, whose pfn is
 * given. May sleep.
 */
int migrate_pin_fault(struct migrate_pin_device *handle,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long page);
/*
 * Give the pages of a range that are pinned for the device back to the CPU.
 * The number of pages that could not be given back (try those again), or a
 * negative errno.
 *
 * mmap_lock is held for reading, no other lock. May sleep.
 */
int migrate_pin_revoke(struct migrate_pin_device *handle,
		struct vm_area_struct *vma, unsigned long start,
		unsigned long end);
/*
 * The interval notifier's callback: the device has lost the range when
 * this returns, unless it is the driver's own migration. The number of
 * device mappings that went. Does not sleep.
 */
unsigned long migrate_pin_invalidate(struct migrate_pin_device *handle,
		unsigned long start, unsigned long end, unsigned int event,
		unsigned long owner, unsigned long seq);
/*
 * For page_free of a device page: give the original back, if it stands for
 * one. True if it did. Does not sleep.
 */
bool migrate_pin_release(struct migrate_pin_device *handle, unsigned long page);

#endif /* _MM_MIGRATE_PIN_ABI_H */
