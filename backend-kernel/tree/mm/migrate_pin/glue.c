// SPDX-License-Identifier: GPL-2.0-only
/*
 * The primitives that core runs on: one function each, without decisions.
 *
 * What each is for, and what is held when it is called, is written in the
 * trait MmOps of migrate-pin-core. Pages are named by their pfn.
 */
#include <linux/backing-dev.h>
#include <linux/hugetlb.h>
#include <linux/huge_mm.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmu_notifier.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>
#include <linux/xarray.h>
#include <asm/tlbflush.h>
#include <trace/events/migrate.h>
#include "../internal.h"
#include "../swap.h"
#include "hook.h"

static struct migrate_pin_pair pair(unsigned long what, unsigned long word)
{
	return (struct migrate_pin_pair){ .what = what, .word = word };
}

/* The address space. */

struct migrate_pin_area migrate_pin_glue_vma_facts(struct vm_area_struct *vma)
{
	struct migrate_pin_area area = {
		.start = vma->vm_start,
		.end = vma->vm_end,
	};

	area.flags |= vma_is_anonymous(vma) ? MIGRATE_PIN_VMA_ANONYMOUS : 0;
	area.flags |= is_vm_hugetlb_page(vma) ? MIGRATE_PIN_VMA_HUGETLB : 0;
	area.flags |= vma->vm_flags & VM_SPECIAL ? MIGRATE_PIN_VMA_SPECIAL : 0;
	area.flags |= vma_is_dax(vma) ? MIGRATE_PIN_VMA_DAX : 0;
	area.flags |= vma->vm_flags & VM_WRITE ? MIGRATE_PIN_VMA_WRITE : 0;
	return area;
}

bool migrate_pin_glue_address_space_stable(struct vm_area_struct *vma)
{
	return !check_stable_address_space(vma->vm_mm);
}

bool migrate_pin_glue_userfaultfd_missing(struct vm_area_struct *vma)
{
	return userfaultfd_missing(vma);
}

bool migrate_pin_glue_anon_vma_prepare(struct vm_area_struct *vma)
{
	return !anon_vma_prepare(vma);
}

void migrate_pin_glue_notify_start(struct vm_area_struct *vma,
		unsigned long start, unsigned long end, unsigned int event,
		unsigned long owner)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init_owner(&range, event, 0, vma->vm_mm, start, end,
				      (void *)owner);
	mmu_notifier_invalidate_range_start(&range);
}

void migrate_pin_glue_notify_end(struct vm_area_struct *vma,
		unsigned long start, unsigned long end, unsigned int event,
		unsigned long owner)
{
	struct mmu_notifier_range range;

	/* As it was when the section was opened. */
	mmu_notifier_range_init_owner(&range, event,
				      MMU_NOTIFIER_RANGE_BLOCKABLE, vma->vm_mm,
				      start, end, (void *)owner);
	mmu_notifier_invalidate_range_end(&range);
}

/* Page tables. */

/* The pmd of an address, where there is a table of them. */
static pmd_t *pmd_of(struct vm_area_struct *vma, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(vma->vm_mm, addr);
	p4d_t *p4d = p4d_offset(pgd, addr);
	pud_t *pud = pud_offset(p4d, addr);

	return pmd_offset(pud, addr);
}

static __always_inline struct migrate_pin_pair span_of(struct vm_area_struct *vma,
		unsigned long addr, unsigned long end, pmd_t **pmdp)
{
	pgd_t *pgd = pgd_offset(vma->vm_mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;
	pmd_t pmdval;

	if (pgd_none_or_clear_bad(pgd))
		return pair(MIGRATE_PIN_PMD_HOLE, pgd_addr_end(addr, end));
	p4d = p4d_offset(pgd, addr);
	if (p4d_none_or_clear_bad(p4d))
		return pair(MIGRATE_PIN_PMD_HOLE, p4d_addr_end(addr, end));
	pud = pud_offset(p4d, addr);
	/* A huge one is of a special or DAX area, which setup refused. */
	if (pud_none_or_clear_bad(pud))
		return pair(MIGRATE_PIN_PMD_HOLE, pud_addr_end(addr, end));
	pmd = pmd_offset(pud, addr);
	*pmdp = pmd;
	end = pmd_addr_end(addr, end);
	pmdval = pmdp_get_lockless(pmd);
	if (pmd_none(pmdval))
		return pair(MIGRATE_PIN_PMD_HOLE, end);
	if (pmd_trans_huge(pmdval))
		return pair(MIGRATE_PIN_PMD_HUGE, end);
	/* A migration entry, or a bad one, is for pte_offset_map_lock(). */
	return pair(MIGRATE_PIN_PMD_TABLE, end);
}

struct migrate_pin_pair migrate_pin_glue_pmd_span(struct vm_area_struct *vma,
		unsigned long addr, unsigned long end)
{
	pmd_t *pmd;

	return span_of(vma, addr, end, &pmd);
}

static __always_inline void lock_table(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, pmd_t *pmd, unsigned long addr)
{
	cursor->pte = pte_offset_map_lock(vma->vm_mm, pmd, addr, &cursor->ptl);
	cursor->addr = addr;
	if (cursor->pte)
		arch_enter_lazy_mmu_mode();
}

/* pmd_span(), and pte_lock() where there is a table: cursor->pte tells. */
struct migrate_pin_pair migrate_pin_glue_pte_lock_span(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long end)
{
	pmd_t *pmd;
	struct migrate_pin_pair span = span_of(vma, addr, end, &pmd);

	cursor->pte = NULL;
	if (span.what == MIGRATE_PIN_PMD_TABLE)
		lock_table(cursor, vma, pmd, addr);
	return span;
}

struct migrate_pin_pair migrate_pin_glue_pmd_lock_huge(struct vm_area_struct *vma,
		unsigned long addr)
{
	pmd_t *pmd = pmd_of(vma, addr);

	pmd_lock(vma->vm_mm, pmd);
	if (!pmd_trans_huge(*pmd))
		return pair(MIGRATE_PIN_HUGE_CHANGED, 0);
	if (is_huge_zero_folio(pmd_folio(*pmd)))
		return pair(MIGRATE_PIN_HUGE_ZERO, 0);
	return pair(MIGRATE_PIN_HUGE_PAGE, folio_pfn(pmd_folio(*pmd)));
}

void migrate_pin_glue_pmd_unlock(struct vm_area_struct *vma, unsigned long addr)
{
	spin_unlock(pmd_lockptr(vma->vm_mm, pmd_of(vma, addr)));
}

void migrate_pin_glue_split_huge_pmd(struct vm_area_struct *vma,
		unsigned long addr)
{
	split_huge_pmd(vma, pmd_of(vma, addr), addr);
}

bool migrate_pin_glue_split_huge_page(unsigned long pfn)
{
	return !split_folio(pfn_folio(pfn));
}

bool migrate_pin_glue_pte_alloc(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud = p4d ? pud_alloc(mm, p4d, addr) : NULL;
	pmd_t *pmd = pud ? pmd_alloc(mm, pud, addr) : NULL;

	return pmd && !pte_alloc(mm, pmd);
}

bool migrate_pin_glue_pte_lock(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr)
{
	lock_table(cursor, vma, pmd_of(vma, addr), addr);
	return cursor->pte;
}

void migrate_pin_glue_pte_unlock(struct migrate_pin_cursor *cursor)
{
	arch_leave_lazy_mmu_mode();
	pte_unmap_unlock(cursor->pte, cursor->ptl);
}

static pte_t *pte_at(struct migrate_pin_cursor *cursor, unsigned long addr)
{
	return cursor->pte + ((addr - cursor->addr) >> PAGE_SHIFT);
}

static unsigned long present_bits(pte_t pte)
{
	return (pte_write(pte) ? MIGRATE_PIN_PTE_WRITE : 0) |
	       (pte_dirty(pte) ? MIGRATE_PIN_PTE_DIRTY : 0) |
	       (pte_young(pte) ? MIGRATE_PIN_PTE_YOUNG : 0) |
	       (pte_soft_dirty(pte) ? MIGRATE_PIN_PTE_SOFT_DIRTY : 0) |
	       (pte_uffd_wp(pte) ? MIGRATE_PIN_PTE_UFFD_WP : 0);
}

static unsigned long swap_bits(pte_t pte)
{
	return (pte_swp_soft_dirty(pte) ? MIGRATE_PIN_PTE_SOFT_DIRTY : 0) |
	       (pte_swp_uffd_wp(pte) ? MIGRATE_PIN_PTE_UFFD_WP : 0);
}

static unsigned long migration_bits(swp_entry_t entry)
{
	return (is_writable_migration_entry(entry) ? MIGRATE_PIN_PTE_WRITE : 0) |
	       (is_readable_exclusive_migration_entry(entry) ?
			MIGRATE_PIN_PTE_EXCLUSIVE : 0) |
	       (is_migration_entry_young(entry) ? MIGRATE_PIN_PTE_YOUNG : 0) |
	       (is_migration_entry_dirty(entry) ? MIGRATE_PIN_PTE_DIRTY : 0);
}

/* What an entry is. */
static struct migrate_pin_pair decode(struct vm_area_struct *vma,
		unsigned long addr, pte_t pte)
{
	swp_entry_t entry;

	if (pte_none(pte))
		return pair(MIGRATE_PIN_PTE_NONE, 0);
	if (pte_present(pte)) {
		unsigned long bits = present_bits(pte);

		if (is_zero_pfn(pte_pfn(pte)))
			return pair(MIGRATE_PIN_PTE_ZERO | bits, 0);
		if (!vm_normal_page(vma, addr, pte))
			return pair(MIGRATE_PIN_PTE_SPECIAL | bits, 0);
		return pair(MIGRATE_PIN_PTE_PAGE | bits, pte_pfn(pte));
	}
	entry = pte_to_swp_entry(pte);
	if (is_device_private_entry(entry))
		return pair(MIGRATE_PIN_PTE_DEVICE_PRIVATE | swap_bits(pte) |
			    (is_writable_device_private_entry(entry) ?
				MIGRATE_PIN_PTE_WRITE : 0),
			    swp_offset_pfn(entry));
	if (is_migration_entry(entry))
		return pair(MIGRATE_PIN_PTE_MIGRATION | swap_bits(pte) |
			    migration_bits(entry), swp_offset_pfn(entry));
	return pair(MIGRATE_PIN_PTE_OTHER, 0);
}

/* The same of one that was looked at under the same lock, and maps a page. */
static struct migrate_pin_pair decode_taken(struct vm_area_struct *vma,
		unsigned long addr, pte_t pte)
{
	if (pte_present(pte) && !is_zero_pfn(pte_pfn(pte)))
		return pair(MIGRATE_PIN_PTE_PAGE | present_bits(pte),
			    pte_pfn(pte));
	return decode(vma, addr, pte);
}

struct migrate_pin_pair migrate_pin_glue_pte_get(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr)
{
	return decode(vma, addr, ptep_get(pte_at(cursor, addr)));
}

struct migrate_pin_pair migrate_pin_glue_pte_get_and_clear(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr)
{
	cursor->raw = ptep_get_and_clear(vma->vm_mm, addr,
					 pte_at(cursor, addr));
	return decode_taken(vma, addr, cursor->raw);
}

struct migrate_pin_pair migrate_pin_glue_pte_clear_flush(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr)
{
	cursor->raw = ptep_clear_flush(vma, addr, pte_at(cursor, addr));
	return decode_taken(vma, addr, cursor->raw);
}

static swp_entry_t migration_entry(unsigned long what, unsigned long pfn)
{
	swp_entry_t entry;

	if (what & MIGRATE_PIN_PTE_WRITE)
		entry = make_writable_migration_entry(pfn);
	else if (what & MIGRATE_PIN_PTE_EXCLUSIVE)
		entry = make_readable_exclusive_migration_entry(pfn);
	else
		entry = make_readable_migration_entry(pfn);
	if (what & MIGRATE_PIN_PTE_YOUNG)
		entry = make_migration_entry_young(entry);
	if (what & MIGRATE_PIN_PTE_DIRTY)
		entry = make_migration_entry_dirty(entry);
	return entry;
}

static pte_t swap_pte(unsigned long what, swp_entry_t entry)
{
	pte_t pte = swp_entry_to_pte(entry);

	if (what & MIGRATE_PIN_PTE_SOFT_DIRTY)
		pte = pte_swp_mksoft_dirty(pte);
	if (what & MIGRATE_PIN_PTE_UFFD_WP)
		pte = pte_swp_mkuffd_wp(pte);
	return pte;
}

static pte_t present_pte(struct vm_area_struct *vma, unsigned long what,
		unsigned long pfn)
{
	pte_t pte = mk_pte(pfn_to_page(pfn), vma->vm_page_prot);

	pte = what & MIGRATE_PIN_PTE_YOUNG ? pte_mkyoung(pte) : pte_mkold(pte);
	if (what & MIGRATE_PIN_PTE_DIRTY)
		pte = pte_mkdirty(pte);
	if (what & MIGRATE_PIN_PTE_SOFT_DIRTY)
		pte = pte_mksoft_dirty(pte);
	if (what & MIGRATE_PIN_PTE_WRITE)
		pte = pte_mkwrite(pte, vma);
	if (what & MIGRATE_PIN_PTE_UFFD_WP)
		pte = pte_mkuffd_wp(pte);
	return pte;
}

/* The entry of a description. */
static pte_t encode(struct vm_area_struct *vma, struct migrate_pin_pair pair)
{
	switch (pair.what & MIGRATE_PIN_PTE_KIND) {
	case MIGRATE_PIN_PTE_PAGE:
		return present_pte(vma, pair.what, pair.word);
	case MIGRATE_PIN_PTE_DEVICE_PRIVATE:
		return swap_pte(pair.what, pair.what & MIGRATE_PIN_PTE_WRITE ?
				make_writable_device_private_entry(pair.word) :
				make_readable_device_private_entry(pair.word));
	case MIGRATE_PIN_PTE_MIGRATION:
		return swap_pte(pair.what, migration_entry(pair.what, pair.word));
	default:
		return __pte(0);
	}
}

void migrate_pin_glue_pte_set(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		struct migrate_pin_pair pte)
{
	set_pte_at(vma->vm_mm, addr, pte_at(cursor, addr), encode(vma, pte));
	/* Of no effect for what is not present. */
	update_mmu_cache(vma, addr, pte_at(cursor, addr));
}

void migrate_pin_glue_pte_restore(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr)
{
	set_pte_at(vma->vm_mm, addr, pte_at(cursor, addr), cursor->raw);
}

void migrate_pin_glue_flush_tlb_range(struct vm_area_struct *vma,
		unsigned long start, unsigned long end)
{
	flush_tlb_range(vma, start, end);
}

void migrate_pin_glue_flush_tlb_all(void)
{
	flush_tlb_all();
}

/* Reverse mapping. */

bool migrate_pin_glue_anon_exclusive(unsigned long pfn)
{
	return folio_test_anon(pfn_folio(pfn)) &&
	       PageAnonExclusive(pfn_to_page(pfn));
}

bool migrate_pin_glue_share_anon_rmap(unsigned long pfn)
{
	return !folio_try_share_anon_rmap_pte(pfn_folio(pfn),
					      pfn_to_page(pfn));
}

void migrate_pin_glue_add_new_anon_rmap(unsigned long pfn,
		struct vm_area_struct *vma, unsigned long addr)
{
	inc_mm_counter(vma->vm_mm, MM_ANONPAGES);
	folio_add_new_anon_rmap(pfn_folio(pfn), vma, addr, RMAP_EXCLUSIVE);
}

void migrate_pin_glue_remove_rmap(unsigned long pfn,
		struct vm_area_struct *vma)
{
	folio_remove_rmap_pte(pfn_folio(pfn), pfn_to_page(pfn), vma);
}

void migrate_pin_glue_try_to_migrate(unsigned long pfn)
{
	try_to_migrate(pfn_folio(pfn), 0);
}

void migrate_pin_glue_remove_migration_ptes(unsigned long old,
		unsigned long new)
{
	remove_migration_ptes(pfn_folio(old), pfn_folio(new), 0);
}

/* The mapping of an anonymous page that takes a migration entry's place. */
static pte_t restored_pte(struct vm_area_struct *vma, pte_t old,
		swp_entry_t entry, struct folio *folio)
{
	unsigned long what = swap_bits(old);
	pte_t pte;

	if (folio_is_device_private(folio))
		return swap_pte(what, is_writable_migration_entry(entry) ?
				make_writable_device_private_entry(folio_pfn(folio)) :
				make_readable_device_private_entry(folio_pfn(folio)));
	what |= migration_bits(entry);
	if (!folio_test_dirty(folio))
		what &= ~MIGRATE_PIN_PTE_DIRTY;
	/* What may be written to is not protected by userfaultfd. */
	if (what & MIGRATE_PIN_PTE_WRITE)
		what &= ~MIGRATE_PIN_PTE_UFFD_WP;
	pte = present_pte(vma, what, folio_pfn(folio));
	/* A dirty one is made soft-dirty as well. */
	return what & MIGRATE_PIN_PTE_SOFT_DIRTY ? pte :
						   pte_clear_soft_dirty(pte);
}

/* What stands at an address is an exclusive migration entry: map new there. */
static void restore(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
		pte_t old, swp_entry_t entry, unsigned long new)
{
	struct page *page = pfn_to_page(new);
	struct folio *folio = page_folio(page);
	pte_t pte = restored_pte(vma, old, entry, folio);

	folio_get(folio);
	folio_add_anon_rmap_pte(folio, page, vma, addr, RMAP_EXCLUSIVE);
	set_pte_at(vma->vm_mm, addr, ptep, pte);
	if (vma->vm_flags & VM_LOCKED)
		mlock_drain_local();
	trace_remove_migration_pte(addr, pte_val(pte), 0);
	update_mmu_cache(vma, addr, ptep);
}

void migrate_pin_glue_restore_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long new)
{
	pte_t *ptep = pte_at(cursor, addr);
	pte_t pte = ptep_get(ptep);

	restore(vma, addr, ptep, pte, pte_to_swp_entry(pte), new);
}

bool migrate_pin_glue_restore_exclusive_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long old, unsigned long new)
{
	pte_t *ptep = pte_at(cursor, addr);
	pte_t pte = ptep_get(ptep);
	swp_entry_t entry;

	if (pte_none(pte) || pte_present(pte))
		return false;
	entry = pte_to_swp_entry(pte);
	/* decide_in_place() of finalize.rs. */
	if (!is_migration_entry(entry) || is_readable_migration_entry(entry) ||
	    swp_offset_pfn(entry) != old)
		return false;
	restore(vma, addr, ptep, pte, entry, new);
	return true;
}

/* unmap_exclusive_pte() of ops.rs says what it consists of. */
unsigned long migrate_pin_glue_unmap_exclusive_pte(struct migrate_pin_cursor *cursor,
		struct vm_area_struct *vma, unsigned long addr,
		unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = page_folio(page);
	pte_t *ptep = pte_at(cursor, addr);
	pte_t pte = ptep_clear_flush(vma, addr, ptep);
	bool present = pte_present(pte);
	unsigned long what;

	if (folio_try_share_anon_rmap_pte(folio, page)) {
		set_pte_at(vma->vm_mm, addr, ptep, pte);
		return MIGRATE_PIN_UNMAPPED_NOT;
	}
	if (present) {
		what = present_bits(pte);
		if (what & MIGRATE_PIN_PTE_DIRTY)
			folio_mark_dirty(folio);
	} else {
		what = swap_bits(pte);
		if (is_writable_device_private_entry(pte_to_swp_entry(pte)))
			what |= MIGRATE_PIN_PTE_WRITE;
	}
	what |= MIGRATE_PIN_PTE_EXCLUSIVE;
	set_pte_at(vma->vm_mm, addr, ptep,
		   swap_pte(what, migration_entry(what, pfn)));
	folio_remove_rmap_pte(folio, page, vma);
	folio_put(folio);
	return present ? MIGRATE_PIN_UNMAPPED_PRESENT :
			 MIGRATE_PIN_UNMAPPED_DEVICE;
}

/* Pages: facts. */

atomic_long_t migrate_pin_pinned;
struct migrate_pin_map migrate_pin_memory_map __ro_after_init;

static int __init migrate_pin_map_init(void)
{
	BUILD_BUG_ON(sizeof_field(struct dev_pagemap, type) != sizeof(u32));
	BUILD_BUG_ON(sizeof_field(struct dev_pagemap, owner) != sizeof(u64));
	/* An array without holes in its addresses. */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP));
	migrate_pin_memory_map = (struct migrate_pin_map){
		.base = pfn_to_page(0),
		.zone_mask = ZONES_MASK << ZONES_PGSHIFT,
		.zone_device = (unsigned long)ZONE_DEVICE << ZONES_PGSHIFT,
		.pgmap_type = offsetof(struct dev_pagemap, type),
		.pgmap_owner = offsetof(struct dev_pagemap, owner),
	};
	return 0;
}
pure_initcall(migrate_pin_map_init);

unsigned long migrate_pin_glue_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

/* There is a struct page that was initialised: online, or a device's. */
bool migrate_pin_glue_page_exists(unsigned long pfn)
{
	return pfn_valid(pfn) && (is_zone_device_page(pfn_to_page(pfn)) ||
				  pfn_to_online_page(pfn));
}

unsigned long migrate_pin_glue_page_mapping(unsigned long pfn)
{
	struct folio *folio = pfn_folio(pfn);

	if (!pfn_to_page(pfn)->mapping)
		return MIGRATE_PIN_MAPPING_NONE;
	if (folio_test_swapcache(folio))
		return MIGRATE_PIN_MAPPING_SWAPCACHE;
	if (folio_mapping(folio))
		return MIGRATE_PIN_MAPPING_FILE;
	return MIGRATE_PIN_MAPPING_ANON;
}

bool migrate_pin_glue_page_has_private(unsigned long pfn)
{
	return folio_has_private(pfn_folio(pfn));
}

unsigned int migrate_pin_glue_page_count(unsigned long pfn)
{
	return folio_ref_count(pfn_folio(pfn));
}

unsigned int migrate_pin_glue_page_mapcount(unsigned long pfn)
{
	return folio_mapcount(pfn_folio(pfn));
}

bool migrate_pin_glue_page_lru(unsigned long pfn)
{
	return folio_test_lru(pfn_folio(pfn));
}

bool migrate_pin_glue_page_locked(unsigned long pfn)
{
	return folio_test_locked(pfn_folio(pfn));
}

/* Pages: locks and references. */

bool migrate_pin_glue_trylock_page(unsigned long pfn)
{
	return folio_trylock(pfn_folio(pfn));
}

void migrate_pin_glue_unlock_page(unsigned long pfn)
{
	folio_unlock(pfn_folio(pfn));
}

void migrate_pin_glue_get_page(unsigned long pfn)
{
	folio_get(pfn_folio(pfn));
}

bool migrate_pin_glue_get_page_unless_zero(unsigned long pfn)
{
	return folio_get_nontail_page(pfn_to_page(pfn));
}

void migrate_pin_glue_put_page(unsigned long pfn)
{
	folio_put(pfn_folio(pfn));
}

void migrate_pin_glue_put_last(unsigned long pfn)
{
	__folio_put(page_folio(pfn_to_page(pfn)));
}

void migrate_pin_glue_page_ref_add(unsigned long pfn, unsigned int count)
{
	folio_ref_add(pfn_folio(pfn), count);
}

void migrate_pin_glue_page_ref_sub(unsigned long pfn, unsigned int count)
{
	folio_ref_sub(pfn_folio(pfn), count);
}

bool migrate_pin_glue_page_ref_freeze(unsigned long pfn, unsigned int expected)
{
	return folio_ref_freeze(pfn_folio(pfn), expected);
}

void migrate_pin_glue_page_ref_unfreeze(unsigned long pfn, unsigned int count)
{
	folio_ref_unfreeze(pfn_folio(pfn), count);
}

/* The LRU. */

void migrate_pin_glue_lru_add_drain(void)
{
	lru_add_drain();
}

void migrate_pin_glue_lru_add_drain_all(void)
{
	lru_add_drain_all();
}

bool migrate_pin_glue_isolate_lru_page(unsigned long pfn)
{
	return folio_isolate_lru(pfn_folio(pfn));
}

void migrate_pin_glue_putback_lru_page(unsigned long pfn)
{
	folio_putback_lru(pfn_folio(pfn));
}

void migrate_pin_glue_lru_cache_add(unsigned long pfn)
{
	folio_add_lru(pfn_folio(pfn));
}

void migrate_pin_glue_lru_cache_add_vma(unsigned long pfn,
		struct vm_area_struct *vma)
{
	folio_add_lru_vma(pfn_folio(pfn), vma);
}

/* Contents, state, caches. */

bool migrate_pin_glue_mem_cgroup_charge(unsigned long pfn,
		struct vm_area_struct *vma)
{
	return !mem_cgroup_charge(pfn_folio(pfn), vma->vm_mm, GFP_KERNEL);
}

void migrate_pin_glue_mark_uptodate(unsigned long pfn)
{
	__folio_mark_uptodate(pfn_folio(pfn));
}

void migrate_pin_glue_set_page_dirty(unsigned long pfn)
{
	folio_mark_dirty(pfn_folio(pfn));
}

bool migrate_pin_glue_free_swap_cache(unsigned long pfn)
{
	return folio_free_swap(pfn_folio(pfn));
}

void migrate_pin_glue_cache_lock(unsigned long pfn)
	__acquires(&folio_mapping(pfn_folio(pfn))->i_pages.xa_lock)
{
	xa_lock_irq(&folio_mapping(pfn_folio(pfn))->i_pages);
}

void migrate_pin_glue_cache_unlock(unsigned long pfn)
	__releases(&folio_mapping(pfn_folio(pfn))->i_pages.xa_lock)
{
	xa_unlock_irq(&folio_mapping(pfn_folio(pfn))->i_pages);
}

bool migrate_pin_glue_cache_holds(unsigned long pfn)
{
	struct folio *folio = pfn_folio(pfn);

	return xa_load(&folio_mapping(folio)->i_pages, folio_index(folio)) ==
	       folio;
}

/* One page more of a kind in the zone of new, one less in that of old. */
static void move_stat(struct folio *old, struct folio *new,
		enum node_stat_item item)
{
	struct mem_cgroup *memcg = folio_memcg(old);

	__mod_lruvec_state(mem_cgroup_lruvec(memcg, folio_pgdat(old)), item, -1);
	__mod_lruvec_state(mem_cgroup_lruvec(memcg, folio_pgdat(new)), item, 1);
}

static void move_stats(struct folio *old, struct folio *new, bool dirty)
{
	move_stat(old, new, NR_FILE_PAGES);
	if (folio_test_swapcache(old))
		move_stat(old, new, NR_SWAPCACHE);
	else if (folio_test_swapbacked(old))
		move_stat(old, new, NR_SHMEM);
	if (dirty && mapping_can_writeback(folio_mapping(old))) {
		move_stat(old, new, NR_FILE_DIRTY);
		__mod_zone_page_state(folio_zone(old), NR_ZONE_WRITE_PENDING, -1);
		__mod_zone_page_state(folio_zone(new), NR_ZONE_WRITE_PENDING, 1);
	}
}

void migrate_pin_glue_cache_replace(unsigned long old, unsigned long new)
{
	struct folio *from = pfn_folio(old), *to = pfn_folio(new);
	XA_STATE(xas, &folio_mapping(from)->i_pages, folio_index(from));
	bool dirty = folio_test_clear_dirty(from);

	/* The cache's. */
	folio_ref_inc(to);
	if (folio_test_swapcache(from)) {
		folio_set_swapcache(to);
		to->private = folio_get_private(from);
	}
	if (dirty)
		folio_set_dirty(to);
	xas_store(&xas, to);
	if (folio_zone(from) != folio_zone(to))
		move_stats(from, to, dirty);
}

void migrate_pin_glue_copy_mapping(unsigned long new, unsigned long old)
{
	struct folio *from = pfn_folio(old), *to = pfn_folio(new);

	to->index = from->index;
	to->mapping = from->mapping;
	if (folio_test_swapbacked(from))
		__folio_set_swapbacked(to);
}

void migrate_pin_glue_copy_page(unsigned long new, unsigned long old)
{
	copy_highpage(pfn_to_page(new), pfn_to_page(old));
}

void migrate_pin_glue_migrate_states(unsigned long new, unsigned long old)
{
	folio_migrate_flags(pfn_folio(new), pfn_folio(old));
}

/* What the stock kernel has not. */

/*
 * The mark of a page that stands in a destination word: a flag that is of no
 * use to a page which is neither written back nor read ahead.
 */
bool migrate_pin_glue_claim_destination(unsigned long pfn)
{
	return !test_and_set_bit(PG_reclaim, &pfn_folio(pfn)->flags);
}

void migrate_pin_glue_unclaim_destination(unsigned long pfn)
{
	clear_bit(PG_reclaim, &pfn_folio(pfn)->flags);
}

/* Who pinned a page, by its pfn, and how many of them there are. */
static DEFINE_XARRAY_FLAGS(pins, XA_FLAGS_LOCK_IRQ);

unsigned long migrate_pin_pins(void)
{
	return atomic_long_read(&migrate_pin_pinned);
}

bool migrate_pin_glue_pin_insert(unsigned long pfn, unsigned long owner)
{
	struct migrate_pin_record *record = kmalloc(sizeof(*record), GFP_KERNEL);

	if (!record)
		return false;
	*record = (struct migrate_pin_record){ .present = 1, .owner = owner };
	if (!xa_insert_irq(&pins, pfn, record, GFP_KERNEL)) {
		atomic_long_inc(&migrate_pin_pinned);
		return true;
	}
	kfree(record);
	return false;
}

void migrate_pin_glue_pin_pair(unsigned long pfn, unsigned long device)
{
	struct migrate_pin_record *record;
	unsigned long flags;

	xa_lock_irqsave(&pins, flags);
	record = xa_load(&pins, pfn);
	if (record)
		record->device = device;
	xa_unlock_irqrestore(&pins, flags);
}

struct migrate_pin_record migrate_pin_glue_pin_record(unsigned long pfn)
{
	struct migrate_pin_record *record, found = {};
	unsigned long flags;

	if (xa_empty(&pins))
		return found;
	xa_lock_irqsave(&pins, flags);
	record = xa_load(&pins, pfn);
	if (record)
		found = *record;
	xa_unlock_irqrestore(&pins, flags);
	return found;
}

void migrate_pin_glue_pin_remove(unsigned long pfn)
{
	struct migrate_pin_record *record;
	unsigned long flags;

	xa_lock_irqsave(&pins, flags);
	record = __xa_erase(&pins, pfn);
	xa_unlock_irqrestore(&pins, flags);
	if (record)
		atomic_long_dec(&migrate_pin_pinned);
	kfree(record);
}
