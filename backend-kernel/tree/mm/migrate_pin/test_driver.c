// SPDX-License-Identifier: GPL-2.0
/*
 * A device that pins: it is not there, but has device-private memory, a page
 * table for each process that opens it, and does atomics on what it has pinned.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/kref.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include "hook.h"
#include "test_driver.h"

#define DEVICES 2
#define DEVICE_PAGES 4608UL
#define DEVICE_BYTES ALIGN(DEVICE_PAGES << PAGE_SHIFT, SUBSECTION_SIZE)
#define MAX_PAGES 8192UL

struct mirror;

/* A page of device memory. */
struct dpage {
	/* The pfn that it stands for, 0 for none. */
	unsigned long original;
	/* What it holds if it stands for none. */
	struct page *backing;
	struct mirror *mirror;
	struct dpage *next;
};

struct mdevice {
	struct miscdevice misc;
	char name[16];
	struct dev_pagemap pagemap;
	/* Of free and available. */
	spinlock_t lock;
	struct dpage *free;
	unsigned long available;
	struct dpage *pages;
};

/* One process's memory as a device sees it. */
struct mirror {
	struct migrate_pin_device handle;
	struct mdevice *mdevice;
	struct mm_struct *mm;
	struct mmu_interval_notifier notifier;
	struct kref users;
	/* Of the page table; what the callbacks call lock. */
	spinlock_t lock;
	/* By the number of a virtual page: an entry. */
	struct xarray table;
	/* By pfn: the number of the virtual page. */
	struct xarray reverse;
	atomic_t fails[MIGRATE_PIN_TEST_FAILS];
	atomic_long_t faults;
	atomic_long_t invalidations;
};

static struct mdevice mdevices[DEVICES];

/* An entry: pfn, writable, written. */
#define ENTRY_WRITE 1UL
#define ENTRY_DIRTY 2UL
#define ENTRY_SHIFT 2

static unsigned long entry_pfn(void *entry)
{
	return xa_to_value(entry) >> ENTRY_SHIFT;
}

static struct mirror *mirror_of(struct migrate_pin_device *device)
{
	return container_of(device, struct mirror, handle);
}

static unsigned long first_pfn(struct mdevice *mdevice)
{
	return PHYS_PFN(mdevice->pagemap.range.start);
}

static struct dpage *dpage_of(struct mdevice *mdevice, unsigned long pfn)
{
	return &mdevice->pages[pfn - first_pfn(mdevice)];
}

static void mirror_free(struct kref *users)
{
	struct mirror *mirror = container_of(users, struct mirror, users);

	xa_destroy(&mirror->table);
	xa_destroy(&mirror->reverse);
	kfree(mirror);
}

/* Is this the call that was to fail? */
static bool fails(struct mirror *mirror, int what)
{
	return atomic_dec_if_positive(&mirror->fails[what]) == 0;
}

/* What core calls back for. */

static unsigned long alloc_device_page(struct migrate_pin_device *device)
{
	struct mirror *mirror = mirror_of(device);
	struct mdevice *mdevice = mirror->mdevice;
	struct dpage *dpage;
	unsigned long pfn;

	if (fails(mirror, MIGRATE_PIN_TEST_FAIL_ALLOC))
		return 0;
	spin_lock(&mdevice->lock);
	dpage = mdevice->free;
	if (dpage) {
		mdevice->free = dpage->next;
		mdevice->available--;
	}
	spin_unlock(&mdevice->lock);
	if (!dpage)
		return 0;
	dpage->mirror = mirror;
	kref_get(&mirror->users);
	pfn = first_pfn(mdevice) + (dpage - mdevice->pages);
	zone_device_page_init(pfn_to_page(pfn));
	return pfn;
}

static unsigned long copy_to_system(struct migrate_pin_device *device,
		unsigned long pfn)
{
	struct mirror *mirror = mirror_of(device);
	struct page *page;

	if (fails(mirror, MIGRATE_PIN_TEST_FAIL_COPY))
		return 0;
	page = alloc_page(GFP_HIGHUSER_MOVABLE);
	if (!page)
		return 0;
	lock_page(page);
	copy_highpage(page, dpage_of(mirror->mdevice, pfn)->backing);
	return page_to_pfn(page);
}

static void remember(struct migrate_pin_device *device, unsigned long pfn,
		unsigned long original)
{
	dpage_of(mirror_of(device)->mdevice, pfn)->original = original;
}

static unsigned long original(struct migrate_pin_device *device,
		unsigned long pfn)
{
	return dpage_of(mirror_of(device)->mdevice, pfn)->original;
}

static void forget(struct migrate_pin_device *device, unsigned long pfn)
{
	dpage_of(mirror_of(device)->mdevice, pfn)->original = 0;
}

static unsigned long read_begin(struct migrate_pin_device *device)
{
	return mmu_interval_read_begin(&mirror_of(device)->notifier);
}

static bool read_retry(struct migrate_pin_device *device, unsigned long seq)
{
	return mmu_interval_read_retry(&mirror_of(device)->notifier, seq);
}

static void set_seq(struct migrate_pin_device *device, unsigned long seq)
{
	mmu_interval_set_seq(&mirror_of(device)->notifier, seq);
}

static void lock(struct migrate_pin_device *device)
{
	spin_lock(&mirror_of(device)->lock);
}

static void unlock(struct migrate_pin_device *device)
{
	spin_unlock(&mirror_of(device)->lock);
}

static bool map(struct migrate_pin_device *device, unsigned long addr,
		unsigned long pfn, bool write)
{
	struct mirror *mirror = mirror_of(device);
	unsigned long index = addr >> PAGE_SHIFT, value;
	void *old;

	if (fails(mirror, MIGRATE_PIN_TEST_FAIL_MAP))
		return false;
	old = xa_load(&mirror->table, index);
	value = pfn << ENTRY_SHIFT | (write ? ENTRY_WRITE : 0);
	if (old && entry_pfn(old) == pfn)
		value |= xa_to_value(old);
	if (xa_err(xa_store(&mirror->reverse, pfn, xa_mk_value(index),
			    GFP_ATOMIC)))
		return false;
	if (!xa_err(xa_store(&mirror->table, index, xa_mk_value(value),
			     GFP_ATOMIC)))
		return true;
	xa_erase(&mirror->reverse, pfn);
	return false;
}

/* Take away the mapping of a virtual page. */
static struct migrate_pin_revoked unmap_index(struct mirror *mirror,
		unsigned long index)
{
	void *entry = xa_erase(&mirror->table, index);

	if (!entry)
		return (struct migrate_pin_revoked){};
	xa_erase(&mirror->reverse, entry_pfn(entry));
	return (struct migrate_pin_revoked){
		.page = entry_pfn(entry),
		.dirty = xa_to_value(entry) & ENTRY_DIRTY,
	};
}

static struct migrate_pin_revoked unmap_page(struct migrate_pin_device *device,
		unsigned long pfn)
{
	struct mirror *mirror = mirror_of(device);
	void *index = xa_load(&mirror->reverse, pfn);

	if (!index)
		return (struct migrate_pin_revoked){};
	return unmap_index(mirror, xa_to_value(index));
}

static struct migrate_pin_revoked unmap_next(struct migrate_pin_device *device,
		unsigned long start, unsigned long end)
{
	struct mirror *mirror = mirror_of(device);
	unsigned long index = start >> PAGE_SHIFT;

	if (!xa_find(&mirror->table, &index, (end - 1) >> PAGE_SHIFT,
		     XA_PRESENT))
		return (struct migrate_pin_revoked){};
	return unmap_index(mirror, index);
}

static const struct migrate_pin_device_ops device_ops = {
	.alloc_device_page = alloc_device_page,
	.copy_to_system = copy_to_system,
	.remember = remember,
	.original = original,
	.forget = forget,
	.read_begin = read_begin,
	.read_retry = read_retry,
	.set_seq = set_seq,
	.lock = lock,
	.unlock = unlock,
	.map = map,
	.unmap_page = unmap_page,
	.unmap_next = unmap_next,
};

/* What the kernel calls back for. */

static bool invalidate(struct mmu_interval_notifier *notifier,
		const struct mmu_notifier_range *range, unsigned long seq)
{
	struct mirror *mirror = container_of(notifier, struct mirror, notifier);

	atomic_long_inc(&mirror->invalidations);
	migrate_pin_invalidate(&mirror->handle, range->start, range->end,
			       range->event,
			       range->event == MMU_NOTIFY_MIGRATE ?
					(unsigned long)range->owner : 0, seq);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

static void page_free(struct page *page)
{
	struct mdevice *mdevice = container_of(page->pgmap, struct mdevice,
					       pagemap);
	struct dpage *dpage = dpage_of(mdevice, page_to_pfn(page));
	struct mirror *mirror = dpage->mirror;

	migrate_pin_release(&mirror->handle, page_to_pfn(page));
	if (dpage->backing)
		__free_page(dpage->backing);
	dpage->backing = NULL;
	dpage->mirror = NULL;
	spin_lock(&mdevice->lock);
	dpage->next = mdevice->free;
	mdevice->free = dpage;
	mdevice->available++;
	spin_unlock(&mdevice->lock);
	kref_put(&mirror->users, mirror_free);
}

static vm_fault_t migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long pfn = page_to_pfn(vmf->page);
	struct mdevice *mdevice = container_of(vmf->page->pgmap, struct mdevice,
					       pagemap);
	struct mirror *mirror = dpage_of(mdevice, pfn)->mirror;
	int done;

	atomic_long_inc(&mirror->faults);
	done = migrate_pin_fault(&mirror->handle, vmf->vma, vmf->address, pfn);
	if (done < 0)
		return VM_FAULT_SIGBUS;
	if (done == MIGRATE_PIN_FAULT_NO_MEMORY)
		return VM_FAULT_OOM;
	/* The access is repeated, and faults again if there is reason to. */
	if (done != MIGRATE_PIN_FAULT_DONE)
		cond_resched();
	return 0;
}

static const struct dev_pagemap_ops pagemap_ops = {
	.page_free = page_free,
	.migrate_to_ram = migrate_to_ram,
};

/* What a process asks for. */

/* The words of a range, src behind dst, and its area, mmap_lock held. */
struct job {
	struct vm_area_struct *vma;
	unsigned long npages;
	unsigned long *src;
	unsigned long *dst;
};

static int job_begin(struct job *job, struct mirror *mirror,
		struct migrate_pin_test *test)
{
	unsigned long end;

	if (!test->npages || test->npages > MAX_PAGES ||
	    check_add_overflow((unsigned long)test->addr,
			       (unsigned long)test->npages << PAGE_SHIFT, &end))
		return -EINVAL;
	job->npages = test->npages;
	job->src = kvcalloc(2 * job->npages, sizeof(*job->src), GFP_KERNEL);
	if (!job->src)
		return -ENOMEM;
	job->dst = job->src + job->npages;
	mmap_read_lock(mirror->mm);
	job->vma = vma_lookup(mirror->mm, test->addr);
	if (job->vma && end <= job->vma->vm_end)
		return 0;
	mmap_read_unlock(mirror->mm);
	kvfree(job->src);
	return -EFAULT;
}

static void job_end(struct job *job, struct mirror *mirror)
{
	mmap_read_unlock(mirror->mm);
	kvfree(job->src);
}

static int do_acquire(struct mirror *mirror, struct migrate_pin_test *test)
{
	struct migrate_pin_acquire args = {};
	struct job job;
	int ret = job_begin(&job, mirror, test);

	if (ret)
		return ret;
	args.vma = job.vma;
	args.src = job.src;
	args.dst = job.dst;
	args.npages = job.npages;
	args.start = test->addr;
	args.end = test->addr + (job.npages << PAGE_SHIFT);
	args.write = test->arg;
	ret = migrate_pin_acquire(&mirror->handle, &args);
	test->out[0] = args.granted;
	test->out[1] = args.left;
	job_end(&job, mirror);
	return ret;
}

static int do_revoke(struct mirror *mirror, struct migrate_pin_test *test)
{
	struct job job;
	int ret = job_begin(&job, mirror, test);

	if (ret)
		return ret;
	ret = migrate_pin_revoke(&mirror->handle, job.vma, test->addr,
				 test->addr + (job.npages << PAGE_SHIFT));
	job_end(&job, mirror);
	if (ret < 0)
		return ret;
	test->out[0] = ret;
	return 0;
}

/* An atomic by the device, if it has the page. */
static bool device_atomic(struct mirror *mirror, unsigned long addr, u64 add,
		u64 *old)
{
	unsigned long index = addr >> PAGE_SHIFT;
	void *entry, *kaddr;
	bool done = false;

	spin_lock(&mirror->lock);
	entry = xa_load(&mirror->table, index);
	if (entry && (!add || xa_to_value(entry) & ENTRY_WRITE)) {
		kaddr = kmap_local_page(pfn_to_page(entry_pfn(entry)));
		*old = atomic64_fetch_add(add, kaddr + offset_in_page(addr));
		kunmap_local(kaddr);
		if (add)
			xa_store(&mirror->table, index,
				 xa_mk_value(xa_to_value(entry) | ENTRY_DIRTY),
				 GFP_ATOMIC);
		done = true;
	}
	spin_unlock(&mirror->lock);
	return done;
}

/* Get one page for the device, as a driver does that handles its fault. */
static int device_obtain(struct mirror *mirror, unsigned long addr)
{
	struct migrate_pin_test test = {
		.addr = addr & PAGE_MASK, .npages = 1, .arg = 1,
	};
	struct vm_area_struct *vma;
	unsigned long grant = MIGRATE_PIN_GRANT_NOT_PINNED;
	bool unlocked = false;
	int ret = 0;

	mmap_read_lock(mirror->mm);
	vma = vma_lookup(mirror->mm, addr);
	if (vma)
		grant = migrate_pin_grant(&mirror->handle, vma, addr, 1);
	if (grant == MIGRATE_PIN_GRANT_NOT_PINNED)
		ret = fixup_user_fault(mirror->mm, addr, FAULT_FLAG_WRITE,
				       &unlocked);
	mmap_read_unlock(mirror->mm);
	if (ret || grant != MIGRATE_PIN_GRANT_NOT_PINNED)
		return ret;
	return do_acquire(mirror, &test);
}

static int do_add(struct mirror *mirror, struct migrate_pin_test *test)
{
	u64 left = test->arg;
	int ret;

	if (!IS_ALIGNED(test->addr, sizeof(u64)) || !test->value)
		return -EINVAL;
	while (left) {
		if (device_atomic(mirror, test->addr, test->value, &test->out[0])) {
			left--;
			continue;
		}
		if (test->npages)
			return -ENOENT;
		if (signal_pending(current))
			return -EINTR;
		test->out[1]++;
		ret = device_obtain(mirror, test->addr);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int do_load(struct mirror *mirror, struct migrate_pin_test *test)
{
	if (!IS_ALIGNED(test->addr, sizeof(u64)))
		return -EINVAL;
	return device_atomic(mirror, test->addr, 0, &test->out[0]) ? 0 : -ENOENT;
}

/* Drop a destination that core did not take. */
static void drop_page(unsigned long pfn)
{
	unlock_page(pfn_to_page(pfn));
	put_page(pfn_to_page(pfn));
}

/* A device page with the contents of a source, or zeroes. */
static unsigned long copy_to_device(struct mirror *mirror, unsigned long src)
{
	unsigned long pfn = alloc_device_page(&mirror->handle);
	struct page *from = migrate_pfn_to_page(src), *backing;

	if (!pfn)
		return 0;
	backing = alloc_page(GFP_HIGHUSER);
	if (!backing) {
		drop_page(pfn);
		return 0;
	}
	if (from)
		copy_highpage(backing, from);
	else
		clear_highpage(backing);
	dpage_of(mirror->mdevice, pfn)->backing = backing;
	return migrate_pfn(pfn);
}

static int do_migrate(struct mirror *mirror, struct migrate_pin_test *test)
{
	struct migrate_pin_vma args = {};
	struct job job;
	unsigned long i;
	int ret = job_begin(&job, mirror, test);

	if (ret)
		return ret;
	args.vma = job.vma;
	args.src = job.src;
	args.dst = job.dst;
	args.npages = job.npages;
	args.start = test->addr;
	args.end = test->addr + (job.npages << PAGE_SHIFT);
	args.owner = mirror->handle.owner;
	args.select = MIGRATE_VMA_SELECT_SYSTEM;
	ret = migrate_pin_vma_setup(&args);
	if (ret)
		goto out;
	for (i = 0; i < job.npages; i++)
		if (job.src[i] & MIGRATE_PFN_MIGRATE)
			job.dst[i] = copy_to_device(mirror, job.src[i]);
	ret = migrate_pin_vma_pages(&args);
	for (i = 0; i < job.npages; i++)
		if (!ret && job.src[i] & MIGRATE_PFN_MIGRATE)
			test->out[0]++;
	if (migrate_pin_vma_finalize(&args))
		ret = -EIO;
out:
	job_end(&job, mirror);
	return ret;
}

/* The destination that a word of a test stands for. */
static unsigned long raw_destination(struct mirror *mirror, unsigned long word)
{
	struct page *page;
	unsigned long pfn;

	switch (word) {
	case MIGRATE_PIN_TEST_RAW_DEVICE:
		pfn = alloc_device_page(&mirror->handle);
		return pfn ? migrate_pfn(pfn) : 0;
	case MIGRATE_PIN_TEST_RAW_SYSTEM:
		page = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
		if (!page)
			return 0;
		lock_page(page);
		return migrate_pfn(page_to_pfn(page));
	default:
		return word;
	}
}

/* Give back what raw_destination() made, if it was refused. */
static void raw_drop(unsigned long asked, unsigned long word)
{
	if (asked == MIGRATE_PIN_TEST_RAW_DEVICE ||
	    asked == MIGRATE_PIN_TEST_RAW_SYSTEM)
		if (word)
			drop_page(word >> MIGRATE_PFN_SHIFT);
}

/* The three calls, with whatever words the test has. */
static void raw_calls(struct mirror *mirror, struct migrate_pin_test *test,
		struct migrate_pin_vma *args, const unsigned long *asked)
{
	unsigned long i;

	test->out[0] = -migrate_pin_vma_setup(args);
	test->out[3] = args->cpages;
	if (test->out[0])
		return;
	for (i = 0; i < args->npages; i++)
		args->dst[i] = raw_destination(mirror, asked[i]);
	if (test->arg & MIGRATE_PIN_TEST_RAW_TAMPER) {
		args->src[0] ^= MIGRATE_PFN_WRITE;
		test->out[1] = -migrate_pin_vma_pages(args);
		args->src[0] ^= MIGRATE_PFN_WRITE;
	} else if (test->arg & MIGRATE_PIN_TEST_RAW_SKIP) {
		test->out[1] = -1;
	} else {
		test->out[1] = -migrate_pin_vma_pages(args);
	}
	for (i = 0; i < args->npages && test->out[1]; i++)
		raw_drop(asked[i], args->dst[i]);
	test->out[2] = -migrate_pin_vma_finalize(args);
	if (test->arg & MIGRATE_PIN_TEST_RAW_ORDER)
		test->out[2] = -migrate_pin_vma_finalize(args);
}

static int do_raw(struct mirror *mirror, struct migrate_pin_test *test)
{
	struct migrate_pin_vma args = {};
	unsigned long *asked, bytes;
	struct job job;
	int ret;

	if (!test->npages || test->npages > MAX_PAGES)
		return -EINVAL;
	bytes = test->npages * sizeof(*asked);
	asked = kvmalloc(2 * bytes, GFP_KERNEL);
	if (!asked)
		return -ENOMEM;
	ret = -EFAULT;
	if (copy_from_user(asked, u64_to_user_ptr(test->dst), bytes) ||
	    copy_from_user(asked + test->npages, u64_to_user_ptr(test->src),
			   bytes))
		goto out;
	ret = job_begin(&job, mirror, test);
	if (ret)
		goto out;
	memcpy(job.src, asked + test->npages, bytes);
	args.vma = job.vma;
	args.src = job.src;
	args.dst = job.dst;
	args.npages = job.npages;
	args.start = test->addr;
	args.end = test->addr + bytes / sizeof(*asked) * PAGE_SIZE;
	args.owner = mirror->handle.owner;
	args.select = test->value ?: MIGRATE_VMA_SELECT_SYSTEM;
	if (test->arg & MIGRATE_PIN_TEST_RAW_ORDER)
		test->out[4] = -migrate_pin_vma_pages(&args);
	raw_calls(mirror, test, &args, asked);
	memcpy(asked, job.src, bytes);
	job_end(&job, mirror);
	ret = copy_to_user(u64_to_user_ptr(test->src), asked, bytes) ?
		-EFAULT : 0;
out:
	kvfree(asked);
	return ret;
}

static int do_fail(struct mirror *mirror, struct migrate_pin_test *test)
{
	if (test->arg >= MIGRATE_PIN_TEST_FAILS || test->value > INT_MAX)
		return -EINVAL;
	atomic_set(&mirror->fails[test->arg], test->value);
	return 0;
}

static int do_stats(struct mirror *mirror, struct migrate_pin_test *test)
{
	unsigned long index;
	void *entry;

	test->out[0] = READ_ONCE(mirror->mdevice->available);
	test->out[1] = DEVICE_PAGES;
	spin_lock(&mirror->lock);
	xa_for_each(&mirror->table, index, entry)
		test->out[2]++;
	spin_unlock(&mirror->lock);
	test->out[3] = atomic_long_read(&mirror->faults);
	test->out[4] = atomic_long_read(&mirror->invalidations);
	test->out[5] = migrate_pin_pins();
	return 0;
}

static void page_info(struct migrate_pin_test *test, unsigned long pfn)
{
	struct folio *folio = pfn_folio(pfn);

	test->out[1] = pfn;
	test->out[2] = folio_ref_count(folio);
	test->out[3] = folio_mapcount(folio);
	if (folio_test_lru(folio))
		test->out[4] |= MIGRATE_PIN_TEST_LRU;
	if (folio_test_locked(folio))
		test->out[4] |= MIGRATE_PIN_TEST_LOCKED;
	if (folio_test_dirty(folio))
		test->out[4] |= MIGRATE_PIN_TEST_DIRTY;
	if (migrate_pin_glue_pin_record(pfn).present)
		test->out[4] |= MIGRATE_PIN_TEST_PINNED;
}

static int do_page(struct mirror *mirror, struct migrate_pin_test *test)
{
	unsigned long addr = test->addr & PAGE_MASK;
	struct migrate_pin_cursor cursor;
	struct vm_area_struct *vma;
	struct migrate_pin_pair pte;
	int ret = -EFAULT;

	/* What is on its way to the LRU is there then. */
	lru_add_drain_all();
	mmap_read_lock(mirror->mm);
	vma = vma_lookup(mirror->mm, addr);
	if (!vma)
		goto out;
	ret = 0;
	if (migrate_pin_glue_pmd_span(vma, addr, addr + PAGE_SIZE).what !=
	    MIGRATE_PIN_PMD_TABLE ||
	    !migrate_pin_glue_pte_lock(&cursor, vma, addr))
		goto out;
	pte = migrate_pin_glue_pte_get(&cursor, vma, addr);
	test->out[0] = pte.what & MIGRATE_PIN_PTE_KIND;
	test->out[5] = pte.what & ~(unsigned long)MIGRATE_PIN_PTE_KIND;
	if (pte.word)
		page_info(test, pte.word);
	migrate_pin_glue_pte_unlock(&cursor);
out:
	mmap_read_unlock(mirror->mm);
	return ret;
}

static int do_pfn(struct mirror *mirror, struct migrate_pin_test *test)
{
	lru_add_drain_all();
	if (!migrate_pin_glue_page_exists(test->arg))
		return -EINVAL;
	page_info(test, test->arg);
	return 0;
}

/* Instructions, where the emulated counter counts them. */
static u64 ticks(void)
{
	return get_cycles();
}

static int speed_migrate(struct mirror *mirror, struct migrate_pin_test *test,
		struct job *job)
{
	struct migrate_vma args = {
		.vma = job->vma,
		.src = job->src,
		.dst = job->dst,
		.start = test->addr,
		.end = test->addr + (job->npages << PAGE_SHIFT),
		.pgmap_owner = (void *)mirror->handle.owner,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	u64 begin = ticks(), start = begin;
	unsigned long i;
	int ret;

	ret = migrate_vma_setup(&args);
	test->out[0] = ticks() - start;
	if (ret)
		return ret;
	for (i = 0; i < job->npages; i++)
		if (job->src[i] & MIGRATE_PFN_MIGRATE)
			job->dst[i] = copy_to_device(mirror, job->src[i]);
	start = ticks();
	migrate_vma_pages(&args);
	test->out[1] = ticks() - start;
	for (i = 0; i < job->npages; i++)
		if (job->src[i] & MIGRATE_PFN_MIGRATE)
			test->out[3]++;
	start = ticks();
	migrate_vma_finalize(&args);
	test->out[2] = ticks() - start;
	test->out[4] = ticks() - begin;
	return 0;
}

static int speed_pin(struct mirror *mirror, struct migrate_pin_test *test,
		struct job *job)
{
	struct migrate_pin_acquire args = {
		.vma = job->vma,
		.src = job->src,
		.dst = job->dst,
		.npages = job->npages,
		.start = test->addr,
		.end = test->addr + (job->npages << PAGE_SHIFT),
		.write = 1,
	};
	u64 start = ticks();
	int ret = migrate_pin_acquire(&mirror->handle, &args);

	test->out[4] = ticks() - start;
	test->out[3] = args.granted;
	return ret;
}

/* What a driver does without unmap and pin: as in lib/test_hmm.c. */
static int speed_exclusive(struct mirror *mirror, struct migrate_pin_test *test,
		struct job *job)
{
	struct page **pages = (struct page **)job->src;
	unsigned long i, pfn;
	u64 start = ticks();
	int ret;

	ret = make_device_exclusive_range(mirror->mm, test->addr,
					  test->addr + (job->npages << PAGE_SHIFT),
					  pages, mirror);
	if (ret < 0)
		return ret;
	for (i = 0; i < job->npages; i++) {
		if (!pages[i])
			continue;
		pfn = page_to_pfn(pages[i]);
		lock(&mirror->handle);
		if (map(&mirror->handle, test->addr + (i << PAGE_SHIFT), pfn,
			true))
			test->out[3]++;
		unlock(&mirror->handle);
		unlock_page(pages[i]);
		put_page(pages[i]);
	}
	test->out[4] = ticks() - start;
	return 0;
}

static int do_speed(struct mirror *mirror, struct migrate_pin_test *test)
{
	struct job job;
	int ret = job_begin(&job, mirror, test);

	if (ret)
		return ret;
	switch (test->arg) {
	case MIGRATE_PIN_TEST_SPEED_MIGRATE:
		ret = speed_migrate(mirror, test, &job);
		break;
	case MIGRATE_PIN_TEST_SPEED_PIN:
		ret = speed_pin(mirror, test, &job);
		break;
	case MIGRATE_PIN_TEST_SPEED_EXCLUSIVE:
		ret = speed_exclusive(mirror, test, &job);
		break;
	default:
		ret = -EINVAL;
	}
	job_end(&job, mirror);
	return ret;
}

static long driver_ioctl(struct file *file, unsigned int command,
		unsigned long arg)
{
	struct mirror *mirror = file->private_data;
	struct migrate_pin_test test;
	int ret;

	if (current->mm != mirror->mm)
		return -EPERM;
	if (copy_from_user(&test, (void __user *)arg, sizeof(test)))
		return -EFAULT;
	memset(test.out, 0, sizeof(test.out));
	switch (command) {
	case MIGRATE_PIN_TEST_ACQUIRE:
		ret = do_acquire(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_REVOKE:
		ret = do_revoke(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_ADD:
		ret = do_add(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_LOAD:
		ret = do_load(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_MIGRATE:
		ret = do_migrate(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_RAW:
		ret = do_raw(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_FAIL:
		ret = do_fail(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_STATS:
		ret = do_stats(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_PAGE:
		ret = do_page(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_PFN:
		ret = do_pfn(mirror, &test);
		break;
	case MIGRATE_PIN_TEST_SPEED:
		ret = do_speed(mirror, &test);
		break;
	default:
		return -ENOTTY;
	}
	if (copy_to_user((void __user *)arg, &test, sizeof(test)))
		return -EFAULT;
	return ret;
}

static int driver_open(struct inode *inode, struct file *file)
{
	struct mdevice *mdevice = container_of(file->private_data,
					       struct mdevice, misc);
	struct mirror *mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);
	int ret;

	if (!mirror)
		return -ENOMEM;
	mirror->handle.ops = &device_ops;
	mirror->handle.owner = (unsigned long)mdevice->pagemap.owner;
	mirror->mdevice = mdevice;
	mirror->mm = current->mm;
	kref_init(&mirror->users);
	spin_lock_init(&mirror->lock);
	xa_init(&mirror->table);
	xa_init(&mirror->reverse);
	ret = mmu_interval_notifier_insert(&mirror->notifier, mirror->mm, 0,
					   ULONG_MAX & PAGE_MASK,
					   &notifier_ops);
	if (ret) {
		kfree(mirror);
		return ret;
	}
	mmgrab(mirror->mm);
	file->private_data = mirror;
	return 0;
}

static int driver_release(struct inode *inode, struct file *file)
{
	struct mirror *mirror = file->private_data;

	mmu_interval_notifier_remove(&mirror->notifier);
	/*
	 * The device loses what it had mapped. Pages that are pinned stay so
	 * until a CPU wants them, or nobody does any more; each has a
	 * reference on the mirror.
	 */
	spin_lock(&mirror->lock);
	for (;;) {
		struct migrate_pin_revoked revoked =
			unmap_next(&mirror->handle, 0, ULONG_MAX);

		if (!revoked.page)
			break;
		if (revoked.dirty)
			set_page_dirty(pfn_to_page(revoked.page));
	}
	spin_unlock(&mirror->lock);
	mmdrop(mirror->mm);
	kref_put(&mirror->users, mirror_free);
	return 0;
}

static const struct file_operations driver_fops = {
	.owner = THIS_MODULE,
	.open = driver_open,
	.release = driver_release,
	.unlocked_ioctl = driver_ioctl,
};

static int __init mdevice_init(struct mdevice *mdevice, int number)
{
	struct resource *resource;
	unsigned long i;
	void *memory;

	spin_lock_init(&mdevice->lock);
	mdevice->pages = kvcalloc(DEVICE_PAGES, sizeof(*mdevice->pages),
				  GFP_KERNEL);
	if (!mdevice->pages)
		return -ENOMEM;
	resource = request_free_mem_region(&iomem_resource, DEVICE_BYTES,
					   "migrate_pin");
	if (IS_ERR(resource)) {
		kvfree(mdevice->pages);
		return PTR_ERR(resource);
	}
	mdevice->pagemap.type = MEMORY_DEVICE_PRIVATE;
	mdevice->pagemap.range.start = resource->start;
	mdevice->pagemap.range.end = resource->end;
	mdevice->pagemap.nr_range = 1;
	mdevice->pagemap.ops = &pagemap_ops;
	mdevice->pagemap.owner = mdevice;
	memory = memremap_pages(&mdevice->pagemap, numa_node_id());
	if (IS_ERR(memory)) {
		release_mem_region(resource->start, resource_size(resource));
		kvfree(mdevice->pages);
		return PTR_ERR(memory);
	}
	for (i = DEVICE_PAGES; i--;) {
		mdevice->pages[i].next = mdevice->free;
		mdevice->free = &mdevice->pages[i];
	}
	mdevice->available = DEVICE_PAGES;
	snprintf(mdevice->name, sizeof(mdevice->name), "migrate_pin%d", number);
	mdevice->misc.minor = MISC_DYNAMIC_MINOR;
	mdevice->misc.name = mdevice->name;
	mdevice->misc.fops = &driver_fops;
	return misc_register(&mdevice->misc);
}

static int __init migrate_pin_test_init(void)
{
	int i, ret;

	for (i = 0; i < DEVICES; i++) {
		ret = mdevice_init(&mdevices[i], i);
		if (ret)
			return ret;
	}
	return 0;
}
device_initcall(migrate_pin_test_init);
