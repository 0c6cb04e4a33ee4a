//! A network device that carries Ethernet frames.

use bytes::Bytes;
use lkl_abi::Result;

/// What a device can do beyond carrying plain frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// Fills in transport checksums of frames sent ([`TxFrame::checksum`]).
    pub tx_checksum: bool,
    /// Cuts TCP over IPv4 frames sent into segments ([`TxFrame::gso`]).
    pub tso4: bool,
    /// Cuts TCP over IPv6 frames sent into segments.
    pub tso6: bool,
}

/// A checksum that is left to be filled in, as virtio-net has it: the ones' complement sum from `start` to the end
/// of the frame, stored at `start + offset`, where the pseudo-header's sum already stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum {
    /// Offset of the transport header in the frame, in bytes.
    pub start: u16,
    /// Offset of the checksum field in the transport header, in bytes.
    pub offset: u16,
}

/// How an oversized frame is to be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP (USO).
    Udp,
}

/// A frame that stands for several segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gso {
    /// What is in it.
    pub kind: GsoKind,
    /// Payload bytes per segment.
    pub size: u16,
    /// Bytes of all headers before the payload, Ethernet's included.
    pub header_len: u16,
}

/// A frame to send, in parts that follow each other on the wire.
#[derive(Clone, Copy, Debug)]
pub struct TxFrame<'a> {
    /// The bytes, from the Ethernet header on.
    pub parts: &'a [&'a [u8]],
    /// The transport checksum, if the device is to fill it in.
    pub checksum: Option<Checksum>,
    /// How to cut it, if it is oversized.
    pub gso: Option<Gso>,
}

/// What is known of the transport checksum of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// Nothing: it has to be looked at.
    No,
    /// It is right.
    Valid,
    /// It was never filled in: the frame comes from the same machine. The pseudo-header's sum stands in its place.
    Unfilled,
}

impl Checked {
    /// Need it not be looked at?
    pub const fn is_ok(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// A frame received.
#[derive(Clone, Debug)]
pub struct RxFrame {
    /// The bytes, from the Ethernet header on.
    pub data: Bytes,
    /// Its transport checksum.
    pub checksum: Checked,
    /// It stands for several segments.
    pub gso: Option<Gso>,
}

/// A device. Both calls never block and may be made by several threads at once.
pub trait NetDev: Send + Sync {
    /// Hardware address.
    fn mac(&self) -> [u8; 6];

    /// What it can do.
    fn features(&self) -> Features {
        Features::default()
    }

    /// Name of the driver, as `ethtool -i` shows it.
    fn driver(&self) -> &'static str;

    /// Sends one frame.
    ///
    /// # Errors
    /// `EAGAIN` if the queue is full (the frame is dropped and counted by the caller); `EIO` and others if the device is gone.
    fn send(&self, frame: &TxFrame<'_>) -> Result<()>;

    /// Takes one received frame.
    ///
    /// # Errors
    /// `EAGAIN` if there is none.
    fn recv(&self) -> Result<RxFrame>;
}
