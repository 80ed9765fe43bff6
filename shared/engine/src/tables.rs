//! Views of little-endian number tables inside a blob; none needs alignment, none copies.

/// A table of little-endian `i32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct I32s<'a>(&'a [[u8; 4]]);

impl<'a> I32s<'a> {
    /// Views `bytes`; a remainder shorter than one number is left out.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Returns number `index`, or zero beyond the end.
    pub(crate) fn get(self, index: usize) -> i32 {
        self.0
            .get(index)
            .map_or(0, |bytes| i32::from_le_bytes(*bytes))
    }

    /// Returns the `N` numbers from `first` on, zeros beyond the end.
    pub(crate) fn lanes<const N: usize>(self, first: usize) -> [i32; N] {
        let mut lanes = [0; N];
        for (lane, bytes) in lanes
            .iter_mut()
            .zip(self.0.get(first..).unwrap_or_default())
        {
            *lane = i32::from_le_bytes(*bytes);
        }
        lanes
    }

    /// Iterates over all numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = i32> + use<'a> {
        self.0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// A table of little-endian `i64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct I64s<'a>(&'a [[u8; 8]]);

impl<'a> I64s<'a> {
    /// Views `bytes`; a remainder shorter than one number is left out.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Returns number `index`, or zero beyond the end.
    pub(crate) fn get(self, index: usize) -> i64 {
        self.0
            .get(index)
            .map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }

    /// Iterates over all numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = i64> + use<'a> {
        self.0.iter().map(|bytes| i64::from_le_bytes(*bytes))
    }
}

/// A table of little-endian `i16`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct I16s<'a>(&'a [[u8; 2]]);

impl<'a> I16s<'a> {
    /// Views `bytes`; a remainder shorter than one number is left out.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Returns number `index`, or zero beyond the end.
    pub(crate) fn get(self, index: usize) -> i16 {
        self.0
            .get(index)
            .map_or(0, |bytes| i16::from_le_bytes(*bytes))
    }
}

/// A table of little-endian `f32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32s<'a>(&'a [[u8; 4]]);

impl<'a> F32s<'a> {
    /// Views `bytes`; a remainder shorter than one number is left out.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Returns number `index`, or zero beyond the end.
    pub(crate) fn get(self, index: usize) -> f32 {
        self.0
            .get(index)
            .map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }

    /// Iterates over all numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = f32> + use<'a> {
        self.0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}
