// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the API for drivers in Rust stands on: address spaces, device-private
 * memory, interval notifiers, character devices; one function each, without
 * decisions. Pages are named by their pfn.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include "hook.h"

/* Memory of the driver's own. */

void *migrate_pin_driver_alloc(unsigned long bytes)
{
	return kzalloc(bytes, GFP_KERNEL);
}

void migrate_pin_driver_free(void *memory)
{
	kfree(memory);
}

void *migrate_pin_driver_alloc_array(unsigned long n, unsigned long bytes)
{
	return kvcalloc(n, bytes, GFP_KERNEL);
}

void migrate_pin_driver_free_array(void *memory)
{
	kvfree(memory);
}

unsigned long migrate_pin_driver_alloc_page(bool movable)
{
	struct page *page = alloc_page((movable ? GFP_HIGHUSER_MOVABLE :
					GFP_HIGHUSER) | __GFP_ZERO);

	return page ? page_to_pfn(page) : 0;
}

void *migrate_pin_driver_page_address(unsigned long pfn)
{
	return page_address(pfn_to_page(pfn));
}

bool migrate_pin_driver_page_dirty(unsigned long pfn)
{
	return folio_test_dirty(pfn_folio(pfn));
}

/* The task. */

void migrate_pin_driver_cond_resched(void)
{
	cond_resched();
}

bool migrate_pin_driver_signal_pending(void)
{
	return signal_pending(current);
}

bool migrate_pin_driver_copy_from_user(void *to, unsigned long from,
		unsigned long bytes)
{
	return !copy_from_user(to, (const void __user *)from, bytes);
}

bool migrate_pin_driver_copy_to_user(unsigned long to, const void *from,
		unsigned long bytes)
{
	return !copy_to_user((void __user *)to, from, bytes);
}

/* Address spaces. */

struct mm_struct *migrate_pin_driver_current_mm(void)
{
	return current->mm;
}

void migrate_pin_driver_mmgrab(struct mm_struct *mm)
{
	mmgrab(mm);
}

void migrate_pin_driver_mmdrop(struct mm_struct *mm)
{
	mmdrop(mm);
}

bool migrate_pin_driver_mmget_not_zero(struct mm_struct *mm)
{
	return mmget_not_zero(mm);
}

void migrate_pin_driver_mmput(struct mm_struct *mm)
{
	mmput(mm);
}

void migrate_pin_driver_mmap_read_lock(struct mm_struct *mm)
{
	mmap_read_lock(mm);
}

bool migrate_pin_driver_mmap_read_trylock(struct mm_struct *mm)
{
	return mmap_read_trylock(mm);
}

void migrate_pin_driver_mmap_read_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
}

struct vm_area_struct *migrate_pin_driver_vma_lookup(struct mm_struct *mm,
		unsigned long addr)
{
	return vma_lookup(mm, addr);
}

struct mm_struct *migrate_pin_driver_vma_mm(struct vm_area_struct *vma)
{
	return vma->vm_mm;
}

int migrate_pin_driver_fixup_user_fault(struct mm_struct *mm,
		unsigned long addr, bool write)
{
	bool unlocked = false;

	return fixup_user_fault(mm, addr, write ? FAULT_FLAG_WRITE : 0,
				&unlocked);
}

/* Device-private memory. */

struct migrate_pin_memory {
	struct dev_pagemap pagemap;
	/* Of the free pages. */
	spinlock_t lock;
	const struct migrate_pin_memory_ops *ops;
	void *context;
};

static void page_free(struct page *page)
{
	struct migrate_pin_memory *memory =
		container_of(page->pgmap, struct migrate_pin_memory, pagemap);

	memory->ops->page_free(memory->context, page_to_pfn(page));
}

static vm_fault_t migrate_to_ram(struct vm_fault *vmf)
{
	struct migrate_pin_memory *memory =
		container_of(vmf->page->pgmap, struct migrate_pin_memory,
			     pagemap);

	return (__force vm_fault_t)memory->ops->migrate_to_ram(memory->context,
			vmf->vma, vmf->address, page_to_pfn(vmf->page));
}

static const struct dev_pagemap_ops pagemap_ops = {
	.page_free = page_free,
	.migrate_to_ram = migrate_to_ram,
};

struct migrate_pin_memory *migrate_pin_driver_memory_new(const struct migrate_pin_memory_ops *ops,
		void *context)
{
	struct migrate_pin_memory *memory = kzalloc(sizeof(*memory), GFP_KERNEL);

	if (!memory)
		return NULL;
	spin_lock_init(&memory->lock);
	memory->ops = ops;
	memory->context = context;
	memory->pagemap.type = MEMORY_DEVICE_PRIVATE;
	memory->pagemap.nr_range = 1;
	memory->pagemap.ops = &pagemap_ops;
	memory->pagemap.owner = memory;
	return memory;
}

void migrate_pin_driver_memory_free(struct migrate_pin_memory *memory)
{
	kfree(memory);
}

int migrate_pin_driver_memory_register(struct migrate_pin_memory *memory,
		unsigned long pages)
{
	unsigned long bytes = ALIGN(pages << PAGE_SHIFT, SUBSECTION_SIZE);
	struct resource *resource =
		request_free_mem_region(&iomem_resource, bytes, "migrate_pin");
	void *mapped;

	if (IS_ERR(resource))
		return PTR_ERR(resource);
	memory->pagemap.range.start = resource->start;
	memory->pagemap.range.end = resource->end;
	mapped = memremap_pages(&memory->pagemap, numa_node_id());
	if (!IS_ERR(mapped))
		return 0;
	release_mem_region(resource->start, resource_size(resource));
	return PTR_ERR(mapped);
}

unsigned long migrate_pin_driver_memory_first(struct migrate_pin_memory *memory)
{
	return PHYS_PFN(memory->pagemap.range.start);
}

void migrate_pin_driver_memory_lock(struct migrate_pin_memory *memory)
	__acquires(&memory->lock)
{
	spin_lock(&memory->lock);
}

void migrate_pin_driver_memory_unlock(struct migrate_pin_memory *memory)
	__releases(&memory->lock)
{
	spin_unlock(&memory->lock);
}

void migrate_pin_driver_device_page_init(unsigned long pfn)
{
	zone_device_page_init(pfn_to_page(pfn));
}

/* An address space as a device sees it. */

struct migrate_pin_mirror {
	struct mmu_interval_notifier notifier;
	/* Of the device's page table. */
	spinlock_t lock;
	/* By the number of a virtual page: an entry; and back, by the pfn. */
	struct xarray table;
	struct xarray reverse;
	const struct migrate_pin_mirror_ops *ops;
	void *context;
};

static bool invalidate(struct mmu_interval_notifier *notifier,
		const struct mmu_notifier_range *range, unsigned long seq)
{
	struct migrate_pin_mirror *mirror =
		container_of(notifier, struct migrate_pin_mirror, notifier);

	mirror->ops->invalidate(mirror->context, range->start, range->end,
				range->event,
				range->event == MMU_NOTIFY_MIGRATE ?
				(unsigned long)range->owner : 0, seq);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

struct migrate_pin_mirror *migrate_pin_driver_mirror_new(void)
{
	struct migrate_pin_mirror *mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);

	if (!mirror)
		return NULL;
	spin_lock_init(&mirror->lock);
	xa_init(&mirror->table);
	xa_init(&mirror->reverse);
	return mirror;
}

void migrate_pin_driver_mirror_free(struct migrate_pin_mirror *mirror)
{
	xa_destroy(&mirror->table);
	xa_destroy(&mirror->reverse);
	kfree(mirror);
}

int migrate_pin_driver_mirror_insert(struct migrate_pin_mirror *mirror,
		struct mm_struct *mm, const struct migrate_pin_mirror_ops *ops,
		void *context)
{
	mirror->ops = ops;
	mirror->context = context;
	return mmu_interval_notifier_insert(&mirror->notifier, mm, 0,
					    ULONG_MAX & PAGE_MASK,
					    &notifier_ops);
}

void migrate_pin_driver_mirror_remove(struct migrate_pin_mirror *mirror)
{
	mmu_interval_notifier_remove(&mirror->notifier);
}

unsigned long migrate_pin_driver_mirror_read_begin(struct migrate_pin_mirror *mirror)
{
	return mmu_interval_read_begin(&mirror->notifier);
}

bool migrate_pin_driver_mirror_read_retry(struct migrate_pin_mirror *mirror,
		unsigned long seq)
{
	return mmu_interval_read_retry(&mirror->notifier, seq);
}

void migrate_pin_driver_mirror_set_seq(struct migrate_pin_mirror *mirror,
		unsigned long seq)
{
	mmu_interval_set_seq(&mirror->notifier, seq);
}

void migrate_pin_driver_mirror_lock(struct migrate_pin_mirror *mirror)
	__acquires(&mirror->lock)
{
	spin_lock(&mirror->lock);
}

void migrate_pin_driver_mirror_unlock(struct migrate_pin_mirror *mirror)
	__releases(&mirror->lock)
{
	spin_unlock(&mirror->lock);
}

struct xarray *migrate_pin_driver_mirror_table(struct migrate_pin_mirror *mirror)
{
	return &mirror->table;
}

struct xarray *migrate_pin_driver_mirror_reverse(struct migrate_pin_mirror *mirror)
{
	return &mirror->reverse;
}

/* What an entry holds, 0 if there is none. */
static unsigned long word_of(void *entry)
{
	return entry ? xa_to_value(entry) : 0;
}

unsigned long migrate_pin_driver_xa_load(struct xarray *xa, unsigned long index)
{
	return word_of(xa_load(xa, index));
}

bool migrate_pin_driver_xa_store(struct xarray *xa, unsigned long index,
		unsigned long word)
{
	return !xa_err(xa_store(xa, index, xa_mk_value(word), GFP_ATOMIC));
}

unsigned long migrate_pin_driver_xa_erase(struct xarray *xa, unsigned long index)
{
	return word_of(xa_erase(xa, index));
}

struct migrate_pin_pair migrate_pin_driver_xa_find(struct xarray *xa,
		unsigned long index, unsigned long last)
{
	void *entry = xa_find(xa, &index, last, XA_PRESENT);

	return (struct migrate_pin_pair){ .what = word_of(entry), .word = index };
}

/* Character devices. */

struct migrate_pin_char {
	struct miscdevice misc;
	const struct migrate_pin_char_ops *ops;
	void *context;
};

static int char_open(struct inode *inode, struct file *file)
{
	struct migrate_pin_char *device =
		container_of(file->private_data, struct migrate_pin_char, misc);

	return device->ops->open(device->context, &file->private_data);
}

/* What is opened begins with its table. */
static const struct migrate_pin_char_ops *ops_of(struct file *file)
{
	return *(const struct migrate_pin_char_ops **)file->private_data;
}

static int char_release(struct inode *inode, struct file *file)
{
	ops_of(file)->release(file->private_data);
	return 0;
}

static long char_ioctl(struct file *file, unsigned int command,
		unsigned long arg)
{
	return ops_of(file)->ioctl(file->private_data, command, arg);
}

static const struct file_operations char_fops = {
	.owner = THIS_MODULE,
	.open = char_open,
	.release = char_release,
	.unlocked_ioctl = char_ioctl,
};

int migrate_pin_driver_char_register(const char *name,
		const struct migrate_pin_char_ops *ops, void *context)
{
	struct migrate_pin_char *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int ret;

	if (!device)
		return -ENOMEM;
	device->misc.minor = MISC_DYNAMIC_MINOR;
	device->misc.name = name;
	device->misc.fops = &char_fops;
	device->ops = ops;
	device->context = context;
	ret = misc_register(&device->misc);
	if (ret)
		kfree(device);
	return ret;
}
