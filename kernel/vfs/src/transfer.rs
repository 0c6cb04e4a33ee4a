//! Where bytes go when a file is read, and where they come from when it is written: a program's memory, or the kernel's own.

use lkl_file::{IovReader, IovWriter};

/// Whom bytes go to.
pub(crate) trait Sink {
    /// How many it can take.
    fn room(&self) -> usize;

    /// Takes as many as it can, and answers how many: fewer than there is room for if it has met a bad address.
    fn put(&mut self, data: &[u8]) -> usize;
}

/// Whom bytes come from.
pub(crate) trait Source {
    /// How many there are.
    fn left(&self) -> usize;

    /// Fills as much of `buf` as it can, and answers how much: less than there is if it has met a bad address.
    fn get(&mut self, buf: &mut [u8]) -> usize;

    /// Appends `len` bytes to `out`, or as many as it can.
    fn append(&mut self, out: &mut Vec<u8>, len: usize) -> usize;
}

/// Does `len` bytes in `step`s (where, how many), with ever smaller ones if one fails, so that all before a bad address is done.
fn bisect(len: usize, mut step: impl FnMut(usize, usize) -> bool) -> usize {
    let (mut done, mut size) = (0, len);
    while size > 0 && done < len {
        size = size.min(len - done);
        if step(done, size) {
            done += size;
        } else {
            size /= 2;
        }
    }
    done
}

impl Sink for IovWriter<'_> {
    fn room(&self) -> usize {
        self.remaining()
    }

    fn put(&mut self, data: &[u8]) -> usize {
        bisect(data.len().min(self.remaining()), |at, len| {
            let before = *self;
            let ok = data.get(at..at + len).is_some_and(|d| self.write(d).is_ok());
            if !ok {
                *self = before;
            }
            ok
        })
    }
}

impl Source for IovReader<'_> {
    fn left(&self) -> usize {
        self.remaining()
    }

    fn get(&mut self, buf: &mut [u8]) -> usize {
        bisect(buf.len().min(self.remaining()), |at, len| {
            let before = *self;
            let ok = buf.get_mut(at..at + len).is_some_and(|b| self.read(b).is_ok());
            if !ok {
                *self = before;
            }
            ok
        })
    }

    fn append(&mut self, out: &mut Vec<u8>, len: usize) -> usize {
        bisect(len.min(self.remaining()), |_, len| {
            let (before, end) = (*self, out.len());
            let ok = self.read_append(len, out).is_ok();
            if !ok {
                *self = before;
                out.truncate(end);
            }
            ok
        })
    }
}

impl Sink for &mut [u8] {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, data: &[u8]) -> usize {
        let n = data.len().min(self.len());
        let (front, rest) = core::mem::take(self).split_at_mut(n);
        front.copy_from_slice(data.get(..n).unwrap_or_default());
        *self = rest;
        n
    }
}

impl Source for &[u8] {
    fn left(&self) -> usize {
        self.len()
    }

    fn get(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.len());
        let (front, rest) = self.split_at(n);
        if let Some(buf) = buf.get_mut(..n) {
            buf.copy_from_slice(front);
        }
        *self = rest;
        n
    }

    fn append(&mut self, out: &mut Vec<u8>, len: usize) -> usize {
        let (front, rest) = self.split_at(len.min(self.len()));
        out.extend_from_slice(front);
        *self = rest;
        front.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_before_a_bad_address_is_done() {
        for good in 0..40 {
            let mut seen = Vec::new();
            let done = bisect(33, |at, len| {
                let ok = at + len <= good;
                if ok {
                    seen.extend(at..at + len);
                }
                ok
            });
            assert_eq!(done, good.min(33));
            assert!(seen.into_iter().eq(0..done));
        }
    }
}
