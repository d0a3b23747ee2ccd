//! Every entry point of `migrate-pin-core`, for both policies and both shapes, over an `MmOps` and a `Device`
//! whose methods are extern: what is left in the object file is the logic alone.
//!
//! `check.sh` beside this crate builds it for bare targets and shows with `nm` that nothing in it refers to a
//! panic, a formatter or an allocator.
#![no_std]

use migrate_pin_core::mapping::migrate_page;
use migrate_pin_core::migration;
use migrate_pin_core::pin::{self, Acquire, Acquired, Fault, Grant, Invalidation};
use migrate_pin_core::range::unmap_words;
use migrate_pin_core::{
    for_each_primitive, setup, setup_range, Access, AsPosted, Device, DeviceMigration,
    DeviceRequest, DstPfn, Error, Hardened, HugePmd, Mapping, MigrateMode, Migration, MmOps, Moved,
    NoMemory, NotifyEvent, Owner, Pfn, PinRecord, PmdSpan, Policy, Pte, Range, RawMigration,
    Request, Revoked, Rules, Shape, SrcPfn, Unmapped, VmaFacts, Zone, V5_11, V6_12,
};

/// A handle that the extern side knows.
type Vma = usize;

/// The machine on the other side.
pub struct Extern;

macro_rules! declare {
    ($( $name:ident $method:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty $(, fails $fail:expr)? ; )*) => {
        mod primitive {
            use super::*;
            extern "Rust" {
                $(pub fn $method($($arg: $ty),*) -> $ret;)*
            }
        }
        impl MmOps for Extern {
            type Vma = Vma;
            $(
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    // SAFETY: the object file is inspected, never linked: there is no definition whose
                    // contract could be broken.
                    unsafe { primitive::$method($($arg),*) }
                }
            )*
        }
    };
}
for_each_primitive!(declare);

macro_rules! device {
    ($( $method:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty; )*) => {
        mod device {
            use super::*;
            extern "Rust" {
                $(pub fn $method($($arg: $ty),*) -> $ret;)*
            }
        }
        impl Device for Extern {
            $(
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    // SAFETY: as for the primitives.
                    unsafe { device::$method($($arg),*) }
                }
            )*
        }
    };
}
device! {
    owner() -> Owner;
    alloc_device_page() -> Option<Pfn>;
    copy_to_system(page: Pfn) -> Option<Pfn>;
    remember(page: Pfn, original: Pfn) -> ();
    original(page: Pfn) -> Option<Pfn>;
    forget(page: Pfn) -> ();
    read_begin() -> u64;
    read_retry(seq: u64) -> bool;
    set_seq(seq: u64) -> ();
    lock() -> ();
    unlock() -> ();
    map(addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory>;
    unmap_page(page: Pfn) -> Option<Revoked>;
    unmap_next(range: Range) -> Option<Revoked>;
}

type Raw = RawMigration<Vma>;

fn raw_setup<P: Policy, S: Shape>(request: Request<'_, Vma>) -> Result<Raw, i32> {
    match setup::<P, S, _>(Extern, request) {
        Ok(migration) => Ok(migration.into_raw()),
        Err(error) => Err(error.errno()),
    }
}

fn raw_pages<P: Policy, S: Shape>(
    raw: &mut Raw,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> Result<(), i32> {
    let migration =
        Migration::<_, P, S, Unmapped>::from_raw(Extern, raw, src, dst).map_err(Error::errno)?;
    let (now, result) = match migration.pages() {
        Ok(moved) => (moved.into_raw(), Ok(())),
        Err(refused) => (refused.migration.into_raw(), Err(refused.error.errno())),
    };
    *raw = now;
    result
}

fn raw_finalize<P: Policy, S: Shape>(
    raw: &mut Raw,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> Result<(), i32> {
    Migration::<_, P, S, Moved>::from_raw(Extern, raw, src, dst)
        .map_err(Error::errno)?
        .finalize();
    Ok(())
}

/// Drops a migration at each stage, so that the undoing is in the object too.
fn raw_drop<P: Policy, S: Shape>(raw: &mut Raw, src: &mut [SrcPfn], dst: &mut [DstPfn]) {
    drop(Migration::<_, P, S, Unmapped>::from_raw(
        Extern, raw, src, dst,
    ));
    drop(Migration::<_, P, S, Moved>::from_raw(Extern, raw, src, dst));
}

fn range_setup<P: Policy>(request: DeviceRequest<'_>) -> Result<(), i32> {
    let migration = setup_range::<P, _>(Extern, request).map_err(Error::errno)?;
    migration.into_words();
    Ok(())
}

fn range_pages<P: Policy>(owner: Owner, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> Result<(), i32> {
    let migration = DeviceMigration::<_, P, Unmapped>::from_words(Extern, owner, src, dst);
    match migration.map_err(Error::errno)?.pages() {
        Ok(moved) => moved.into_words(),
        // Dropped, which puts everything back.
        Err(refused) => return Err(refused.error.errno()),
    }
    Ok(())
}

fn range_finalize<P: Policy>(
    owner: Owner,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> Result<(), i32> {
    let migration = DeviceMigration::<_, P, Moved>::from_words(Extern, owner, src, dst);
    migration.map_err(Error::errno)?.finalize();
    Ok(())
}

macro_rules! range_entry_points {
    ($module:ident, $policy:ty) => {
        /// The entry points of a migration from device pfns, which is 6.12's.
        pub mod $module {
            use super::*;
            #[export_name = concat!(stringify!($module), "_setup")]
            fn setup(request: DeviceRequest<'_>) -> Result<(), i32> {
                range_setup::<$policy>(request)
            }
            #[export_name = concat!(stringify!($module), "_unmap")]
            fn unmap(owner: Owner, src: &mut [SrcPfn]) -> usize {
                unmap_words::<$policy, _>(&mut Extern, owner, src)
            }
            #[export_name = concat!(stringify!($module), "_pages")]
            fn pages(owner: Owner, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> Result<(), i32> {
                range_pages::<$policy>(owner, src, dst)
            }
            #[export_name = concat!(stringify!($module), "_finalize")]
            fn finalize(owner: Owner, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> Result<(), i32> {
                range_finalize::<$policy>(owner, src, dst)
            }
        }
    };
}
range_entry_points!(as_posted_6_12_range, AsPosted);
range_entry_points!(hardened_6_12_range, Hardened);

macro_rules! entry_points {
    ($module:ident, $policy:ty, $shape:ty) => {
        /// The entry points for one policy on one shape.
        pub mod $module {
            use super::*;
            #[export_name = concat!(stringify!($module), "_setup")]
            fn setup(request: Request<'_, Vma>) -> Result<Raw, i32> {
                raw_setup::<$policy, $shape>(request)
            }
            #[export_name = concat!(stringify!($module), "_pages")]
            fn pages(raw: &mut Raw, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> Result<(), i32> {
                raw_pages::<$policy, $shape>(raw, src, dst)
            }
            #[export_name = concat!(stringify!($module), "_finalize")]
            fn finalize(raw: &mut Raw, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> Result<(), i32> {
                raw_finalize::<$policy, $shape>(raw, src, dst)
            }
            #[export_name = concat!(stringify!($module), "_drop")]
            fn drop(raw: &mut Raw, src: &mut [SrcPfn], dst: &mut [DstPfn]) {
                raw_drop::<$policy, $shape>(raw, src, dst)
            }
            #[export_name = concat!(stringify!($module), "_setup_by_words")]
            fn setup_by_words(request: Request<'_, Vma>) -> Result<usize, i32> {
                migration::setup_by_words::<$policy, $shape, _>(&mut Extern, request)
                    .map_err(Error::errno)
            }
            #[export_name = concat!(stringify!($module), "_pages_by_words")]
            fn pages_by_words(request: &mut Request<'_, Vma>) -> Result<(), i32> {
                migration::pages_by_words::<$policy, $shape, _>(&mut Extern, request)
                    .map_err(Error::errno)
            }
            #[export_name = concat!(stringify!($module), "_finalize_by_words")]
            fn finalize_by_words(request: &Request<'_, Vma>) -> Result<(), i32> {
                migration::finalize_by_words::<$policy, $shape, _>(&mut Extern, request)
                    .map_err(Error::errno)
            }
            #[export_name = concat!(stringify!($module), "_migrate_page")]
            fn page(new: Pfn, old: Pfn, mode: MigrateMode, known: i32) -> bool {
                let rules = Rules::of::<$policy, $shape>();
                migrate_page(&mut Extern, rules, new, old, mode, known)
            }
            #[export_name = concat!(stringify!($module), "_acquire")]
            fn acquire(request: Acquire<'_, Vma>) -> Result<Acquired, Error> {
                pin::acquire::<$policy, $shape, _, _>(&mut Extern, &mut Extern, request)
            }
            #[export_name = concat!(stringify!($module), "_grant")]
            fn grant(vma: Vma, addr: usize, access: Access) -> Grant {
                pin::grant::<$policy, $shape, _, _>(&mut Extern, &mut Extern, vma, addr, access)
            }
            #[export_name = concat!(stringify!($module), "_fault")]
            fn fault(vma: Vma, addr: usize, page: Pfn) -> Result<Fault, Error> {
                pin::fault::<$policy, $shape, _, _>(&mut Extern, &mut Extern, vma, addr, page)
            }
            #[export_name = concat!(stringify!($module), "_revoke")]
            fn revoke(vma: Vma, range: Range) -> Result<usize, Error> {
                pin::revoke::<$policy, $shape, _, _>(&mut Extern, &mut Extern, vma, range)
            }
            #[export_name = concat!(stringify!($module), "_invalidate")]
            fn invalidate(invalidation: Invalidation) -> usize {
                pin::invalidate(&mut Extern, &mut Extern, invalidation)
            }
            #[export_name = concat!(stringify!($module), "_release")]
            fn release(page: Pfn) -> bool {
                pin::release::<$policy, $shape, _, _>(&mut Extern, &mut Extern, page)
            }
        }
    };
}
entry_points!(as_posted_5_11, AsPosted, V5_11);
entry_points!(as_posted_6_12, AsPosted, V6_12);
entry_points!(hardened_5_11, Hardened, V5_11);
entry_points!(hardened_6_12, Hardened, V6_12);

/// Demanded of a static library; `check.sh` shows that nothing refers to it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
