//! Vectors and rotations of three dimensions. Angles are radians.

/// A point or direction.
pub(super) type V3 = [f32; 3];

pub(super) fn add(a: V3, b: V3) -> V3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn sub(a: V3, b: V3) -> V3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn scale(a: V3, factor: f32) -> V3 {
    a.map(|value| value * factor)
}

pub(super) fn dot(a: V3, b: V3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn length(a: V3) -> f32 {
    libm::sqrtf(dot(a, a))
}

/// Between `a` (at 0) and `b` (at 1).
pub(super) fn lerp(a: V3, b: V3, at: f32) -> V3 {
    add(scale(a, 1.0 - at), scale(b, at))
}

/// A rotation, by rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation([V3; 3]);

impl Rotation {
    /// About x: y towards z.
    pub(super) fn x(angle: f32) -> Self {
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        Self([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    }

    /// About y: z towards x.
    pub(super) fn y(angle: f32) -> Self {
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        Self([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    }

    /// About z: x towards y.
    pub(super) fn z(angle: f32) -> Self {
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        Self([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    }

    /// The turned vector.
    pub(super) fn turn(&self, v: V3) -> V3 {
        self.0.map(|row| dot(row, v))
    }

    /// First `inner`, then this one.
    pub(super) fn after(&self, inner: Self) -> Self {
        let column = |i: usize| [inner.0[0][i], inner.0[1][i], inner.0[2][i]];
        let columns = [column(0), column(1), column(2)];
        Self(self.0.map(|row| columns.map(|column| dot(row, column))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_PI_2;

    fn check(rotation: Rotation, from: V3, to: V3) {
        assert!(length(sub(rotation.turn(from), to)) < 1e-6, "{from:?}");
    }

    #[test]
    fn quarter_turns_are_right_handed() {
        check(Rotation::x(FRAC_PI_2), [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
        check(Rotation::y(FRAC_PI_2), [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]);
        check(Rotation::z(FRAC_PI_2), [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_inner_rotation_is_done_first() {
        let both = Rotation::x(FRAC_PI_2).after(Rotation::z(FRAC_PI_2));
        check(both, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
    }
}
