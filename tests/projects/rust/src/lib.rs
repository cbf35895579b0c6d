//! To be written: see the plan.

pub fn slug(title: &str) -> String {
    title.to_owned()
}
