//! The int8 encoder and the manifest, on bytes that come from outside.

use core::hint::black_box;
use tendon_engine::Encoder;
use tendon_shared::manifest::Manifest;
use tendon_shared::pose::Presence;

/// Room for a small encoder's arena, bytes.
const ARENA: usize = 4096;

/// Whether bytes that are neither an encoder nor a manifest are refused.
pub fn touch() -> bool {
    let bytes: &[u8] = black_box(&[]);
    let window: &[f32] = black_box(&[]);
    let mut logits = [0; 8];
    let runs = Encoder::parse(bytes).is_ok_and(|encoder| {
        let mut arena = [0; ARENA];
        encoder
            .run(window, Presence::FIRST, &mut arena, &mut logits)
            .is_ok()
    });
    let readable = Manifest::decode(bytes).is_ok_and(|manifest| {
        let mut buffer = [0; ARENA];
        manifest.encode(&mut buffer).is_ok()
    });
    !runs && !readable
}
