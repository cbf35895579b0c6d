//! A small agent in component text, and components and modules that chance made, for tests.
//!
//! Invariant: the same bytes from any build, so that a number names one of them.

/// An agent of every role, of a few thousand bytes, with a ceiling in its second module. It is
/// text, and what makes bytes of it is for who needs them.
pub static AGENT: &str = include_str!("../agent.wat");

static COMPONENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/components"));
static MODULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/modules"));
static CODES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/codes"));

/// Components that export nothing.
pub fn components() -> impl Iterator<Item = &'static [u8]> {
    series(COMPONENTS)
}

/// Modules that import nothing, some of which run when they are instantiated.
pub fn modules() -> impl Iterator<Item = &'static [u8]> {
    series(MODULES)
}

/// Modules that can stand in the place of the small agent's second one: they import what it does,
/// and their functions of its names do what chance wrote.
pub fn codes() -> impl Iterator<Item = &'static [u8]> {
    series(CODES)
}

/// What stands one after the other, each behind its length.
fn series(mut left: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = left.split_first_chunk::<4>()?;
        let (one, rest) = behind.split_at(u32::from_le_bytes(*length) as usize);
        left = rest;
        Some(one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_were_made() {
        assert_eq!([components().count(), modules().count(), codes().count()], [160; 3]);
        assert!(components().all(|bytes| bytes.starts_with(b"\0asm\x0d\0\x01\0")));
        assert!(modules().chain(codes()).all(|bytes| bytes.starts_with(b"\0asm\x01\0\0\0")));
    }
}
