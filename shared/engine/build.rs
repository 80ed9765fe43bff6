//! Tells the engine whether the target is a 32-bit ARM with the DSP instructions, which stable compilers do not reveal to code.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv7e)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // ARMv7E-M (Cortex-M4 and M7) and ARMv7-A have them; ARMv6-M, ARMv7-M and ARMv8-M's base line do not.
    if ["thumbv7em", "armv7"]
        .iter()
        .any(|name| target.starts_with(name))
    {
        println!("cargo::rustc-cfg=armv7e");
    }
}
