//! A safetensors writer whose bytes depend on nothing but its input.
//!
//! The safetensors crate takes its metadata from a hash map, whose order differs from run to run; equal
//! weights must give equal files here. Reading uses the crate.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::parameters::{Named, Values};

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Not a well-formed safetensors file.
    #[error("not a safetensors file ({0}); it may be truncated: make or copy it again")]
    Malformed(#[from] safetensors::SafeTensorError),
    /// A tensor of another type than 32-bit floats.
    #[error("tensor {name} holds {found}, expected F32")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Type found.
        found: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {name} holds a value that is not finite at index {index}")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Index of the first such value.
        index: usize,
    },
}

/// The bytes of a safetensors file with f32 tensors and text metadata, both in alphabetical order.
pub fn encode(tensors: &Named, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".to_string(), json!(metadata));
    let mut offset = 0;
    for (name, values) in tensors {
        let end = offset + values.data.len() * 4;
        header.insert(
            name.clone(),
            json!({ "dtype": "F32", "shape": values.shape, "data_offsets": [offset, end] }),
        );
        offset = end;
    }
    let mut text = Value::Object(header).to_string();
    // The format aligns tensors to 8 bytes by spaces behind the header.
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + text.len() + offset);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
    for value in tensors.values().flat_map(|values| &values.data) {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// All tensors and metadata of a safetensors file that holds only finite f32 values.
///
/// # Errors
/// The bytes are no such file.
pub fn decode(bytes: &[u8]) -> Result<(Named, BTreeMap<String, String>), ContainerError> {
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes)?;
    let file = safetensors::SafeTensors::deserialize(bytes)?;
    let metadata = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let mut tensors = Named::new();
    for (name, view) in file.tensors() {
        if view.dtype() != safetensors::Dtype::F32 {
            return Err(ContainerError::Type {
                name,
                found: format!("{:?}", view.dtype()),
            });
        }
        let data: Vec<f32> = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        if let Some(index) = data.iter().position(|value| !value.is_finite()) {
            return Err(ContainerError::NotFinite { name, index });
        }
        tensors.insert(
            name,
            Values {
                shape: view.shape().to_vec(),
                data,
            },
        );
    }
    Ok((tensors, metadata))
}
