// SPDX-License-Identifier: GPL-2.0-only
//! Memory of this process, and its children.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, ptr};

pub const PAGE: usize = 4096;

/// A mapping, unmapped when it is dropped.
pub struct Memory {
    pub addr: usize,
    pub npages: usize,
}

fn check(failed: bool) -> io::Result<()> {
    match failed {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

impl Memory {
    pub fn map(npages: usize, flags: i32, fd: i32) -> io::Result<Self> {
        Self::map_at(0, npages, flags, fd)
    }

    fn map_at(addr: usize, npages: usize, flags: i32, fd: i32) -> io::Result<Self> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new memory; where an address is given, it is this program's own.
        let got = unsafe { libc::mmap(addr as _, npages * PAGE, prot, flags, fd, 0) };
        check(got == libc::MAP_FAILED)?;
        Ok(Self {
            addr: got as usize,
            npages,
        })
    }

    /// Private and anonymous, never touched.
    pub fn anonymous(npages: usize) -> io::Result<Self> {
        Self::map(npages, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// The same, with a number in each page.
    pub fn written(npages: usize) -> io::Result<Self> {
        let memory = Self::anonymous(npages)?;
        memory.fill();
        Ok(memory)
    }

    /// One huge page's worth at an address that it needs.
    pub fn huge() -> io::Result<Self> {
        let all = Self::anonymous(1024)?;
        let addr = (all.addr + 512 * PAGE - 1) & !(512 * PAGE - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let memory = Self::map_at(addr, 512, flags, -1)?;
        // The rest stays mapped around it.
        std::mem::forget(all);
        memory.advise(libc::MADV_HUGEPAGE)?;
        memory.fill();
        Ok(memory)
    }

    pub fn fill(&self) {
        for i in 0..self.npages {
            self.word(i).store(1000 + i as u64, Ordering::SeqCst);
        }
    }

    pub fn at(&self, page: usize) -> usize {
        self.addr + page * PAGE
    }

    pub fn word(&self, page: usize) -> &AtomicU64 {
        assert!(page < self.npages);
        // SAFETY: it is mapped, aligned, and whoever else uses it does so by atomics.
        unsafe { &*(self.at(page) as *const AtomicU64) }
    }

    pub fn read(&self, page: usize) -> u64 {
        self.word(page).load(Ordering::SeqCst)
    }

    pub fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: what happens to the contents is what the test is about.
        check(unsafe { libc::madvise(self.addr as _, self.npages * PAGE, advice) } != 0)
    }

    pub fn protect(&self, prot: i32) -> io::Result<()> {
        // SAFETY: nobody writes while it is protected.
        check(unsafe { libc::mprotect(self.addr as _, self.npages * PAGE, prot) } != 0)
    }

    /// A part of it, for one operation; it stays this one's.
    pub fn part(&self, first: usize, npages: usize) -> std::mem::ManuallyDrop<Self> {
        assert!(first + npages <= self.npages);
        std::mem::ManuallyDrop::new(Self {
            addr: self.at(first),
            npages,
        })
    }

    /// Unmap some pages at the start.
    pub fn unmap_first(mut self, npages: usize) -> io::Result<Self> {
        // SAFETY: it is not used any more.
        check(unsafe { libc::munmap(self.addr as _, npages * PAGE) } != 0)?;
        self.addr += npages * PAGE;
        self.npages -= npages;
        Ok(self)
    }

    /// Move it elsewhere.
    pub fn remap(self) -> io::Result<Self> {
        let target = Self::anonymous(self.npages)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let bytes = self.npages * PAGE;
        // SAFETY: the target is ours, the source is not used any more.
        let got = unsafe { libc::mremap(self.addr as _, bytes, bytes, flags, target.addr) };
        check(got == libc::MAP_FAILED)?;
        std::mem::forget(self);
        Ok(target)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody uses it any more.
        unsafe { libc::munmap(self.addr as _, self.npages * PAGE) };
    }
}

/// A child that does what it is told through a pipe, as long as this lives.
pub struct Server {
    pid: i32,
    to: io::PipeWriter,
    from: io::PipeReader,
}

impl Server {
    /// Fork it. `serve` turns what it is asked into an answer.
    pub fn fork(serve: impl Fn([u64; 2]) -> u64) -> io::Result<Self> {
        let (mut child_from, to) = io::pipe()?;
        let (from, mut child_to) = io::pipe()?;
        // SAFETY: only one thread runs where this is called.
        let pid = unsafe { libc::fork() };
        check(pid < 0)?;
        if pid == 0 {
            drop((to, from));
            let mut asked = [0; 16];
            while child_from.read_exact(&mut asked).is_ok() {
                let word = |i: usize| u64::from_ne_bytes(asked[i..i + 8].try_into().unwrap());
                let answer = serve([word(0), word(8)]).to_ne_bytes();
                if child_to.write_all(&answer).is_err() {
                    break;
                }
            }
            // SAFETY: the child ends here.
            unsafe { libc::_exit(0) };
        }
        Ok(Self { pid, to, from })
    }

    pub fn ask(&mut self, what: [u64; 2]) -> io::Result<u64> {
        self.to.write_all(&what[0].to_ne_bytes())?;
        self.to.write_all(&what[1].to_ne_bytes())?;
        let mut answer = [0; 8];
        self.from.read_exact(&mut answer)?;
        Ok(u64::from_ne_bytes(answer))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: it is our child, which has nothing to lose.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, ptr::null_mut(), 0);
        }
    }
}

/// Run in a child; true if it said so, and did not die.
pub fn in_child(run: impl FnOnce() -> bool) -> io::Result<bool> {
    // SAFETY: only one thread runs where this is called.
    let pid = unsafe { libc::fork() };
    check(pid < 0)?;
    if pid == 0 {
        let status = if run() { 0 } else { 1 };
        // SAFETY: the child ends here.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: it is our child.
    check(unsafe { libc::waitpid(pid, &mut status, 0) } != pid)?;
    Ok(status == 0)
}

/// A short reference on the page of an address, until it is dropped: it is in a pipe.
pub struct Reference {
    from: i32,
    to: i32,
}

impl Reference {
    /// `vmsplice()` of one byte.
    pub fn new(addr: usize) -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: room for two numbers.
        check(unsafe { libc::pipe(ends.as_mut_ptr()) } != 0)?;
        let this = Self {
            from: ends[0],
            to: ends[1],
        };
        let byte = libc::iovec {
            iov_base: addr as *mut _,
            iov_len: 1,
        };
        // SAFETY: the byte is the caller's, and is only read.
        check(unsafe { libc::vmsplice(this.to, &byte, 1, 0) } != 1)?;
        Ok(this)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: they are ours.
        unsafe {
            libc::close(self.from);
            libc::close(self.to);
        }
    }
}

/// The pages of an address range under a long-term pin by the kernel's `gup_test`, until it is dropped.
pub struct DmaPin(i32);

#[repr(C)]
struct LongTerm {
    addr: u64,
    size: u64,
    flags: u32,
}

impl DmaPin {
    pub fn new(addr: usize, npages: usize) -> io::Result<Self> {
        let path = c"/sys/kernel/debug/gup_test";
        // SAFETY: a path that ends with 0.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR) };
        check(fd < 0)?;
        let pin = Self(fd);
        let test = LongTerm {
            addr: addr as u64,
            size: (npages * PAGE) as u64,
            flags: 1,
        };
        // _IOW('g', 7, struct pin_longterm_test)
        let command: u64 = 1 << 30 | (size_of::<LongTerm>() as u64) << 16 | (b'g' as u64) << 8 | 7;
        // SAFETY: the structure is what the command is called with.
        check(unsafe { libc::ioctl(pin.0, command as _, &test) } != 0)?;
        Ok(pin)
    }
}

impl Drop for DmaPin {
    fn drop(&mut self) {
        // _IO('g', 8), PIN_LONGTERM_TEST_STOP; closing would do as well.
        // SAFETY: no argument.
        unsafe {
            libc::ioctl(self.0, ((b'g' as u64) << 8 | 8) as _, ptr::null::<u8>());
            libc::close(self.0);
        }
    }
}

use std::mem::size_of;
