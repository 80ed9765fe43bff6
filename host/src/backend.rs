//! The one file that names devices: where tensors live is chosen at run time.

use burn::tensor::Device;

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error(
        "there is no device {0:?}; there are flex (or cpu), wgpu, cuda and ndarray, and wgpu:N and cuda:N for the N-th of several, from 0"
    )]
    Unknown(String),
    /// The program was built without it.
    #[error("this program was built without {0}; build it with `cargo build --features {0}`")]
    NotBuilt(&'static str),
    /// The graphics drivers offer fewer adapters.
    #[error("there is no adapter for {name:?}: the machine's graphics drivers offer {found}")]
    NoAdapter {
        /// What was asked for.
        name: String,
        /// How many there are.
        found: usize,
    },
}

/// A device by name, without autodiff: `flex` (CPU, also called `cpu`), `wgpu`, `cuda` or `ndarray`; `wgpu:N` and `cuda:N`
/// are the N-th of several, counted from 0.
///
/// # Errors
/// The name is unknown, the program was built without the device, or the machine has no such adapter.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    let (kind, number) = match name.split_once(':') {
        Some((kind, number)) => (kind, Some(number.parse().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match (kind, number) {
        ("flex" | "cpu", None) => Ok(Device::flex()),
        ("wgpu", number) => wgpu(name, number),
        ("cuda", number) => cuda(number.unwrap_or(0)),
        ("ndarray", None) => ndarray(),
        _ => Err(unknown()),
    }
}

/// Several devices by name, separated by commas; the first holds the networks. The same name may stand more than once.
///
/// # Errors
/// As [`device`], for the first that cannot be used.
pub fn devices(names: &str) -> Result<Vec<Device>, DeviceError> {
    names.split(',').map(|name| device(name.trim())).collect()
}

#[cfg(feature = "wgpu")]
fn wgpu(name: &str, number: Option<usize>) -> Result<Device, DeviceError> {
    // Burn's default adapter is found at the first tensor, and panics there if none is.
    let adapters = Device::enumerate(burn::tensor::DeviceType::Wgpu);
    let missing = DeviceError::NoAdapter {
        name: name.to_owned(),
        found: adapters.len(),
    };
    match number {
        None if adapters.is_empty() => Err(missing),
        None => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        Some(number) => adapters.get(number).cloned().ok_or(missing),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: &str, _: Option<usize>) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt("wgpu"))
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device, DeviceError> {
    Ok(Device::cuda(number))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt("cuda"))
}

#[cfg(feature = "ndarray")]
#[allow(
    deprecated,
    reason = "kept for parity tests and for users who ask for it"
)]
fn ndarray() -> Result<Device, DeviceError> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt("ndarray"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_an_unknown_name_lists_the_known() {
        assert!(device("flex").is_ok() && device("cpu").is_ok());
        for name in ["tpu", "cpu:0", "wgpu:", "cuda:x", "cuda:-1", ""] {
            let error = device(name).unwrap_err().to_string();
            assert!(error.contains("wgpu, cuda and ndarray"), "{error}");
        }
    }

    #[test]
    fn devices_are_separated_by_commas_and_may_repeat() {
        assert_eq!(
            devices("cpu,flex").unwrap(),
            [Device::flex(), Device::flex()]
        );
        assert!(devices("cpu,").is_err() && devices("cpu,tpu").is_err());
    }
}
