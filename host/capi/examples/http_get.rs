//! Fetches a page over a kernel of its own, whose network is a TAP as the README describes it:
//!
//! ```sh
//! LKL_HIJACK_NET_TAP=tap0 LKL_HIJACK_NET_IP=10.0.0.2/24 cargo run -p lkl --example http_get 10.0.0.1:80 /
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let server: SocketAddr = args.next().ok_or("usage: http_get ADDRESS:PORT [PATH]")?.parse()?;
    let path = args.next().unwrap_or_else(|| "/".into());

    let kernel = lkl::Kernel::builder().environment()?.boot()?;
    let process = Arc::new(kernel.process());
    let mut connection = lkl::TcpStream::connect(&process, server)?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", server.ip())?;
    let mut page = Vec::new();
    connection.read_to_end(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(())
}
