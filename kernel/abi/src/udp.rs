//! UDP's socket options (`linux/udp.h`; `man 7 udp`).

/// Level of the options.
pub const SOL_UDP: i32 = 17;

macro_rules! options {
    ($($name:ident = $n:literal;)*) => { $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: i32 = $n;)* };
}

options! {
    UDP_CORK = 1;
    UDP_ENCAP = 100;
    UDP_NO_CHECK6_TX = 101;
    UDP_NO_CHECK6_RX = 102;
    UDP_SEGMENT = 103;
    UDP_GRO = 104;
}
