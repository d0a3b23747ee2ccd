//! Standard output.

use std::io::{self, Write};

/// Standard output. If whoever reads the other end of a pipe has seen enough, nothing more is written, and the
/// checks go on for the sake of the exit status.
pub(crate) struct Output {
    out: io::StdoutLock<'static>,
    closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            out: io::stdout().lock(),
            closed: false,
        }
    }

    fn unless_closed(&mut self, result: io::Result<usize>, all: usize) -> io::Result<usize> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(all)
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.out.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush().map(|()| 0);
        self.unless_closed(result, 0).map(|_| ())
    }
}
