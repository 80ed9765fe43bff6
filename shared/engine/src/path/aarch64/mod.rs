//! Paths of 64-bit ARM.

pub(super) mod neon;
pub(super) mod sdot;

/// Whether the processor has `sdot`. Without the feature `std`, only what the build was told counts.
pub(super) fn has_dot_product() -> bool {
    #[cfg(feature = "std")]
    {
        std::arch::is_aarch64_feature_detected!("dotprod")
    }
    #[cfg(not(feature = "std"))]
    {
        cfg!(target_feature = "dotprod")
    }
}
