//! The system tests live in `main.rs`, as a test target.
