//! What every socket can be asked. Nothing blocks: `EAGAIN` means try again when the wait queue says so.

use crate::{File, IovReader, IovWriter, SockAddr, SockOptions};
use lkl_abi::Result;
use std::sync::Arc;

/// Which half to shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// `SHUT_RD`
    Read,
    /// `SHUT_WR`
    Write,
    /// `SHUT_RDWR`
    Both,
}

/// One control message (`struct cmsghdr` and its data).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// `cmsg_level`
    pub level: i32,
    /// `cmsg_type`
    pub kind: i32,
    /// The data, without the header.
    pub data: Vec<u8>,
}

/// The control messages of one message.
pub type ControlMessages = Vec<Control>;

/// What `sendmsg` is given.
pub struct SendMsg<'a> {
    /// Destination, if one was given.
    pub name: Option<SockAddr>,
    /// The bytes. A socket takes from it what it sends.
    pub data: &'a mut IovReader<'a>,
    /// Control messages.
    pub control: ControlMessages,
    /// `MSG_*`
    pub flags: u32,
}

/// What `recvmsg` is given, and answers beside the length.
pub struct RecvMsg<'a> {
    /// Room for the bytes.
    pub data: &'a mut IovWriter<'a>,
    /// `MSG_*` of the call.
    pub flags: u32,
    /// Where it came from (answer).
    pub name: Option<SockAddr>,
    /// Control messages (answer).
    pub control: ControlMessages,
    /// `msg_flags` (answer): `MSG_TRUNC`, `MSG_ERRQUEUE`, ... `MSG_CTRUNC` is set by the system call layer.
    pub out_flags: u32,
}

/// A socket.
pub trait Socket: File {
    /// `AF_*`
    fn family(&self) -> u16;

    /// `SOCK_*`, without flags.
    fn kind(&self) -> u32;

    /// Protocol number.
    fn protocol(&self) -> u32;

    /// The state that all sockets share (`man 7 socket`).
    fn options(&self) -> &SockOptions;

    /// `man 2 bind`
    ///
    /// # Errors
    /// As the page says.
    fn bind(&self, addr: &SockAddr) -> Result<()>;

    /// Begins to connect (`man 2 connect`).
    ///
    /// # Errors
    /// `EINPROGRESS` when it goes on by itself (`POLLOUT` tells the end, [`Socket::connect_result`] how it went),
    /// `EALREADY`, `EISCONN`, and others as the page says.
    fn connect(&self, addr: &SockAddr) -> Result<()>;

    /// How the connecting went, for a caller that waits for it.
    ///
    /// # Errors
    /// `EAGAIN` while it still goes on; else why it failed (which also clears `SO_ERROR`).
    fn connect_result(&self) -> Result<()> {
        Ok(())
    }

    /// `man 2 listen`
    ///
    /// # Errors
    /// As the page says.
    fn listen(&self, backlog: i32) -> Result<()>;

    /// Takes the next connection and its peer's address.
    ///
    /// # Errors
    /// `EAGAIN` if there is none, and others as `man 2 accept` says.
    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)>;

    /// Sends. Answers the bytes taken: a datagram wholly, of a stream perhaps fewer than given. `EPIPE` raises no
    /// signal here; the system call layer asks for it.
    ///
    /// # Errors
    /// `EAGAIN` if it would block, and others as `man 2 send` says.
    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize>;

    /// Receives. Answers the bytes (with `MSG_TRUNC` in the call's flags, the real length of a datagram). Of
    /// `MSG_WAITALL` and `SO_RCVLOWAT` a stream socket does the latter; the former is the system call layer's.
    ///
    /// # Errors
    /// `EAGAIN` if it would block, and others as `man 2 recv` says.
    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize>;

    /// `man 2 shutdown`
    ///
    /// # Errors
    /// `ENOTCONN`.
    fn shutdown(&self, how: Shutdown) -> Result<()>;

    /// `man 2 getsockname`
    ///
    /// # Errors
    /// As the page says.
    fn local_addr(&self) -> Result<SockAddr>;

    /// `man 2 getpeername`
    ///
    /// # Errors
    /// `ENOTCONN`.
    fn peer_addr(&self) -> Result<SockAddr>;

    /// Sets an option. The system call layer has dealt with those of [`SockOptions`] already. The value of
    /// `SO_ATTACH_FILTER` and `SO_ATTACH_REUSEPORT_CBPF` is the program itself (an array of `struct sock_filter`), not
    /// the `struct sock_fprog` that points to it.
    ///
    /// # Errors
    /// `ENOPROTOOPT` if the option is not there, and others as `man 2 setsockopt` says.
    fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Result<()>;

    /// Reads an option: the whole value, which the system call layer cuts to the caller's length. `given` is what
    /// stands in the caller's buffer (some options have an argument there), of at most 512 bytes. Asked for
    /// `SO_ACCEPTCONN` too (an `int`), and for `SO_GET_FILTER`, where the answer is the program itself.
    ///
    /// # Errors
    /// `ENOPROTOOPT` if the option is not there, and others as `man 2 getsockopt` says.
    fn getsockopt(&self, level: i32, name: i32, given: &[u8]) -> Result<Vec<u8>>;

    /// Bytes that could be read now without waiting (`FIONREAD`).
    ///
    /// # Errors
    /// `EINVAL` for a listening socket.
    fn readable_bytes(&self) -> Result<usize>;

    /// Bytes in the send queue (`SIOCOUTQ`).
    ///
    /// # Errors
    /// `EINVAL` for a listening socket.
    fn unsent_bytes(&self) -> Result<usize>;

    /// The stamps of what it sends are numbered from here (`SOF_TIMESTAMPING_OPT_ID`): of a stream from the byte that is
    /// written next if `written`, else from the one that is to be acknowledged next.
    ///
    /// # Errors
    /// `EINVAL` for a stream that is not connected.
    fn number_stamps(&self, written: bool) -> Result<()> {
        let _ = written;
        Ok(())
    }

    /// An option of [`SockOptions`] was changed by the system call layer.
    fn options_changed(&self) {}
}
