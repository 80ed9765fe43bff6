//! The Python scripts of the peers: carried in the program, written beside the subject, started from there.

use std::path::Path;
use std::process::Command;

/// Every script and module, by name.
const FILES: [(&str, &str); 8] = [
    ("peer.py", include_str!("peers/peer.py")),
    ("stgcn.py", include_str!("peers/stgcn.py")),
    ("torch_stgcn.py", include_str!("peers/torch_stgcn.py")),
    ("infer.py", include_str!("peers/infer.py")),
    ("train.py", include_str!("peers/train.py")),
    ("adapt.py", include_str!("peers/adapt.py")),
    ("import.py", include_str!("peers/import.py")),
    ("ort.py", include_str!("peers/ort.py")),
];

/// A peer: its name in tables, its script, and the variant that the script is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Name in tables.
    pub name: &'static str,
    script: &'static str,
    variant: &'static str,
}

const fn peer(name: &'static str, script: &'static str, variant: &'static str) -> Peer {
    Peer {
        name,
        script,
        variant,
    }
}

/// Peers of inference.
pub const INFER: [Peer; 5] = [
    peer("PyTorch eager", "infer.py", "eager"),
    peer("PyTorch folded", "infer.py", "folded"),
    peer("torch.compile", "infer.py", "compiled"),
    peer("ONNX Runtime fp32", "ort.py", "float"),
    peer("ONNX Runtime int8", "ort.py", "int8"),
];

/// Peers of a training step.
pub const TRAIN: [Peer; 1] = [peer("PyTorch eager", "train.py", "eager")];

/// Peers of an adaptation step.
pub const ADAPT: [Peer; 3] = [
    peer("PyTorch, whole encoder", "adapt.py", "whole"),
    peer("PyTorch, frozen trunk", "adapt.py", "frozen"),
    peer("PyTorch, kept features", "adapt.py", "kept"),
];

/// Peers of an import.
pub const IMPORT: [Peer; 1] = [peer("Python reference", "import.py", "reference")];

/// Writes all scripts into `folder`.
///
/// # Errors
/// The folder cannot be written to.
pub fn write(folder: &Path) -> std::io::Result<()> {
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

impl Peer {
    /// The command that starts it on the subject in `folder`, which also holds the scripts.
    #[must_use]
    pub fn command(&self, python: &Path, folder: &Path, threads: usize) -> Command {
        let mut command = Command::new(python);
        command
            // A folder that is about to be removed needs no compiled modules.
            .args(["-B", "-u"])
            .arg(folder.join(self.script))
            .arg(folder)
            .args([self.variant, &threads.to_string()]);
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_its_script() {
        let known: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        let mut peers = [&INFER[..], &TRAIN, &ADAPT, &IMPORT].into_iter().flatten();
        assert!(peers.all(|peer| known.contains(&peer.script)));
    }

    #[test]
    fn every_script_says_what_it_is() {
        for (name, text) in FILES {
            assert!(text.starts_with("\"\"\""), "{name}");
        }
    }
}
