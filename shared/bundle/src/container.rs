//! The safetensors file around manifest, signature and tensors.

use crate::error::VerifyError;
use crate::hex;
use safetensors::tensor::Metadata;
use std::ops::Range;
use tendon_shared::manifest::{Manifest, TensorEntry};

/// Bytes of the largest table of contents: a manifest in hexadecimal and eight tensors.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// What the metadata entry `format` says.
const FORMAT: &str = "tendon-bundle";

/// A file's table of contents. Nothing in it is trusted yet.
pub(crate) struct Container {
    pub(crate) manifest: Vec<u8>,
    pub(crate) signature: [u8; 64],
    pub(crate) signer: [u8; 32],
    metadata: Metadata,
    data_at: usize,
}

impl Container {
    /// Reads the table of contents of a whole file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        let found = bytes.len() as u64;
        let Some(length) = bytes.first_chunk::<8>() else {
            return Err(VerifyError::Truncated { expected: 8, found });
        };
        let length = u64::from_le_bytes(*length);
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_HEADER_BYTES)
        else {
            return Err(malformed("its header is too long"));
        };
        let Some(header) = bytes.get(8..8 + length) else {
            return Err(VerifyError::Truncated {
                expected: 8 + length as u64,
                found,
            });
        };
        let metadata: Metadata = serde_json::from_slice(header)
            .map_err(|error| malformed(&format!("its header is invalid: {error}")))?;
        let data_at = 8 + length;
        let lengths = metadata
            .tensors()
            .into_values()
            .map(|tensor| tensor.data_offsets.1)
            .max();
        let expected = (data_at as u64).saturating_add(lengths.unwrap_or(0) as u64);
        if found < expected {
            return Err(VerifyError::Truncated { expected, found });
        }
        if found > expected {
            return Err(VerifyError::Tampered {
                what: format!("{} bytes follow the last tensor", found - expected),
            });
        }
        let text = metadata.metadata().clone().unwrap_or_default();
        let entry = |name: &str| {
            text.get(name)
                .ok_or_else(|| malformed(&format!("it has no {name}")))
        };
        if entry("format")? != FORMAT {
            return Err(malformed("its format is another one"));
        }
        let digits = |name: &str| {
            hex::decode(entry(name)?)
                .ok_or_else(|| malformed(&format!("its {name} is no hexadecimal")))
        };
        let manifest = digits("manifest")?;
        let signature = digits("signature")?
            .try_into()
            .map_err(|_| malformed("its signature has a wrong length"))?;
        let signer = digits("signer")?
            .try_into()
            .map_err(|_| malformed("its signer has a wrong length"))?;
        Ok(Self {
            manifest,
            signature,
            signer,
            metadata,
            data_at,
        })
    }

    /// Returns how many tensors the file holds.
    pub(crate) fn tensor_count(&self) -> usize {
        self.metadata.tensors().len()
    }

    /// Returns where the bytes of a tensor are; nothing when the file has none of this name, type and shape.
    pub(crate) fn tensor(&self, entry: &TensorEntry) -> Option<Range<usize>> {
        let info = self.metadata.info(&entry.name)?;
        let shape = info
            .shape
            .iter()
            .map(|dim| *dim as u64)
            .eq(entry.shape.iter().map(|dim| u64::from(*dim)));
        let (start, end) = info.data_offsets;
        let length = entry.byte_len() == Some((end - start) as u64);
        let element = info.dtype.to_string() == entry.element.name();
        (shape && length && element).then_some(self.data_at + start..self.data_at + end)
    }
}

fn malformed(what: &str) -> VerifyError {
    VerifyError::Malformed(what.to_owned())
}

/// Returns a whole file. The order of its parts is fixed, so equal contents give equal bytes.
pub(crate) fn write(
    manifest: &Manifest,
    canonical: &[u8],
    signature: &[u8],
    signer: &[u8],
    data: &[Vec<u8>],
) -> Vec<u8> {
    let mut header = format!(
        r#"{{"__metadata__":{{"format":"{FORMAT}","manifest":"{}","signature":"{}","signer":"{}"}}"#,
        hex::encode(canonical),
        hex::encode(signature),
        hex::encode(signer),
    );
    let mut start = 0;
    for (entry, bytes) in manifest.tensors.iter().zip(data) {
        let shape: Vec<String> = entry.shape.iter().map(u32::to_string).collect();
        let end = start + bytes.len();
        header += &format!(
            r#","{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{start},{end}]}}"#,
            entry.name,
            entry.element.name(),
            shape.join(",")
        );
        start = end;
    }
    header.push('}');
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    data.iter().for_each(|bytes| file.extend_from_slice(bytes));
    file
}
