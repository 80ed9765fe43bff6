//! A board under QEMU with the firmware of `edge/firmware`, and the line to it.
#![allow(clippy::print_stdout, reason = "what is skipped is said")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serialport::{SerialPort as _, TTYPort};
use tendon_shared::packet::Decoder;
use tendon_shared::protocol::{Envelope, Message};

use super::noise::Noise;

/// How long a read waits for bytes before it looks whether it is still wanted.
const READ: Duration = Duration::from_millis(10);

/// A board that QEMU has.
#[derive(Clone, Copy)]
pub(crate) struct Board {
    /// QEMU's name of it, and the firmware's feature.
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
}

pub(crate) const M3: Board = Board {
    name: "lm3s6965evb",
    target: "thumbv7m-none-eabi",
};
pub(crate) const M4F: Board = Board {
    name: "mps2-an386",
    target: "thumbv7em-none-eabihf",
};
pub(crate) const M7: Board = Board {
    name: "mps2-an500",
    target: "thumbv7em-none-eabihf",
};
pub(crate) const M55: Board = Board {
    name: "mps3-an547",
    target: "thumbv7em-none-eabihf",
};

impl Board {
    /// The emulator, if this machine has it and a toolchain for the board; says what is missing otherwise. `.ci/firmware` brings both.
    pub(crate) fn emulator(&self) -> Option<PathBuf> {
        let skipped = |why: &str| {
            println!("SKIPPED {}: {why}", self.name);
            None
        };
        let Some(emulator) = std::env::var_os("TENDON_QEMU_ARM") else {
            return skipped("TENDON_QEMU_ARM names no qemu-system-arm; .ci/firmware does");
        };
        let sysroot = Command::new("rustc")
            .args(["--print", "sysroot"])
            .output()
            .unwrap();
        let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
        if !sysroot.join("lib/rustlib").join(self.target).is_dir() {
            return skipped(&format!("the toolchain has no target {}", self.target));
        }
        Some(emulator.into())
    }

    /// Builds the firmware and keeps it at `folder`. `image` names the files of an encoder and its classes.
    pub(crate) fn build(&self, folder: &Path, image: Option<(&Path, &Path)>) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge/firmware");
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap().join("firmware");
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["build", "--quiet", "--locked", "--release"])
            .args(["--features", self.name, "--target", self.target])
            .current_dir(source)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("TENDON_ENCODER")
            .env_remove("TENDON_CLASSES");
        if let Some((encoder, classes)) = image {
            command
                .env("TENDON_ENCODER", encoder)
                .env("TENDON_CLASSES", classes);
        }
        assert!(
            command.status().unwrap().success(),
            "{} does not build",
            self.name
        );
        let built = target.join(self.target).join("release/tendon-firmware");
        let kept = folder.join(self.name);
        std::fs::copy(built, &kept).unwrap();
        kept
    }
}

/// An emulated board; killed when dropped.
pub(crate) struct Running {
    child: Child,
    line: PathBuf,
}

impl Running {
    pub(crate) fn start(emulator: &Path, board: Board, image: &Path) -> Self {
        let mut child = Command::new(emulator)
            .args(["-M", board.name, "-display", "none", "-monitor", "none"])
            .args(["-serial", "pty", "-kernel"])
            .arg(image)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        // "char device redirected to /dev/pts/3 (label serial0)"
        let said = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("/dev/pts/"))
            .expect("qemu names the line");
        let line = said.split(' ').find(|word| word.starts_with("/dev/pts/"));
        Self {
            child,
            line: line.unwrap().into(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at every whole message that arrives, after the faults.
pub(crate) type Inspect = Box<dyn FnMut(Arrived<'_>) + Send>;

/// What arrives at an end of the line.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and only looked at"
)]
pub(crate) enum Arrived<'a> {
    Message(Message<'a>),
    /// A whole packet that is no message.
    Nonsense,
    /// A packet whose checksum is wrong.
    Broken,
}

/// A line that no board is joined to yet.
pub(crate) struct Ends {
    near: TTYPort,
    far: TTYPort,
    device: String,
}

impl Ends {
    pub(crate) fn new() -> Self {
        let (near, far) = TTYPort::pair().unwrap();
        let device = far.name().unwrap();
        Self { near, far, device }
    }

    /// The file that the agent opens.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Joins the board. Without a seed the line is good.
    pub(crate) fn join(
        self,
        board: &Running,
        seed: Option<u64>,
        at_agent: Inspect,
        at_board: Inspect,
    ) -> BadLine {
        let open = serialport::new(board.line.to_str().unwrap(), 115_200).timeout(READ);
        let board = TTYPort::open(&open).unwrap();
        let board_reader = board.try_clone_native().unwrap();
        let mut near_reader = self.near.try_clone_native().unwrap();
        near_reader.set_timeout(READ).unwrap();
        let mut line = BadLine {
            stop: Arc::default(),
            quiet: Arc::new(AtomicBool::new(seed.is_none())),
            faults: Arc::default(),
            threads: Vec::new(),
            _agents_end: self.far,
        };
        let noise = |number| Noise::new(seed.unwrap_or(0) * 2 + number);
        line.carry(board_reader, self.near, noise(0), at_agent, false);
        line.carry(near_reader, board, noise(1), at_board, true);
        line
    }
}

/// The line between a board and an agent, with faults in both directions.
pub(crate) struct BadLine {
    stop: Arc<AtomicBool>,
    quiet: Arc<AtomicBool>,
    faults: Arc<Mutex<u64>>,
    threads: Vec<JoinHandle<()>>,
    /// Held open, so that the line is there before and after the agent.
    _agents_end: TTYPort,
}

impl BadLine {
    /// No more faults from now on.
    pub(crate) fn calm(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Faults so far, in both directions.
    pub(crate) fn faults(&self) -> u64 {
        *self.faults.lock().unwrap()
    }

    /// Carries one direction. An `idle` line invents bytes even while nobody sends, once somebody has.
    fn carry(
        &mut self,
        mut from: TTYPort,
        mut to: TTYPort,
        mut noise: Noise,
        mut inspect: Inspect,
        idle: bool,
    ) {
        let (stop, quiet, faults) = (self.stop.clone(), self.quiet.clone(), self.faults.clone());
        self.threads.push(std::thread::spawn(move || {
            let mut decoder = Decoder::new();
            let mut buffer = [0; 4096];
            let mut begun = false;
            while !stop.load(Ordering::Relaxed) {
                let quiet = quiet.load(Ordering::Relaxed);
                let arriving = match from.read(&mut buffer) {
                    Ok(length) if quiet => buffer[..length].to_vec(),
                    Ok(length) => {
                        let before = noise.faults();
                        let passed = noise.pass(&buffer[..length]);
                        *faults.lock().unwrap() += noise.faults() - before;
                        passed
                    }
                    Err(error) if error.kind() == ErrorKind::TimedOut => {
                        if quiet || !idle || !begun {
                            continue;
                        }
                        *faults.lock().unwrap() += 1;
                        noise.invent()
                    }
                    Err(_) => return,
                };
                begun |= !arriving.is_empty();
                for byte in &arriving {
                    match decoder.push(*byte) {
                        None => {}
                        Some(Err(_)) => inspect(Arrived::Broken),
                        Some(Ok(payload)) => inspect(match Envelope::decode(payload) {
                            Ok(envelope) => Arrived::Message(envelope.message),
                            Err(_) => Arrived::Nonsense,
                        }),
                    }
                }
                if write(&mut to, &arriving, &stop).is_err() {
                    return;
                }
            }
        }));
    }
}

impl Drop for BadLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A check that failed in it fails the test.
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a check of what was on the line failed");
            }
        }
    }
}

fn write(to: &mut TTYPort, mut bytes: &[u8], stop: &AtomicBool) -> std::io::Result<()> {
    while !bytes.is_empty() && !stop.load(Ordering::Relaxed) {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
