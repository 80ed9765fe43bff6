//! The one file that names devices: where tensors live is chosen at run time.

use burn::tensor::Device;

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("there is no device {0:?}; there are flex, wgpu, cuda and ndarray")]
    Unknown(String),
    /// The program was built without it.
    #[error("this program was built without {0}; build it with `cargo build --features {0}`")]
    NotBuilt(&'static str),
}

/// A device by name, without autodiff: `flex` (CPU, also called `cpu`), `wgpu`, `cuda` or `ndarray`.
///
/// # Errors
/// The name is unknown, or the program was built without the device.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    match name {
        "flex" | "cpu" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(feature = "wgpu"))]
        "wgpu" => Err(DeviceError::NotBuilt("wgpu")),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        #[cfg(not(feature = "cuda"))]
        "cuda" => Err(DeviceError::NotBuilt("cuda")),
        #[cfg(feature = "ndarray")]
        #[allow(
            deprecated,
            reason = "kept for parity tests and for users who ask for it"
        )]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(not(feature = "ndarray"))]
        "ndarray" => Err(DeviceError::NotBuilt("ndarray")),
        _ => Err(DeviceError::Unknown(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_an_unknown_name_lists_the_known() {
        assert!(device("flex").is_ok() && device("cpu").is_ok());
        assert!(
            device("tpu")
                .unwrap_err()
                .to_string()
                .contains("flex, wgpu, cuda and ndarray")
        );
    }
}
