//! Where a stream of poses goes.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use tendon_files::{Access, Draft};

/// A place for pose lines, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    /// `stdout`
    Stdout,
    /// `tcp:<address>:<port>`
    Tcp(String),
    /// `unix:<path>`
    Unix(PathBuf),
    /// `file:<path>`
    File(PathBuf),
}

/// An open sink.
pub(crate) enum Open {
    /// A stream that takes lines as they come.
    Stream(Box<dyn Write>),
    /// A file that appears under its name only when it is whole.
    File(Draft),
}

impl FromStr for Sink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            Some(("tcp", address)) if address.contains(':') => {
                Ok(Self::Tcp(address.trim_start_matches("//").into()))
            }
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("use stdout, tcp:ADDRESS:PORT, unix:PATH or file:PATH".into()),
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Sink {
    /// Connects, or begins a file.
    pub(crate) fn open(&self) -> io::Result<Open> {
        Ok(match self {
            Self::Stdout => Open::Stream(Box::new(BufWriter::new(io::stdout()))),
            Self::Tcp(address) => {
                Open::Stream(Box::new(BufWriter::new(TcpStream::connect(address)?)))
            }
            Self::Unix(path) => Open::Stream(Box::new(BufWriter::new(UnixStream::connect(path)?))),
            Self::File(path) => {
                // Poses of people at home.
                Open::File(Draft::create(path, Access::Private)?)
            }
        })
    }
}

impl Open {
    /// Puts a file in its place.
    pub(crate) fn close(self) -> io::Result<()> {
        match self {
            Self::File(draft) => draft.commit(),
            Self::Stream(_) => Ok(()),
        }
    }
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for text in [
            "stdout",
            "tcp:127.0.0.1:7",
            "unix:/run/p.sock",
            "file:a.jsonl",
        ] {
            assert_eq!(
                text.parse::<Sink>().map(|sink| sink.to_string()),
                Ok(text.to_owned())
            );
        }
        for wrong in ["", "tcp:7", "udp:1:2", "file:"] {
            assert!(wrong.parse::<Sink>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stream.jsonl");
        let sink = Sink::File(path.clone());
        let mut open = sink.open().unwrap();
        open.write_all(b"line\n").unwrap();
        assert!(!path.exists());
        open.close().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"line\n");
    }
}
