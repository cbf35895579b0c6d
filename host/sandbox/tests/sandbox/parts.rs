//! What components are made of, by the bytes, and the small agent.
//!
//! Invariant: nothing here reads WebAssembly with the library that the host reads it with: what
//! the tests expect of a place in a component does not come from what is tested.

use std::ops::Range;
use std::sync::LazyLock;

/// The ids of sections of a component.
pub(crate) const CUSTOM: u8 = 0;
pub(crate) const CORE_MODULE: u8 = 1;
pub(crate) const CORE_INSTANCE: u8 = 2;
pub(crate) const COMPONENT: u8 = 4;
pub(crate) const EXPORT: u8 = 11;

/// And of a module.
pub(crate) const FUNCTIONS: u8 = 3;
pub(crate) const CODE: u8 = 10;

/// How long the head of a component is, and that of a module.
pub(crate) const HEAD: usize = 8;

/// How the head of a component ends: its version, and that it is no module.
pub(crate) const COMPONENT_HEAD: [u8; 4] = *b"\x0d\0\x01\0";

/// One section of a component, or of a module.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) id: u8,
    /// All of it.
    pub(crate) whole: Range<usize>,
    /// Without id and length.
    pub(crate) body: Range<usize>,
}

/// The agent of `agent.wat`.
pub(crate) fn small_agent() -> &'static [u8] {
    static AGENT: LazyLock<Vec<u8>> =
        LazyLock::new(|| wat::parse_str(idumb_generated_guests::AGENT).unwrap());
    &AGENT
}

/// The sections of a component or module that is whole.
pub(crate) fn sections(bytes: &[u8]) -> Vec<Section> {
    let (mut at, mut sections) = (HEAD, Vec::new());
    while at < bytes.len() {
        let (start, id) = (at, bytes[at]);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] & 0x80 == 0 {
                break;
            }
        }
        let body = at + 1..at + 1 + size;
        at = body.end;
        sections.push(Section { id, whole: start..at, body });
    }
    assert_eq!(at, bytes.len(), "the last section is longer than the component");
    sections
}

/// A section as it stands in a component.
pub(crate) fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    let mut left = body.len();
    while left > 0x7f {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend(body);
    bytes
}

/// The component with this body in the place of that of the section.
pub(crate) fn with_body(component: &[u8], place: &Section, body: &[u8]) -> Vec<u8> {
    let before = &component[..place.whole.start];
    [before, &section(place.id, body), &component[place.whole.end..]].concat()
}

/// The small agent with another module in the place of its second one, which has its code.
pub(crate) fn with_code(module: &[u8]) -> Vec<u8> {
    let agent = small_agent();
    let is_module = |section: &&Section| section.id == CORE_MODULE;
    let all = sections(agent);
    with_body(agent, all.iter().filter(is_module).nth(1).unwrap(), module)
}

/// The small agent with a component within, that nothing instantiates.
pub(crate) fn with_component(component: &[u8]) -> Vec<u8> {
    [small_agent(), &section(COMPONENT, component)].concat()
}

/// The small agent with a module that is instantiated, without arguments, before its function is
/// called: the third module.
pub(crate) fn with_module(module: &[u8]) -> Vec<u8> {
    let instance = section(CORE_INSTANCE, &[1, 0, 2, 0]);
    [small_agent(), &section(CORE_MODULE, module), &instance].concat()
}
