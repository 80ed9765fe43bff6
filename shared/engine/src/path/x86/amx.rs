//! AMX: sixteen rows times sixteen outputs in one instruction, sixty-four products deep.
//!
//! A tile of weights is a run of the blob, a tile of activations is rows of the caller's memory, a few rows of it twice where
//! sixteen do not divide their number. Rounding and sparse sums are those of AVX-512.
#![allow(
    unsafe_code,
    reason = "the instructions have no stable intrinsics; bounds are the job's, which were checked"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "tiles have sixteen rows, and at most TILES are computed together"
)]

use super::avx512::Rounding;
use super::{LIFTED, UPPER, WHOLE};
use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Product, Rows};
use crate::spec::BATCH;
use core::arch::asm;
use core::arch::x86_64::*;

/// Rows of a tile of activations, and quads of a tile of weights, at most.
const DEEP: usize = 16;
/// Tiles of activations that share a tile of weights.
const TILES: usize = 4;
/// Bytes of one row of sums or of one quad of weights.
const LINE: usize = 64;

/// Sums of a tile.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Sums([[i32; GROUP]; DEEP]);

/// The shapes of the eight tile registers. Source: Intel SDM, volume 1, 18.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Registers 0 to 3 are sums, 4 activations, 5 weights, 6 and 7 activations and weights of the residual.
    fn new(rows: usize, main: usize, beside: usize) -> Self {
        let mut shapes = Self {
            palette: 1,
            start: 0,
            reserved: [0; 14],
            bytes: [0; 16],
            rows: [0; 16],
        };
        let line = LINE as u16;
        for register in 0..TILES {
            (shapes.rows[register], shapes.bytes[register]) = (rows as u8, line);
        }
        for (register, depth) in [(4, main), (6, beside)] {
            let bytes = (depth * QUAD) as u16;
            (shapes.rows[register], shapes.bytes[register]) = (rows as u8, bytes);
            (shapes.rows[register + 1], shapes.bytes[register + 1]) = (depth as u8, line);
        }
        shapes
    }

    /// Configures the registers.
    ///
    /// # Safety
    /// The processor has AMX, and the operating system lets this process use it.
    unsafe fn load(&self) {
        // SAFETY: the caller's promise; the operand is 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) self, options(nostack, readonly)) };
    }
}

/// Returns the quads of one tile of weights: the most that divide `quads` and fit.
fn depth(quads: usize) -> usize {
    (1..=DEEP)
        .rev()
        .find(|depth| quads.is_multiple_of(*depth))
        .unwrap_or(1)
}

/// Where a tile's rows start.
#[derive(Clone, Copy, Default)]
struct Place {
    joint: usize,
    row: usize,
}

impl Place {
    fn of(self, rows: &Rows<'_>) -> usize {
        self.joint * rows.joint + self.row * rows.stride
    }
}

/// Computes a convolution.
///
/// # Safety
/// `job.fits()` holds, it has at most [`BATCH`] joints, and this process may use AMX.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(in crate::path) unsafe fn convolve(job: &mut Convolution<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.rounding.lift {
            Some(0) => groups::<UPPER>(job),
            Some(_) => groups::<LIFTED>(job),
            None => groups::<WHOLE>(job),
        }
        asm!("tilerelease", options(nostack, nomem));
    }
}

/// # Safety
/// As [`convolve`], and `MODE` belongs to the job's rounding.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn groups<const MODE: u8>(job: &mut Convolution<'_>) {
    let rows = job.rows.min(DEEP);
    let main = Operand::new(&job.main);
    let beside = match &job.beside {
        Beside::Product(product) => Some(Operand::new(product)),
        Beside::None | Beside::Identity(..) => None,
    };
    let shapes = Shapes::new(
        rows,
        main.depth,
        beside.as_ref().map_or(main.depth, |o| o.depth),
    );
    // SAFETY: the caller's promise.
    unsafe { shapes.load() };
    let each = job.rows.div_ceil(rows);
    let count = each * job.joints;
    let outputs = job.outputs();
    let mut sums = [Sums([[0; GROUP]; DEEP]); TILES];
    let mut more = sums;
    for group in 0..job.groups() {
        let rounding = Rounding::<MODE>::new(job, group);
        let bias = main.biases(job.joints, group);
        let beside_bias = beside
            .as_ref()
            .map(|beside| beside.biases(job.joints, group));
        for first in (0..count).step_by(TILES) {
            let tiles = TILES.min(count - first);
            let mut places = [Place::default(); TILES];
            for (place, tile) in places.iter_mut().zip(first..count) {
                *place = Place {
                    joint: tile / each,
                    row: (tile % each * rows).min(job.rows - rows),
                };
            }
            let places = &places[..tiles];
            // SAFETY: the rows of every place exist, `fits` holds, and `Rounding` leaves out outputs that do not exist.
            unsafe {
                main.multiply::<false>(group, places, &bias, &mut sums);
                if let (Some(beside), Some(bias)) = (&beside, &beside_bias) {
                    beside.multiply::<true>(group, places, bias, &mut more);
                }
                for ((place, sums), more) in places.iter().zip(&sums).zip(&more) {
                    let to = place.joint * job.out_joint + place.row * outputs + group * GROUP;
                    let to = job.out.as_mut_ptr().add(to);
                    match &job.beside {
                        Beside::None => rounding.store(to, outputs, rows, |row| {
                            rounding.round(load(&sums.0[row]), None)
                        }),
                        Beside::Identity(own, _) => {
                            let from = own.bytes.as_ptr().add(place.of(own) + group * GROUP);
                            rounding.store(to, outputs, rows, |row| {
                                let own = rounding.load(from.add(row * own.stride));
                                rounding.round(load(&sums.0[row]), Some(own))
                            });
                        }
                        Beside::Product(_) => rounding.store(to, outputs, rows, |row| {
                            rounding.round(load(&sums.0[row]), Some(load(&more.0[row])))
                        }),
                    }
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &[i32; GROUP]) -> __m512i {
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

/// A product, cut into tiles.
struct Operand<'j> {
    product: &'j Product<'j>,
    /// Quads of a row.
    quads: usize,
    /// Quads of a tile.
    depth: usize,
}

impl<'j> Operand<'j> {
    fn new(product: &'j Product<'j>) -> Self {
        let quads = product.layer.row() / QUAD;
        Self {
            product,
            quads,
            depth: depth(quads),
        }
    }

    fn biases(&self, joints: usize, group: usize) -> [[i32; GROUP]; BATCH] {
        let mut biases = [[0; GROUP]; BATCH];
        for (joint, biases) in biases.iter_mut().enumerate().take(joints) {
            *biases = self.product.biases(joint, group);
        }
        biases
    }

    /// Fills `sums` with biases plus products, one tile a place; with the residual's registers if `BESIDE`.
    ///
    /// # Safety
    /// The rows of every place lie inside, the group exists, and the registers have the operand's shapes.
    #[inline]
    unsafe fn multiply<const BESIDE: bool>(
        &self,
        group: usize,
        places: &[Place],
        bias: &[[i32; GROUP]; BATCH],
        sums: &mut [Sums; TILES],
    ) {
        let rows = &self.product.rows;
        let tile = |place: &Place| Tile {
            bias: bias[place.joint].as_ptr(),
            // SAFETY: the place lies inside.
            from: unsafe { rows.bytes.as_ptr().add(place.of(rows)) },
        };
        // SAFETY: every group has `quads` lines of weights.
        let weights = unsafe {
            let weights = self.product.layer.weights.as_ptr();
            weights.add(group * self.quads * LINE)
        };
        let mut call = Call {
            tiles: [tile(&places[0]); TILES],
            weights,
            step: self.depth * QUAD,
            step_weights: self.depth * LINE,
            stride: rows.stride,
            count: self.quads / self.depth,
        };
        for (to, place) in call.tiles.iter_mut().zip(places) {
            *to = tile(place);
        }
        // SAFETY: the tiles' rows lie inside, `quads` lines of weights follow each other, and `sums` has room for the tiles.
        unsafe {
            let mut sums = sums.as_mut_ptr();
            if places.len() == TILES {
                call.four::<BESIDE>(sums);
                return;
            }
            for tile in call.tiles.into_iter().take(places.len()) {
                call.tiles[0] = tile;
                call.one::<BESIDE>(sums);
                sums = sums.add(1);
            }
        }
    }
}

/// What a tile of sums is made from.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tile {
    /// Sixteen biases.
    bias: *const i32,
    /// The first row of activations.
    from: *const u8,
}

/// The operands of a run of tile instructions.
struct Call {
    tiles: [Tile; TILES],
    weights: *const u8,
    /// Bytes from one tile of activations to the next.
    step: usize,
    /// Bytes from one tile of weights to the next.
    step_weights: usize,
    /// Bytes from one row of activations to the next.
    stride: usize,
    /// Tiles of weights.
    count: usize,
}

/// Multiplies tiles that share their weights. Each tile: its register, the general register of its rows, its number. The biases
/// are loaded with a stride of zero.
macro_rules! multiply {
    ($call:ident, $sums:ident, $activations:literal, $weights:literal; $($register:literal $pointer:literal $tile:literal),+) => {
        asm!(
            "xor r11d, r11d",
            $(
                concat!("mov r8, [{tiles} + 16 * ", $tile, "]"),
                concat!("tileloadd ", $register, ", [r8 + r11]"),
            )+
            $(concat!("mov ", $pointer, ", [{tiles} + 16 * ", $tile, " + 8]"),)+
            "2:",
            concat!("tileloadd ", $weights, ", [{weights} + {line}]"),
            $(
                concat!("tileloadd ", $activations, ", [", $pointer, " + {stride}]"),
                concat!("tdpbusd ", $register, ", ", $activations, ", ", $weights),
                concat!("add ", $pointer, ", {step}"),
            )+
            "add {weights}, {step_weights}",
            "dec {count}",
            "jnz 2b",
            $(concat!("tilestored [{sums} + {line} + 1024 * ", $tile, "], ", $register),)+
            tiles = in(reg) $call.tiles.as_ptr(),
            weights = inout(reg) $call.weights => _,
            line = in(reg) LINE,
            stride = in(reg) $call.stride,
            step = in(reg) $call.step,
            step_weights = in(reg) $call.step_weights,
            count = inout(reg) $call.count => _,
            sums = in(reg) $sums,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        )
    };
}

impl Call {
    /// # Safety
    /// The rows of all tiles and the weights can be read, and `sums` has room for four tiles.
    #[inline]
    unsafe fn four<const BESIDE: bool>(&self, sums: *mut Sums) {
        // SAFETY: the caller's promise.
        unsafe {
            if BESIDE {
                multiply!(self, sums, "tmm6", "tmm7"; "tmm0" "r8" "0", "tmm1" "r9" "1", "tmm2" "r10" "2", "tmm3" "r11" "3");
            } else {
                multiply!(self, sums, "tmm4", "tmm5"; "tmm0" "r8" "0", "tmm1" "r9" "1", "tmm2" "r10" "2", "tmm3" "r11" "3");
            }
        }
    }

    /// # Safety
    /// The rows of the first tile and the weights can be read, and `sums` has room for one tile.
    #[inline]
    unsafe fn one<const BESIDE: bool>(&self, sums: *mut Sums) {
        // SAFETY: the caller's promise.
        unsafe {
            if BESIDE {
                multiply!(self, sums, "tmm6", "tmm7"; "tmm0" "r8" "0");
            } else {
                multiply!(self, sums, "tmm4", "tmm5"; "tmm0" "r8" "0");
            }
        }
    }
}
