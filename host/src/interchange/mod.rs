//! Encoders in the formats of others.
//!
//! [`checkpoint`] reads encoders of published PyTorch code. [`onnx`] holds the few messages of the ONNX format that are written,
//! [`export`] makes them of an encoder or a classifier.

pub mod checkpoint;
pub mod export;
pub mod onnx;
