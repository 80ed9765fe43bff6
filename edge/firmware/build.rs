//! Puts the board's memory limits where the linker looks, and the encoder of `TENDON_ENCODER`, if there is one, into the image.

#![allow(clippy::panic, reason = "a build that cannot go on says why")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Boards and the parts whose memory they are held to.
const BOARDS: [(&str, &str); 4] = [
    ("MPS2_AN386", "nrf52832.x"),
    ("LM3S6965EVB", "lm3s6965.x"),
    ("MPS2_AN500", "stm32f746.x"),
    ("MPS3_AN547", "ensemble-m55-he.x"),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rerun-if-changed=memory");
    println!("cargo::rustc-link-search={}", out.display());
    let mut chosen = BOARDS
        .iter()
        .filter(|(board, _)| env::var_os(format!("CARGO_FEATURE_{board}")).is_some());
    if let Some((_, memory)) = chosen.next() {
        copy(&Path::new("memory").join(memory), &out.join("memory.x"));
        assert!(chosen.next().is_none(), "choose one board");
    }
    embed(&out);
}

/// Files that the image takes in: the blob of an encoder, and its classes' names, one a line.
fn embed(out: &Path) {
    println!("cargo::rustc-check-cfg=cfg(encoder)");
    for (variable, name) in [
        ("TENDON_ENCODER", "encoder.bin"),
        ("TENDON_CLASSES", "classes.txt"),
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
        let place = out.join(name);
        match env::var_os(variable).map(PathBuf::from) {
            Some(from) => {
                println!("cargo::rerun-if-changed={}", from.display());
                copy(&from, &place);
                if variable == "TENDON_ENCODER" {
                    println!("cargo::rustc-cfg=encoder");
                }
            }
            None => fs::write(&place, "").unwrap_or_else(|error| panic!("{name}: {error}")),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
