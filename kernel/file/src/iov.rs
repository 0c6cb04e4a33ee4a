//! Scatter-gather access to the caller's memory.

use lkl_abi::Result;
use lkl_ops::UserMem;

/// One piece of the caller's memory (`struct iovec`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Iov {
    /// Address.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    iov: &'a [Iov],
    /// Bytes of the first piece that are done.
    offset: u64,
    remaining: usize,
}

impl<'a> Cursor<'a> {
    fn new(iov: &'a [Iov]) -> Self {
        let total = iov.iter().fold(0u64, |n, v| n.saturating_add(v.len));
        Self { iov, offset: 0, remaining: usize::try_from(total).unwrap_or(usize::MAX) }
    }

    /// The address and length of the next piece, at most `max` bytes, stepping over it.
    fn next(&mut self, max: usize) -> Option<(u64, usize)> {
        while let Some(first) = self.iov.first() {
            let left = first.len - self.offset;
            if left == 0 {
                self.iov = &self.iov[1..];
                self.offset = 0;
                continue;
            }
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(max);
            let at = first.base.wrapping_add(self.offset);
            self.offset += n as u64;
            self.remaining -= n;
            return (n > 0).then_some((at, n));
        }
        None
    }
}

impl Cursor<'_> {
    fn skip(&mut self, mut n: usize) {
        while n > 0 {
            let Some((_, stepped)) = self.next(n) else { break };
            n -= stepped;
        }
    }
}

/// Bytes that the caller gives: the source of a `write` or `send`.
#[derive(Clone, Copy)]
pub struct IovReader<'a> {
    mem: &'a dyn UserMem,
    cursor: Cursor<'a>,
}

impl<'a> IovReader<'a> {
    /// Reads from `iov` in `mem`.
    pub fn new(mem: &'a dyn UserMem, iov: &'a [Iov]) -> Self {
        Self { mem, cursor: Cursor::new(iov) }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.cursor.remaining
    }

    /// Fills the front of `buf` with the next bytes; answers how many. Stepping back is by having kept a copy of
    /// the reader.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let Some((at, n)) = self.cursor.next(buf.len() - done) else { break };
            self.mem.read(at, &mut buf[done..done + n])?;
            done += n;
        }
        Ok(done)
    }

    /// Steps over the next `n` bytes without reading them.
    pub fn skip(&mut self, n: usize) {
        self.cursor.skip(n);
    }

    /// The next `max` bytes at most, in a vector.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn read_vec(&mut self, max: usize) -> Result<Vec<u8>> {
        let mut buf = Vec::with_capacity(self.remaining().min(max));
        self.read_append(max, &mut buf)?;
        Ok(buf)
    }

    /// Appends the next `max` bytes at most to `out`; answers how many.
    ///
    /// # Errors
    /// `EFAULT`; `out` may have got some of them.
    pub fn read_append(&mut self, max: usize, out: &mut Vec<u8>) -> Result<usize> {
        let (wanted, mut done) = (self.remaining().min(max), 0);
        while done < wanted {
            let Some((at, n)) = self.cursor.next(wanted - done) else { break };
            self.mem.append(at, n, out)?;
            done += n;
        }
        Ok(done)
    }
}

/// Room that the caller gives: the target of a `read` or `recv`.
#[derive(Clone, Copy)]
pub struct IovWriter<'a> {
    mem: &'a dyn UserMem,
    cursor: Cursor<'a>,
}

impl<'a> IovWriter<'a> {
    /// Writes to `iov` in `mem`.
    pub fn new(mem: &'a dyn UserMem, iov: &'a [Iov]) -> Self {
        Self { mem, cursor: Cursor::new(iov) }
    }

    /// Room that is left, in bytes.
    pub fn remaining(&self) -> usize {
        self.cursor.remaining
    }

    /// Steps over the next `n` bytes without writing them.
    pub fn skip(&mut self, n: usize) {
        self.cursor.skip(n);
    }

    /// Copies as much of `data` as there is room for; answers how much.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write(&mut self, data: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < data.len() {
            let Some((at, n)) = self.cursor.next(data.len() - done) else { break };
            self.mem.write(at, &data[done..done + n])?;
            done += n;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lkl_abi::Errno;
    use std::sync::Mutex;

    struct Mem(Mutex<Vec<u8>>);

    impl UserMem for Mem {
        fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
            let mem = self.0.lock().unwrap();
            let from = mem.get(addr as usize..addr as usize + buf.len()).ok_or(Errno::EFAULT)?;
            buf.copy_from_slice(from);
            Ok(())
        }

        fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
            let mut mem = self.0.lock().unwrap();
            let to = mem.get_mut(addr as usize..addr as usize + data.len()).ok_or(Errno::EFAULT)?;
            to.copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn pieces_follow_each_other() {
        let mem = Mem(Mutex::new((0..16).collect()));
        let iov = [Iov { base: 2, len: 2 }, Iov { base: 9, len: 0 }, Iov { base: 10, len: 3 }];
        let mut r = IovReader::new(&mem, &iov);
        assert_eq!(r.remaining(), 5);
        let mut b = [0; 3];
        assert_eq!(r.read(&mut b), Ok(3));
        assert_eq!(b, [2, 3, 10]);
        assert_eq!(r.read_vec(9).unwrap(), [11, 12]);
        assert_eq!(r.read(&mut b), Ok(0));
        let mut w = IovWriter::new(&mem, &iov);
        assert_eq!(w.write(&[90, 91, 92]), Ok(3));
        assert_eq!(w.write(&[93, 94, 95]), Ok(2));
        assert_eq!(mem.0.lock().unwrap()[10..14], [92, 93, 94, 13]);
    }

    #[test]
    fn a_bad_address_is_efault() {
        let mem = Mem(Mutex::new(vec![0; 4]));
        let iov = [Iov { base: 2, len: 8 }];
        assert_eq!(IovReader::new(&mem, &iov).read(&mut [0; 8]), Err(Errno::EFAULT));
    }
}
