//! The two AWS emulators that check our requests against someone else's reading of the wire: ministack and moto.
//!
//! Each runs from a Python environment under the cache, on a free loopback port, for this run only.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::exec::say;
use crate::keep::{Kept, Service};
use crate::{places, python};

/// `cbor2` lets ministack answer `aws-sdk-cloudwatch`, which speaks rpc-v2-cbor only.
const EMULATORS: [&str; 4] = ["ministack==1.5.33", "cbor2==6.3.0", "microburst==0.10.0", "moto[server]==5.2.5"];

/// The emulators of this run.
pub(crate) struct Emulators {
    pub(crate) ministack_url: String,
    pub(crate) moto_url: String,
    /// The fault-injecting proxy's program; tests start it themselves, in front of one of the two.
    pub(crate) microburst: PathBuf,
    _servers: Vec<Kept>,
}

impl Emulators {
    /// Installs what is missing and starts both.
    pub(crate) fn start() -> Result<Self> {
        let venv = python::venv("emulators", &EMULATORS)?;
        let ministack_port = places::free_port()?;
        let mut ministack = Command::new(python::program(&venv, "ministack")?);
        ministack
            .env("GATEWAY_PORT", ministack_port.to_string())
            // Without it, it listens on every interface.
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0");
        let mut ministack = service("ministack", ministack)?;

        let moto_port = places::free_port()?;
        let mut moto = Command::new(python::program(&venv, "moto_server")?);
        moto.args(["-H", "127.0.0.1", "-p", &moto_port.to_string()]);
        let mut moto = service("moto", moto)?;

        // Both load for some seconds; they do it at the same time.
        let limit = Duration::from_mins(2);
        ministack.wait_ready(limit, || answers(ministack_port, "/_ministack/health"))?;
        moto.wait_ready(limit, || answers(moto_port, "/moto-api/"))?;
        say(&format!("emulators: ministack on 127.0.0.1:{ministack_port}, moto on 127.0.0.1:{moto_port}"));
        Ok(Self {
            ministack_url: format!("http://127.0.0.1:{ministack_port}"),
            moto_url: format!("http://127.0.0.1:{moto_port}"),
            microburst: python::program(&venv, "microburst")?,
            _servers: vec![ministack, moto],
        })
    }
}

fn service(name: &str, mut command: Command) -> Result<Kept> {
    let dir = places::scratch(name)?;
    // They write under the home and the working directory; neither shall be the user's.
    command.current_dir(&dir).env("HOME", &dir);
    let service = Service {
        command,
        name: name.into(),
        user: None,
        stop_signal: "TERM",
        grace: Duration::from_secs(5),
        log: Some(dir.join("log")),
        remove: Some(dir),
    };
    service.start()
}

/// Whether an HTTP server answers there with success.
fn answers(port: u16, path: &str) -> bool {
    let second = Duration::from_secs(1);
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), second) else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let mut head = [0_u8; 12];
    stream.set_read_timeout(Some(second)).is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.ends_with(b" 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_counts_as_up_only_when_it_answers_200() {
        for (answer, up) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Busy\r\n\r\n", false), ("", false)] {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0_u8; 1024]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(answers(port, "/health"), up, "{answer:?}");
            server.join().unwrap();
        }
    }
}
