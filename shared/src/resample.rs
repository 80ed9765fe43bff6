//! Which source frames an output frame is mixed from when a run of frames is stretched or shrunk in time.
//!
//! Linear with half-pixel centres, as OpenCV and PyTorch (`align_corners=False`) do it:
//! `source = (output + 0.5) * source_frames / output_frames - 0.5`, clamped to the run. Computed in integers, so it is
//! exact on every target.

/// Two neighbouring source frames and the weight of the second, 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tap {
    /// The earlier source frame.
    pub before: usize,
    /// The later source frame; equal to `before` at the ends of the run.
    pub after: usize,
    /// Weight of `after`; that of `before` is one minus it.
    pub weight: f32,
}

impl Tap {
    /// The mix for frame `output` of `output_frames`, from a run of `source_frames`.
    ///
    /// Total: with an empty run, or with zero output frames, it points at frame 0.
    #[must_use]
    pub fn new(output: usize, source_frames: usize, output_frames: usize) -> Self {
        let (output, source, denominator) = (
            output as i64,
            source_frames as i64,
            (output_frames as i64).saturating_mul(2),
        );
        let last = source_frames.saturating_sub(1);
        let numerator = output
            .saturating_mul(2)
            .saturating_add(1)
            .saturating_mul(source)
            .saturating_sub(denominator / 2);
        if numerator <= 0 || denominator <= 0 {
            return Self {
                before: 0,
                after: 0,
                weight: 0.0,
            };
        }
        let before = usize::try_from(numerator / denominator).unwrap_or(usize::MAX);
        if before >= last {
            return Self {
                before: last,
                after: last,
                weight: 0.0,
            };
        }
        Self {
            before,
            after: before + 1,
            weight: (numerator % denominator) as f32 / denominator as f32,
        }
    }

    /// The mixed value.
    #[must_use]
    pub fn mix(&self, before: f32, after: f32) -> f32 {
        before * (1.0 - self.weight) + after * self.weight
    }

    /// Position between the source frames, in frames.
    #[must_use]
    pub fn position(&self) -> f32 {
        self.before as f32 + self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(source: usize, output: usize, expect: [f32; 4]) {
        let got = [0, 1, 2, output - 1].map(|frame| Tap::new(frame, source, output).position());
        for (got, expect) in got.iter().zip(expect) {
            assert!(
                (got - expect).abs() < 1e-4,
                "{source} to {output}: {got} instead of {expect}"
            );
        }
    }

    /// By hand from the formula: (0 + 0.5) * 73 / 50 - 0.5 = 0.23, and so on; 40 to 50 starts at -0.1, ends at 39.1.
    #[test]
    fn positions_follow_the_half_pixel_rule() {
        check(73, 50, [0.23, 1.69, 3.15, 71.77]);
        check(40, 50, [0.0, 0.7, 1.5, 39.0]);
        check(73, 64, [0.0703, 1.2109, 2.3516, 71.9297]);
    }

    #[test]
    fn the_same_length_changes_nothing() {
        for frame in 0..50 {
            let tap = Tap::new(frame, 50, 50);
            assert_eq!((tap.before, tap.weight), (frame, 0.0));
        }
    }

    proptest! {
        #[test]
        fn taps_stay_inside_the_run_and_never_go_back(source in 1_usize..2000, output in 1_usize..300) {
            let mut previous = 0.0;
            for frame in 0..output {
                let tap = Tap::new(frame, source, output);
                prop_assert!(tap.after < source && (0.0..1.0).contains(&tap.weight));
                prop_assert!(tap.position() >= previous);
                previous = tap.position();
            }
        }

        #[test]
        fn any_numbers_are_answered(frame: usize, source: usize, output: usize) {
            let _ = Tap::new(frame, source, output % 100_000);
        }
    }
}
