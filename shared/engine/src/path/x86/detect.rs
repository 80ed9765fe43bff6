//! What this x86-64 processor and its operating system offer. Without the standard library, so asked from the processor itself.
#![allow(
    unsafe_code,
    reason = "reading XCR0 is an intrinsic, asking for AMX a system call"
)]

use crate::path::Path;
use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets that the paths need.
#[derive(Clone, Copy, Default)]
struct Features(u8);

impl Features {
    const ASKED: u8 = 1;
    const AVX2: u8 = 2;
    const AVX_VNNI: u8 = 4;
    const AVX512_VNNI: u8 = 8;
    const AMX: u8 = 16;
}

/// The answer is kept: asking is slow in virtual machines.
static FEATURES: AtomicU8 = AtomicU8::new(0);

/// Whether the processor has what `path` needs and the operating system saves its registers.
pub(in crate::path) fn has(path: Path) -> bool {
    let mut features = FEATURES.load(Ordering::Relaxed);
    if features == 0 {
        features = ask().0;
        FEATURES.store(features, Ordering::Relaxed);
    }
    let needed = match path {
        Path::Avx2 => Features::AVX2,
        Path::AvxVnni => Features::AVX2 | Features::AVX_VNNI,
        Path::Avx512Vnni => Features::AVX2 | Features::AVX512_VNNI,
        Path::Amx => Features::AVX2 | Features::AVX512_VNNI | Features::AMX,
        _ => 0,
    };
    features & needed == needed
}

/// Asks. Source of the bits: Intel SDM, volume 2, CPUID; volume 1, 13.3.
fn ask() -> Features {
    const OSXSAVE_AVX: u32 = 1 << 27 | 1 << 28;
    /// XMM and YMM; and masks and both halves of ZMM.
    const YMM: u64 = 0b110;
    const ZMM: u64 = 0b1110_0110;
    /// Configuration and contents of the tile registers.
    const TILES: u64 = 0b11 << 17;
    let mut features = Features(Features::ASKED);
    let bit = |register: u32, bit: u32| register >> bit & 1 == 1;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE_AVX != OSXSAVE_AVX {
        return features;
    }
    // SAFETY: OSXSAVE says that the instruction exists and is enabled.
    let saved = unsafe { _xgetbv(0) };
    let leaf = __cpuid_count(7, 0);
    let subleaf = if leaf.eax >= 1 {
        __cpuid_count(7, 1).eax
    } else {
        0
    };
    if saved & YMM == YMM && bit(leaf.ebx, 5) {
        features.0 |= Features::AVX2;
        if bit(subleaf, 4) {
            features.0 |= Features::AVX_VNNI;
        }
        // F, BW, VL and VNNI.
        let wide = bit(leaf.ebx, 16) && bit(leaf.ebx, 30) && bit(leaf.ebx, 31);
        if saved & ZMM == ZMM && wide && bit(leaf.ecx, 11) {
            features.0 |= Features::AVX512_VNNI;
        }
        // TILE and INT8.
        let tiles = bit(leaf.edx, 24) && bit(leaf.edx, 25);
        if saved & TILES == TILES && tiles && may_use_tiles() {
            features.0 |= Features::AMX;
        }
    }
    features
}

/// Asks the kernel for the tile registers, which Linux hands out to a process only on request.
///
/// # Source
/// Linux, Documentation/arch/x86/xstate.rst: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let result: i64;
    // SAFETY: the call reads no memory; it changes what the kernel saves for this process and nothing else. System calls
    // overwrite rcx and r11.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") REQUEST,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack, nomem)
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
const fn may_use_tiles() -> bool {
    false
}
