//! The most multiplications a second that an instruction can do on this machine, measured on registers alone.
#![allow(
    unsafe_code,
    reason = "the instructions of a path are run after asking whether the machine has them"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;
use tendon_engine::Path;

/// Peaks measured so far, GMAC/s.
static PEAKS: Mutex<BTreeMap<Path, Option<f64>>> = Mutex::new(BTreeMap::new());

/// Returns the peak of a path's instruction in GMAC/s, measured once; nothing for paths without an instruction of their own.
pub fn of(path: Path) -> Option<f64> {
    let mut peaks = PEAKS.lock().ok()?;
    *peaks.entry(path).or_insert_with(|| measure(path))
}

/// Rounds of one measurement.
const ROUNDS: u64 = 200_000;

/// Returns the rate of the fastest of some measurements of `run`, which does `each` multiplications a round.
fn rate(each: u64, run: impl Fn(u64)) -> f64 {
    let fastest = (0..20)
        .map(|_| {
            let start = Instant::now();
            run(ROUNDS);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min);
    (each * ROUNDS) as f64 / fastest / 1e9
}

#[cfg(target_arch = "x86_64")]
fn measure(path: Path) -> Option<f64> {
    // SAFETY: only paths that the machine has are measured, and each function uses the instructions of its path.
    if !path.is_available() {
        return None;
    }
    match path {
        Path::Avx2 => Some(rate(12 * 16, |rounds| unsafe { x86::madd(rounds) })),
        Path::AvxVnni => Some(rate(12 * 32, |rounds| unsafe { x86::dot_256(rounds) })),
        Path::Avx512Vnni => Some(rate(12 * 64, |rounds| unsafe { x86::dot_512(rounds) })),
        Path::Amx => Some(rate(4 * 16 * 16 * 64, |rounds| unsafe {
            x86::tiles(rounds)
        })),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn measure(_: Path) -> Option<f64> {
    None
}

/// One function an instruction, with as many sums as hide its latency.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    /// Defines a loop of twelve independent instructions.
    macro_rules! twelve {
        ($(#[$doc:meta])* $name:ident, $features:literal, $($instruction:literal),+) => {
            $(#[$doc])*
            ///
            /// # Safety
            /// The machine has the instructions.
            #[target_feature(enable = $features)]
            pub unsafe fn $name(rounds: u64) {
                // SAFETY: registers only.
                unsafe {
                    asm!(
                        "2:",
                        $($instruction,)+
                        "dec {rounds}",
                        "jnz 2b",
                        rounds = inout(reg) rounds => _,
                        out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                        out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                        out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                        out("xmm12") _, out("xmm13") _,
                        options(nomem, nostack)
                    );
                }
            }
        };
    }

    twelve!(
        /// `vpmaddwd` with the addition that it needs, 16 multiplications.
        madd, "avx2",
        "vpmaddwd ymm12, ymm12, ymm13", "vpaddd ymm0, ymm0, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm1, ymm1, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm2, ymm2, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm3, ymm3, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm4, ymm4, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm5, ymm5, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm6, ymm6, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm7, ymm7, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm8, ymm8, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm9, ymm9, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm10, ymm10, ymm12",
        "vpmaddwd ymm12, ymm13, ymm13", "vpaddd ymm11, ymm11, ymm12"
    );

    twelve!(
        /// `vpdpbusd` on 256 bits, 32 multiplications.
        dot_256, "avx2,avxvnni",
        "{{vex}} vpdpbusd ymm0, ymm12, ymm13", "{{vex}} vpdpbusd ymm1, ymm12, ymm13",
        "{{vex}} vpdpbusd ymm2, ymm12, ymm13", "{{vex}} vpdpbusd ymm3, ymm12, ymm13",
        "{{vex}} vpdpbusd ymm4, ymm12, ymm13", "{{vex}} vpdpbusd ymm5, ymm12, ymm13",
        "{{vex}} vpdpbusd ymm6, ymm12, ymm13", "{{vex}} vpdpbusd ymm7, ymm12, ymm13",
        "{{vex}} vpdpbusd ymm8, ymm12, ymm13", "{{vex}} vpdpbusd ymm9, ymm12, ymm13",
        "{{vex}} vpdpbusd ymm10, ymm12, ymm13", "{{vex}} vpdpbusd ymm11, ymm12, ymm13"
    );

    twelve!(
        /// `vpdpbusd` on 512 bits, 64 multiplications.
        dot_512, "avx512f,avx512vnni",
        "vpdpbusd zmm0, zmm12, zmm13", "vpdpbusd zmm1, zmm12, zmm13",
        "vpdpbusd zmm2, zmm12, zmm13", "vpdpbusd zmm3, zmm12, zmm13",
        "vpdpbusd zmm4, zmm12, zmm13", "vpdpbusd zmm5, zmm12, zmm13",
        "vpdpbusd zmm6, zmm12, zmm13", "vpdpbusd zmm7, zmm12, zmm13",
        "vpdpbusd zmm8, zmm12, zmm13", "vpdpbusd zmm9, zmm12, zmm13",
        "vpdpbusd zmm10, zmm12, zmm13", "vpdpbusd zmm11, zmm12, zmm13"
    );

    /// The shapes of eight full tiles: 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Shapes([u8; 64]);

    /// `tdpbusd` on full tiles, 4 times 16 * 16 * 64 multiplications a round.
    ///
    /// # Safety
    /// The machine has AMX, and the process may use it.
    pub unsafe fn tiles(rounds: u64) {
        let mut shapes = Shapes([0; 64]);
        shapes.0[0] = 1;
        for tile in 0..8 {
            shapes.0[16 + 2 * tile] = 64;
            shapes.0[48 + tile] = 16;
        }
        // SAFETY: the configuration is 64 bytes; afterwards registers only.
        unsafe {
            asm!(
                "ldtilecfg [{shapes}]",
                "2:",
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm1, tmm4, tmm7",
                "tdpbusd tmm2, tmm5, tmm6",
                "tdpbusd tmm3, tmm5, tmm7",
                "dec {rounds}",
                "jnz 2b",
                "tilerelease",
                shapes = in(reg) &shapes,
                rounds = inout(reg) rounds => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly)
            );
        }
    }
}
